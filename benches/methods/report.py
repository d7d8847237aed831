#!/usr/bin/env python3
"""The tables and the figure of docs/methods.md, from the results of run.py.

Rewrites what stands between the markers of docs/methods.md, and results/methods/methods.svg; the discussion beside the
tables is written by hand.

  python3 benches/methods/report.py

Python's standard library only.
"""
import argparse
import json
import math
import re
import sys
from pathlib import Path

from cases import GROUPS

ROOT = Path(__file__).resolve().parent.parent.parent
INK, FAINT, GRID = "#222222", "#767676", "#e6e6e6"
#: Okabe and Ito's palette, which can be told apart with all common kinds of colour blindness.
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"]
MEASURES = {"clean": "clean", "pgd": "PGD-20", "cw": "CW-20", "apgd": "APGD-CE"}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--results", type=Path, default=ROOT / "results/methods")
    ap.add_argument("--page", type=Path, default=ROOT / "docs/methods.md")
    a = ap.parse_args()
    found = [json.loads(file.read_text()) for file in sorted(a.results.glob("*-seed*.json"))]
    steps = a.results / "steps.json"
    steps = json.loads(steps.read_text()) if steps.exists() else None
    page = a.page.read_text()
    drawn = "![Accuracy under attack by epoch](../results/methods/methods.svg)\n" if found else ""
    for name, text in [("figure", drawn), *((group.name, table(group, found, steps)) for group in GROUPS)]:
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        if begin not in page or end not in page:
            sys.exit(f"{a.page} has no place for `{name}`: lines `{begin.strip()}` and `{end}`")
        page = page[:page.index(begin) + len(begin)] + "\n" * bool(text) + text + "\n" * bool(text) + page[page.index(end):]
    a.page.write_text(page)
    if found:
        (a.results / "methods.svg").write_text(picture(found))


def of(group, case, found):
    """The results of a case by seed."""
    return [r for r in found if (r["group"], r["case"]) == (group.name, case.name)]


def mean(values):
    values = [v for v in values if v is not None]
    return sum(values) / len(values) if values else None


def share(result, which, measure):
    """Per cent of the test images; none where the training left no weights."""
    kept = result[which]
    return 100 * kept[measure] / kept["n"] if kept else None


def percent(value):
    return "–" if value is None else f"{value:.1f}"


def table(group, found, steps):
    """A row a case: means over the seeds, of the best epoch and of the last."""
    titles = [f"{words}, best → last" for words in MEASURES.values()]
    autoattack = group.autoattack > 0
    head = ["method", *titles, *(["AutoAttack, best"] if autoattack else []), "input gradients",
            *(["step"] if steps and autoattack else []), "seeds"]
    rows, missing = [], []
    for case in group.cases:
        results = of(group, case, found)
        if not results:
            missing.append(f"`{case.name}`")
            continue
        row = [f"`{case.name}`"]
        for measure in MEASURES:
            both = [percent(mean(share(r, which, measure) for r in results)) for which in ("best", "last")]
            row.append(" → ".join(both))
        if autoattack:
            tallies = [r["best"]["autoattack"] for r in results if r["best"] and "autoattack" in r["best"]]
            hit, n = (sum(t[i] for t in tallies) for i in (0, 1))
            row.append(f"{100 * hit / n:.1f} of {n}" if n else "–")
        row.append(gradients(results))
        if steps and autoattack:
            ms = steps["ms"]
            row.append(f"{ms[case.name] / ms['standard']:.1f}" if case.name in ms else "–")
        row.append(len(results))
        rows.append(row)
    lines = [f"{len(rows)} of {len(group.cases)} methods at {group.eps}, {group.epochs} epochs, batches of {group.batch}, "
             f"{group.images} test images, per cent that stay right; the mean over the seeds."]
    if missing:
        lines.append(f"Not measured yet: {', '.join(missing)}.")
    if rows:
        cells = [head, ["---"] * len(head), *rows]
        lines += ["", *("| " + " | ".join(map(str, row)) + " |" for row in cells)]
        error = 100 * math.sqrt(0.2 * 0.8 / group.images)
        lines += ["", f"The standard error of a share of 20 % on {group.images} images is {error:.1f} points."]
    return "\n".join(lines) + "\n"


def gradients(results):
    """Gradients in the pixels an image and epoch: as the recipe says, or as they were adapted."""
    adapted = [e["steps"] for r in results for e in r["epochs"] if e.get("steps") is not None]
    if adapted:
        return f"{mean(adapted):.1f} (adapted)"
    steps = re.search(r"(?:up to )?\bx\d+\b", results[0]["recipe"])
    replays = re.search(r"(\d+) replays", results[0]["recipe"])
    if steps or replays:
        return steps.group().replace("x", "") if steps else replays.group(1)
    return "1" if "noise" in results[0]["recipe"] else "0"


def picture(found):
    """Held-out accuracy under PGD-10 by epoch, a panel a group of single-step training and of overfitting."""
    groups = [g for g in GROUPS if any(r["group"] == g.name for r in found)]
    width, left, top, panel, plot = 960, 56, 56, 300, 230
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top + len(groups) * panel}" width="{width}" '
           f'height="{top + len(groups) * panel}" font-family="sans-serif">',
           f'<rect width="{width}" height="{top + len(groups) * panel}" fill="#ffffff"/>']

    def text(x, y, size, anchor, colour, words):
        out.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{words}</text>')

    text(left, 28, 18, "start", INK, "Held-out images that stay right under PGD-10, by epoch")
    right = width - 230
    for k, group in enumerate(groups):
        y0 = top + k * panel + 20
        own = [r for r in found if r["group"] == group.name]
        most = max(100 * e["robust"]["hit"] / e["robust"]["total"] for r in own for e in r["epochs"])
        most = 10 * (int(most // 10) + 1)
        x = lambda epoch: left + (right - left) * (epoch - 1) / max(group.epochs - 1, 1)
        y = lambda value: y0 + plot * (1 - value / most)
        text(left, y0 - 8, 13, "start", INK, f"{group.title}, {group.eps}, %")
        for tick in range(0, most + 1, 10):
            out.append(f'<line x1="{left}" y1="{y(tick):.1f}" x2="{right}" y2="{y(tick):.1f}" stroke="{GRID}"/>')
            text(left - 8, y(tick) + 4.5, 12, "end", INK, tick)
        for epoch in (1, group.epochs // 2, group.epochs):
            text(x(epoch), y0 + plot + 18, 12, "middle", INK, epoch)
        names = [case.name for case in group.cases if of(group, case, found)]
        # As many colours as there are; the others are grey.
        for i, name in enumerate(names):
            colour = COLOURS[i] if i < len(COLOURS) else "#bbbbbb"
            for r in (r for r in own if r["case"] == name):
                points = " ".join(f"{x(e['epoch']):.1f},{y(100 * e['robust']['hit'] / e['robust']['total']):.1f}"
                                  for e in r["epochs"])
                out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
            if i < len(COLOURS):
                text(right + 14, y0 + 14 + 18 * i, 13, "start", colour, name)
        if len(names) > len(COLOURS):
            text(right + 14, y0 + 14 + 18 * len(COLOURS), 13, "start", FAINT, f"{len(names) - len(COLOURS)} others")
    return "\n".join([*out, "</svg>"]) + "\n"


if __name__ == "__main__":
    main()
