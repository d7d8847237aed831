#!/usr/bin/env python3
"""The official AutoAttack, standard version, on the network of tests/fixtures/attack_net_a, timed.

The peer of `robustnas attack --plan autoattack`: the same weights, points and budget. Its line of JSON has the time, the
points that stand, and the seconds of every attack. Needs `pip install torch numpy` and the package `autoattack`
(https://github.com/fra31/auto-attack).

  python attack.py --n 128 --threads 2 --channels-last
"""
import argparse
import json
import re
import time
from pathlib import Path

import numpy
import torch
import torch.nn as nn
import torch.nn.functional as F

import measure

IMPORT_BYTES = measure.resident_bytes()
NET = Path(__file__).resolve().parents[2] / "tests/fixtures/attack_net_a"


class Normalize(nn.Module):
    def __init__(self, layer):
        super().__init__()
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(layer[name]).view(1, -1, 1, 1), persistent=False)

    def forward(self, x):
        return (x - self.mean) / self.std


class Residual(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return x + self.body(x)


class Head(nn.Module):
    def forward(self, x):
        return F.adaptive_avg_pool2d(x, 1).flatten(1)


def module(layer, weights):
    """A layer of arch.json with its weights."""
    match layer["op"]:
        case "normalize":
            return Normalize(layer)
        case "conv2d":
            made = nn.Conv2d(layer["in_channels"], layer["out_channels"], layer["kernel"], layer["stride"],
                             layer["padding"], layer["dilation"], layer["groups"], layer["bias"])
        case "batchnorm2d":
            made = nn.BatchNorm2d(layer["channels"], eps=layer["eps"])
        case "relu":
            return nn.ReLU()
        case "residual":
            return Residual(network(layer["body"], weights))
        case "maxpool2d":
            return nn.MaxPool2d(layer["kernel"], layer["stride"], layer["padding"], ceil_mode=layer["ceil_mode"])
        case "global_avgpool":
            return Head()
        case "linear":
            made = nn.Linear(layer["in_features"], layer["out_features"])
        case op:
            raise SystemExit(f"arch.json has a layer {op} that this script does not know")
    own = {name: weights[layer[name]] for name in made.state_dict() if name in layer}
    made.load_state_dict(own, strict=False)
    return made


def network(layers, weights):
    return nn.Sequential(*(module(layer, weights) for layer in layers))


def safetensors(path):
    """The float32 tensors of a safetensors file: a length, a table in JSON, then the numbers."""
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    table = json.loads(content[8:begin])
    table.pop("__metadata__", None)
    return {
        name: torch.frombuffer(bytearray(content[begin + t["data_offsets"][0]:begin + t["data_offsets"][1]]),
                               dtype=torch.float32).view(t["shape"])
        for name, t in table.items()
    }


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--n", type=int, default=128)
    ap.add_argument("--eps", type=float, default=8 / 255)
    ap.add_argument("--batch", type=int, default=128)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--steps", type=int, default=1, help="ignored: it is timed once, without a first time")
    ap.add_argument("--channels-last", action="store_true")
    a = ap.parse_args()
    from autoattack import AutoAttack

    torch.set_num_threads(a.threads)
    net = network(json.loads((NET / "arch.json").read_text())["layers"], safetensors(NET / "weights.safetensors")).eval()
    x = torch.from_numpy(numpy.load(NET / "images.npy")[:a.n]).permute(0, 3, 1, 2).float() / 255
    y = torch.from_numpy(numpy.load(NET / "labels.npy")[:a.n])
    x = x.contiguous()
    if a.channels_last:
        # The weights alone: the package looks at gradients as if they lay channels first.
        net = net.to(memory_format=torch.channels_last)
    attack = AutoAttack(net, norm="Linf", eps=a.eps, seed=a.seed, version="standard", device="cpu", verbose=False)
    # The package tells the time of every attack only in what it prints.
    said = []
    attack.logger.log = said.append
    attack.verbose = True
    start = time.perf_counter()
    adversarial = attack.run_standard_evaluation(x, y, bs=a.batch)
    ms = 1e3 * (time.perf_counter() - start)
    with torch.no_grad():
        robust = int((net(adversarial).argmax(1) == y).sum())
    done = re.findall(r"robust accuracy after (\S+): \S+ \(total time ([\d.]+) s\)", "\n".join(map(str, said)))
    # No number of parameters: the exporter has folded some of them into others in the file that ours reads.
    line = {"case": "autoattack", "ms": round(ms, 3), "images_per_s": round(1e3 * a.n / ms, 3), "n": a.n, "robust": robust,
            "until_s": {name.lower(): float(until) for name, until in done}, "batch": a.batch,
            "peak_bytes": measure.peak_bytes(), "import_bytes": IMPORT_BYTES, "threads": a.threads,
            "channels_last": a.channels_last}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
