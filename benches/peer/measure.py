"""Timing and memory of one case, told as one JSON object a line: the same fields as `robustnas bench`."""
import json
import resource
import statistics
import sys
import time


def resident_bytes():
    """What the process holds now; None where the system does not tell (outside Linux)."""
    try:
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmRSS:"))
    except OSError:
        return None
    return int(line.split()[1]) << 10


def peak_bytes():
    """The most the process has held so far. Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def line(case, work, steps, batch, sync=lambda: None, **subject):
    """Runs the work once, then `steps` times against the clock, and prints what was measured."""
    work()
    sync()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        work()
        sync()
        times.append(1e3 * (time.perf_counter() - start))
    ms = statistics.median(times)
    measured = {"case": case, "ms": ms, "ms_min": min(times), "ms_max": max(times), "images_per_s": 1e3 * batch / ms}
    measured = {name: value if name == "case" else round(value, 3) for name, value in measured.items()}
    print(json.dumps(measured | {"steps": steps, "batch": batch, "peak_bytes": peak_bytes()} | subject), flush=True)
