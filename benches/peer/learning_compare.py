#!/usr/bin/env python3
"""What a small network learns in robustnas and in PyTorch, side by side: a table and a picture.

Reads the results of `cargo bench --bench learning` and of learning.py, writes `learning.md` and `learning.svg` beside
them, and fails where the means over the seeds differ by more than --within points.

  python3 benches/peer/learning_compare.py results/learning

Python's standard library only.
"""
import argparse
import json
import sys
from pathlib import Path

CONTESTANTS = {"robustnas": "#0072b2", "pytorch": "#d55e00"}
NAMES = {"robustnas": "robustnas", "pytorch": "PyTorch"}
MEASURES = {"clean": "clean", "pgd": "under PGD-10"}
INK, FAINT, GRID = "#222222", "#767676", "#e6e6e6"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("folder", type=Path, nargs="?", default=Path("results/learning"))
    ap.add_argument("--within", type=float, default=2.0, help="points that the means may differ by")
    a = ap.parse_args()
    runs = sorted((json.loads(file.read_text()) for file in a.folder.glob("*.json")), key=lambda run: run["seed"])
    runs = {name: [run for run in runs if run["contestant"] == name] for name in CONTESTANTS}
    if missing := [name for name, of in runs.items() if not of]:
        sys.exit(f"{a.folder} has no result of {missing[0]}: run `make learn-peer`")
    for what in ("net", "params", "batch"):
        if len(different := {run[what] for of in runs.values() for run in of}) > 1:
            sys.exit(f"{a.folder}: the results differ in `{what}`: {sorted(different)}")
    for what in ("train", "test", "labels"):
        if len(different := {str(run["data"][what]) for of in runs.values() for run in of}) > 1:
            sys.exit(f"{a.folder}: the results are on other images, `{what}` is {' and '.join(sorted(different))}")
    text, apart = table(runs)
    print(text)
    (a.folder / "learning.md").write_text(text)
    (a.folder / "learning.svg").write_text(picture(runs))
    if far := [f"{name} {gap:+.2f}" for name, gap in apart.items() if abs(gap) > a.within]:
        sys.exit(f"means further apart than {a.within} points: {', '.join(far)}")


def rate(tally):
    return 100 * tally["hit"] / tally["total"]


def mean(values):
    return sum(values) / len(values)


def table(runs):
    """The last epoch of every run and the means, in Markdown; and how far ours are above theirs."""
    rows, means = [], {}
    for name, of in runs.items():
        last = [run["epochs"][-1] for run in of]
        for run, epoch in zip(of, last):
            rows.append([NAMES[name], f"seed {run['seed']}", *(f"{rate(epoch[m]):.2f}" for m in MEASURES), f"{epoch['loss']:.3f}"])
        means[name] = {m: mean([rate(epoch[m]) for epoch in last]) for m in MEASURES}
        rows.append([NAMES[name], "mean", *(f"{means[name][m]:.2f}" for m in MEASURES), f"{mean([e['loss'] for e in last]):.3f}"])
    ours, theirs = (means[name] for name in CONTESTANTS)
    apart = {m: ours[m] - theirs[m] for m in MEASURES}
    rows.append(["difference", "of the means", *(f"{apart[m]:+.2f}" for m in MEASURES), ""])
    some = next(iter(runs.values()))[0]
    n, epochs = some["epochs"][-1]["clean"]["total"], len(some["epochs"])
    head = ["", "", *(f"{words}, %" for words in MEASURES.values()), "training loss"]
    lines = [f"`{some['net']}` ({some['params']:,} weights) after {epochs} epochs of N-FGSM on {some['data']['train']:,} "
             f"images, measured on {n:,} test images.", ""]
    lines += ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines) + "\n", apart


def picture(runs):
    """Accuracy over epochs, a panel a measure, a line a run."""
    width, height, left, top, panel, gap, plot = 920, 416, 56, 74, 380, 64, 260
    epochs = max(len(run["epochs"]) for of in runs.values() for run in of)
    highest = max(rate(e["clean"]) for of in runs.values() for run in of for e in run["epochs"])
    most = 10 * (int(highest // 10) + 1)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
           f'font-family="sans-serif">', f'<rect width="{width}" height="{height}" fill="#ffffff"/>']

    def text(x, y, size, anchor, colour, words):
        out.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{words}</text>')

    def line(points, colour, stroke, dashes=""):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{stroke}"{dashes}/>')

    text(left, 30, 18, "start", INK, "What a small network learns")
    x = left
    for name, colour in CONTESTANTS.items():
        line([(x, 48), (x + 26, 48)], colour, 2.5)
        text(x + 34, 52.5, 13, "start", INK, f"{NAMES[name]}, {len(runs[name])} seeds")
        x += 180
    for k, (measure, words) in enumerate(MEASURES.items()):
        from_x = left + k * (panel + gap)
        at = lambda epoch, value: (from_x + panel * (epoch - 0.5) / epochs, top + plot * (1 - value / most))
        for tick in range(0, most + 1, 10):
            y = at(1, tick)[1]
            line([(from_x, y), (from_x + panel, y)], GRID, 1)
            text(from_x - 8, y + 4.5, 13, "end", INK, tick)
        for epoch in range(1, epochs + 1):
            text(at(epoch, 0)[0], top + plot + 20, 13, "middle", INK, epoch)
        line([(from_x, top + plot), (from_x + panel, top + plot)], INK, 1)
        text(from_x + panel / 2, top + plot + 42, 13, "middle", INK, f"epoch; accuracy {words}, %")
        for name, colour in CONTESTANTS.items():
            for run in runs[name]:
                points = [at(e["epoch"], rate(e[measure])) for e in run["epochs"]]
                line(points, colour, 2)
                out.extend(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points)
    first, last = (next(iter(runs.values()))[0]["epochs"][i]["clean"]["total"] for i in (0, -1))
    text(left, height - 10, 12, "start", FAINT, f"on {first:,} test images; after the last epoch on {last:,}")
    return "\n".join([*out, "</svg>"]) + "\n"


if __name__ == "__main__":
    main()
