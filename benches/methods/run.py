#!/usr/bin/env python3
"""Trains a small network by every method and attacks what comes out: one result file a training.

Trainings are `robustnas train`, measurements `robustnas attack`, both of which go on where they were stopped; a result
that is there is not made again. So the same command, given again, continues; --minutes ends it in between.

  python3 benches/methods/run.py --robustnas target/release/robustnas --data hf:DIR --minutes 60

Python's standard library only. Results go to results/methods; report.py makes docs/methods.md of them.
"""
import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from cases import COMMON, GROUPS, METHODS, NET

ROOT = Path(__file__).resolve().parent.parent.parent
#: The attacks that every network meets, each on all images that it gets right.
PLAN = """name = "pgd, cw, apgd"
cascade = false
eps = "{eps}"
attacks = [
  "pgd-20",
  {{ attack = "pgd", step = "{step}", steps = 20, restarts = 1, random_start = true, clip = true, loss = "cw" }},
  "apgd-ce",
]
"""
ATTACKS = ["pgd", "cw", "apgd"]
#: Exit codes of `robustnas train` that are outcomes: done, and not a number.
DONE, DIVERGED, STOPPED = 0, 7, 75


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--robustnas", type=Path, default=ROOT / "target/release/robustnas")
    ap.add_argument("--data", required=True, help="CIFAR-10, such as hf:DIR")
    ap.add_argument("--work", type=Path, default=ROOT / "target/methods", help="folder of the trainings")
    ap.add_argument("--results", type=Path, default=ROOT / "results/methods")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--minutes", type=float, default=120.0, help="begin nothing after so many")
    ap.add_argument("--only", default="", help="groups, with commas between; all of them when empty")
    a = ap.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED))
    a.results.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * a.minutes
    only = [name for name in a.only.split(",") if name]
    groups = [group for group in GROUPS if not only or group.name in only]
    for seed in sorted({seed for group in groups for seed in group.seeds}):
        for group in (group for group in groups if seed in group.seeds):
            for case in group.cases:
                file = a.results / f"{group.name}-{case.name}-seed{seed}.json"
                if file.exists():
                    continue
                if time.monotonic() > end:
                    print(f"{a.minutes} minutes are over; the same command goes on")
                    return
                result = one(a, group, case, seed)
                write(file, result)
                print(file.name, result["best"], flush=True)
    steps(a)


def write(file, value):
    """All of it or nothing."""
    beside = file.with_suffix(".part")
    beside.write_text(json.dumps(value) + "\n")
    beside.rename(file)


def robustnas(a, *arguments, outcomes=(DONE,)):
    """Runs the program; a signal to this one stops that one, too."""
    command = [a.robustnas, "--threads", a.threads, *arguments]
    child = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, said = child.communicate()
    except BaseException:
        child.terminate()
        child.wait()
        raise
    if child.returncode not in outcomes:
        sys.exit(f"{' '.join(map(str, command))}\nended with code {child.returncode}:\n{said[-2000:]}")
    return out


def one(a, group, case, seed):
    """A training and what it withstands, after its best and after its last epoch."""
    out = a.work / f"{group.name}-{case.name}-seed{seed}"
    sets = [word for key, value in group.settings(case).items() for word in ("--set", f"{key}={value}")]
    options = ["--data", a.data, "--preset", case.preset, "--epochs", group.epochs, "--batch", group.batch]
    report = json.loads(robustnas(a, "train", case.net, *options, *sets, "--seed", seed, "--out", out, "--json",
                                  outcomes=(DONE, DIVERGED)))
    result = {"group": group.name, "case": case.name, "seed": seed, "net": case.net, "recipe": report["recipe"],
              "images": report["images"], "watch": report["watch"], "epochs": report["epochs"],
              "kept": report["best"], "diverged": report["diverged"], "best": None, "last": None}
    for which, weights in (("best", "weights.safetensors"), ("last", "last.safetensors")):
        if not (out / weights).exists():
            continue
        if which == "last" and report["best"] == report["epochs"][-1]["epoch"]:
            result["last"] = {k: v for k, v in result["best"].items() if k != "autoattack"}
            continue
        result[which] = attacked(a, group, out, weights, which)
    return result


def attacked(a, group, out, weights, which):
    """How many test images stay right under each attack."""
    plan = out / "plan.toml"
    num, den = group.eps.split("/")
    plan.write_text(PLAN.format(eps=group.eps, step=f"{num}/{4 * int(den)}"))
    subject = ["attack", "--net", out / "arch.json", "--weights", out / weights, "--data", a.data, "--json"]
    found = json.loads(robustnas(a, *subject, "--plan", plan, "--n", group.images, "--out", out / f"{which}-attacks"))
    result = {"n": found["n"], "clean": found["clean_correct"]}
    result |= {name: report["stands"] for name, report in zip(ATTACKS, found["attacks"])}
    if group.autoattack and which == "best":
        found = json.loads(robustnas(a, *subject, "--plan", "autoattack", "--eps", group.eps, "--n", group.autoattack,
                                     "--out", out / f"{which}-autoattack"))
        result["autoattack"] = [found["robust"], found["n"]]
    return result


def steps(a):
    """Times of a step of each preset, the fastest of some, in milliseconds."""
    file = a.results / "steps.json"
    if file.exists():
        return
    found = {}
    for case in METHODS.cases:
        line = robustnas(a, "bench", "train", "--net", case.net, "--image", "32x32x3", "--classes", 10, "--method",
                         case.preset, "--batch", METHODS.batch, "--steps", 5, "--json")
        found[case.name] = json.loads(line)["ms_min"]
    listed = json.loads(robustnas(a, "train", "--list", "--json"))
    write(file, {"net": NET, "batch": METHODS.batch, "threads": a.threads, "ms": found, "common": COMMON,
                 "passes": {row["recipe"]["name"]: row["cost"] for row in listed}})


if __name__ == "__main__":
    main()
