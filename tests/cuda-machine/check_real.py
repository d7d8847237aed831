#!/usr/bin/env python3
"""Compiles every kernel with the real NVRTC, and says what each takes of a card. No card and no driver needed.

    pip install nvidia-cuda-nvrtc==13.0.88      # once; nothing else of CUDA
    python3 tests/cuda-machine/check_real.py [--arch sm_80,sm_90] [--registers 128]

Fails where a file does not compile, a kernel spills registers, or takes more of them than --registers allows."""
import argparse
import os
import re
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
import nvrtc_real

KERNELS = os.path.join(here, "../../src/engine/cuda/kernels")
# The families of shapes of files that are compiled for some; all other files are compiled once.
FAMILIES = {
    "convolution.cu": [f"COLUMNS={columns}" for columns in (16, 32, 64)],
    "depthwise.cu": [f"KERNEL_H={k},KERNEL_W={k}" for k in (3, 5, 7)],
}

a = argparse.ArgumentParser()
a.add_argument("--arch", default="sm_80,sm_90")
a.add_argument("--registers", type=int, default=128)
a = a.parse_args()
bad, count = False, 0
print(f"{'kernel':52} {'card':6} {'registers':>9} {'spilled':>8} {'shared':>7}")
for name in sorted(f for f in os.listdir(KERNELS) if f.endswith(".cu")):
    source = "".join(f'#line 1 "{f}"\n' + open(os.path.join(KERNELS, f)).read() + "\n" for f in ("common.cuh", name))
    for macros in FAMILIES.get(name, [""]):
        for arch in a.arch.split(","):
            options = [f"--gpu-architecture={arch}", "--ptxas-options=-v"]
            options += [f"--define-macro={m}" for m in macros.split(",") if m]
            code, log = nvrtc_real.compile(source, name, options, "CUBIN")
            if not (code or b"").startswith(b"\x7fELF"):
                print(log)
                bad = True
            for entry in re.split(r"Compiling entry function '", log)[1:]:

                def number(pattern):
                    return int((re.search(pattern, entry) or [0, 0])[1])

                registers, spilled = number(r"Used (\d+) registers"), number(r"(\d+) bytes spill stores")
                wrong = spilled > 0 or registers > a.registers
                bad |= wrong
                count += 1
                kernel = f"{entry.split(chr(39))[0]} {macros}"
                shared = number(r"(\d+) bytes smem")
                print(f"{kernel:52} {arch:6} {registers:9} {spilled:8} {shared:7}{'  too much' if wrong else ''}")
print(f"{count} kernels")
sys.exit(bad or count == 0)
