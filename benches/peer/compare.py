#!/usr/bin/env python3
"""robustnas against PyTorch on this machine, case by case: time and peak memory.

Ours and PyTorch's run in turn, PyTorch's in both memory layouts, every measurement in a process of its own, so that a
disturbance meets all of them and the peak of memory belongs to the case. A ratio is that of the medians over the
rounds; its spread is the smallest and the largest ratio of a round. Of PyTorch's layouts the faster one counts. Where
torch.compile is a contestant, its time stands beside the two.

  python3 benches/peer/compare.py --python .venv/bin/python --cases pgd,wrn-16-4 --rounds 3

Python's standard library only; the Python named by --python needs `pip install torch`. Results go to results/bench.
"""
import argparse
import datetime
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

PEER = Path(__file__).resolve().parent
ROOT = PEER.parent.parent
LAYOUTS = {"channels first": [], "channels last": ["--channels-last"]}
COMPILED = "compiled"
ARNAS = "dsara:search_spaces/genotypes/ARNAS.txt"
DERIVED = "results/example/archs/39caa91c6413b426/arch.json"
NET_A = ["--net", "tests/fixtures/attack_net_a/model.onnx", "--data", "npy:tests/fixtures/attack_net_a"]
SEARCH = ["forward", "weight_step", "pgd", "first_order_step", "second_order_step"]
SCALING = "first_order_step"


@dataclass(frozen=True)
class Case:
    """What is measured: a verb of `robustnas bench` and the peer's script, and the sizes that are not the options'."""
    verb: str
    script: str
    ours: list
    theirs: list
    sizes: dict = field(default_factory=dict)
    # Whether torch.compile takes part.
    compiled: bool = False


def search(case, **rest):
    return Case("step", "search_step.py", ["--cases", case], ["--cases", case], **rest)


def train(net, batch=None):
    return Case("train", "train_step.py", ["--net", net], ["--net", net], {"batch": batch} if batch else {})


CASES = {case: search(case, compiled=case == SCALING) for case in SEARCH} | {
    # The search's own networks are narrow.
    "supernet-8-5": search("first_order_step", sizes={"channels": 8, "layers": 5, "batch": 64}),
    "arnas-8-8": train(f"{ARNAS},channels=8,layers=8", 64),
    "derived-8m": train(DERIVED, 32),
    "wrn-16-1": train("wrn:depth=16,width=1", 64),
    "preact-resnet-18": train("preact-resnet:18"),
    "wrn-16-4": train("wrn:depth=16,width=4"),
    "arnas-36-8": train(f"{ARNAS},channels=36,layers=8"),
    "vit-tiny-4": train("vit:tiny-4"),
    "robust-resnet": train("robust-resnet:depths=2-2-1,widths=5-7-3"),
    # Minutes each; nothing in it is cold for long.
    "autoattack": Case("attack", "attack.py", [*NET_A, "--plan", "autoattack"], [], {"steps": 1}),
}
MIB = 1 << 20


def main():
    a = arguments()
    torch = torch_version(a.python)
    if not a.binary.exists():
        sys.exit(f"{a.binary} is missing: run `cargo build --release`, or `make bench-peer`, which does")
    started = datetime.datetime.now().astimezone()
    machine = facts(torch)
    clock = Clock()
    runs = {case: measured_rounds(case, a) for case in a.cases}
    others = clock.others()
    results = {case: result(found) for case, found in runs.items()}
    document = {
        "schema_version": 1,
        "date": started.isoformat(timespec="seconds"),
        "machine": machine,
        "others_busy": others,
        "options": {"rounds": a.rounds, "steps": a.steps, "threads": a.threads},
        "results": results,
        "runs": runs,
    }
    text = markdown(document)
    print(text)
    selection = [] if a.cases == list(CASES) else a.cases
    name = "-".join([f"{started:%Y-%m-%d}", slug(machine["cpu"]), *selection])
    a.out.mkdir(parents=True, exist_ok=True)
    for ending, content in {"json": json.dumps(document, indent=1) + "\n", "md": text}.items():
        path = a.out / f"{name}.{ending}"
        path.write_text(content)
        print(f"{path} written", file=sys.stderr)


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--python", default=".venv/bin/python",
                    help="the Python that has PyTorch; a relative path starts at the repository")
    ap.add_argument("--binary", type=Path, default=ROOT / "target/release/robustnas")
    ap.add_argument("--cases", default="", help=f"of {', '.join(CASES)}; default: all")
    ap.add_argument("--rounds", type=int, default=5, help="processes a case and contestant")
    ap.add_argument("--steps", type=int, default=3, help="timed repetitions a process")
    ap.add_argument("--threads", type=int, default=len(cores()))
    ap.add_argument("--channels", type=int, default=16, help="of the search's supernet")
    ap.add_argument("--layers", type=int, default=8, help="of the search's supernet")
    ap.add_argument("--search-batch", type=int, default=32)
    ap.add_argument("--pgd-steps", type=int, default=7)
    ap.add_argument("--batch", type=int, default=128, help="of the training steps")
    ap.add_argument("--points", type=int, default=128, help="images that autoattack is given")
    ap.add_argument("--method", default="n-fgsm", help="of the training steps")
    ap.add_argument("--out", type=Path, default=ROOT / "results/bench")
    a = ap.parse_args()
    a.binary = a.binary.resolve()
    a.cases = [case for case in a.cases.split(",") if case] or list(CASES)
    for case in a.cases:
        if case not in CASES:
            ap.error(f"unknown case {case}; known: {', '.join(CASES)}")
    if min(a.rounds, a.steps, a.threads) < 1:
        ap.error("--rounds, --steps and --threads are at least 1")
    return a


def cores():
    """The cores that this process may use."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)


def torch_version(python):
    try:
        return said([python, "-c", "import torch; print(torch.__version__)"])
    except (OSError, subprocess.CalledProcessError) as error:
        why = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
        sys.exit(f"--python {python} has no PyTorch ({why}): run `make peer-venv`, or name a Python that has it: "
                 "make bench-peer PYTHON=/path/to/python")


def said(command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def known(command):
    """What a command says, if it can be asked."""
    try:
        return said(command)
    except (OSError, subprocess.CalledProcessError):
        return None


# Measuring.


def measured_rounds(case, a):
    """Of every contestant, what it measured in each round."""
    contestants = {"ours": ours(case, a, a.threads)}
    for layout, option in LAYOUTS.items():
        contestants[layout] = theirs(case, a) + option
    if CASES[case].compiled:
        contestants[COMPILED] = theirs(case, a) + ["--channels-last", "--compile"]
    if case == SCALING and a.threads > 1:
        contestants["ours, 1 thread"] = ours(case, a, 1)
    found = {name: [] for name in contestants}
    for round_ in range(a.rounds):
        for name, command in contestants.items():
            found[name].append(measured(command))
            print(f"{case}, round {round_ + 1} of {a.rounds}, {name}: {found[name][-1]['ms']:.1f} ms", file=sys.stderr)
    if len(counts := {line["params"] for lines in found.values() for line in lines if "params" in line}) > 1:
        sys.exit(f"{case}: the networks differ: {sorted(counts)} parameters")
    left = {name: lines[0]["robust"] for name, lines in found.items() if "robust" in lines[0]}
    if left and max(left.values()) - min(left.values()) > 1:
        sys.exit(f"{case}: the attacks leave different numbers of images: {left}")
    return found


def ours(case, a, threads):
    known = CASES[case]
    return [str(a.binary), "bench", known.verb, *known.ours, *sizes(known, a), "--threads", str(threads), "--json"]


def theirs(case, a):
    known = CASES[case]
    return [a.python, str(PEER / known.script), *known.theirs, *sizes(known, a), "--threads", str(a.threads)]


def sizes(case, a):
    options = {"steps": a.steps} | {
        "step": {"channels": a.channels, "layers": a.layers, "batch": a.search_batch, "pgd-steps": a.pgd_steps},
        "train": {"method": a.method, "batch": a.batch},
        "attack": {"n": a.points, "batch": a.batch},
    }[case.verb] | case.sizes
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def measured(command):
    try:
        return json.loads(said(command))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(command)} failed:\n{error.stderr.strip()}")


class Clock:
    """How much of the machine goes to other processes from now on."""

    def __init__(self):
        self.begun = self.now()

    @staticmethod
    def now():
        """Seconds: of the wall, of all processes (None where the system does not tell), of our own."""
        own = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        try:
            user, nice, system, _idle, _wait, *rest = map(int, Path("/proc/stat").read_text().split()[1:9])
        except OSError:
            return time.monotonic(), None, own
        return time.monotonic(), (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK"), own

    def others(self):
        """Their share of all cores' time."""
        (wall, busy, own), (wall0, busy0, own0) = self.now(), self.begun
        if busy is None:
            return None
        share = (busy - busy0 - (own - own0)) / ((wall - wall0) * (os.cpu_count() or 1))
        return round(max(share, 0), 3)


# Judging.


def result(found):
    """Medians over the rounds, and the ratios of PyTorch's to ours."""
    def middle(name, field):
        values = [line[field] for line in found[name] if line.get(field) is not None]
        return round(statistics.median(values), 3) if values else None

    layout = min(LAYOUTS, key=lambda name: middle(name, "ms"))
    answer = {"layout": layout, "params": found["ours"][0]["params"], "batch": found["ours"][0]["batch"]}
    answer["ours_ms"], answer["torch_ms"] = middle("ours", "ms"), middle(layout, "ms")
    answer["speedup"] = ratio(found[layout], found["ours"], lambda line: line["ms"])
    answer["ours_peak_bytes"], answer["torch_peak_bytes"] = middle("ours", "peak_bytes"), middle(layout, "peak_bytes")
    answer["torch_import_bytes"] = middle(layout, "import_bytes")
    answer["ours_arena_bytes"] = middle("ours", "arena_bytes")
    if answer["ours_peak_bytes"]:
        answer["memory"] = ratio(found[layout], found["ours"], lambda line: line["peak_bytes"])
        answer["memory_beyond_import"] = ratio(
            found[layout], found["ours"], lambda line: line["peak_bytes"] - (line.get("import_bytes") or 0))
    if COMPILED in found:
        answer["compiled_ms"] = middle(COMPILED, "ms")
        answer["compiled_speedup"] = ratio(found[COMPILED], found["ours"], lambda line: line["ms"])
    if "ours, 1 thread" in found:
        scaling = ratio(found["ours, 1 thread"], found["ours"], lambda line: line["ms"])
        answer["scaling"] = scaling | {"threads": found["ours"][0]["threads"]}
    return answer


def ratio(above, below, of):
    """Of the medians, with the extremes of the rounds."""
    above, below = ([of(line) for line in lines] for lines in (above, below))
    rounds = [a / b for a, b in zip(above, below)]
    ratios = {"median": statistics.median(above) / statistics.median(below), "min": min(rounds), "max": max(rounds)}
    return {name: round(value, 3) for name, value in ratios.items()}


# Telling.


def facts(torch):
    """What the numbers depend on."""
    cpu = cpuinfo()
    commit = known(["git", "rev-parse", "HEAD"]) or "unknown"
    changed = known(["git", "status", "--porcelain", "--untracked-files=no"])
    return {
        "cpu": cpu.get("model name") or platform.processor() or platform.machine(),
        "cores": len(cores()),
        "features": [flag for flag in cpu.get("flags", "").split() if re.match(r"avx|fma$|amx", flag)],
        "caches": caches(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "os": platform.platform(),
        "rustc": known(["rustc", "--version"]) or "unknown rustc",
        "torch": torch,
        "commit": commit + (" and changes" if changed else ""),
    }


def cpuinfo():
    """The first processor of /proc/cpuinfo; nothing outside Linux."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def caches():
    """The first core's, such as `L1 data 48K`."""
    found = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        found.append(f"L{level} {kind.lower()} {size}")
    return found


def slug(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def markdown(document):
    m, o = document["machine"], document["options"]
    features = [name for name in ("avx2", "avx512f") if name in m["features"]]
    lines = [
        f"# robustnas and PyTorch, {document['date'][:10]}",
        "",
        f"{m['cpu']}, {m['cores']} cores ({', '.join([*features, *m['caches']])}), "
        f"{m['memory_bytes'] / (1 << 30):.1f} GiB; {m['os']}; {m['rustc']}; torch {m['torch']}; "
        f"commit {m['commit']}.{disturbance(document['others_busy'])}",
        "",
        f"{o['threads']} threads, {o['rounds']} rounds of {o['steps']} timed steps. A ratio above 1 is in our favour: "
        "PyTorch's median over ours, with the extremes of the rounds. Of PyTorch's two memory layouts the faster one "
        "counts. Peak memory is the process's; importing PyTorch is part of it, and left out in the last column.",
        "",
        "| case | batch | ours ms | PyTorch ms | layout | time ratio | ours MiB | PyTorch MiB (import) "
        "| memory ratio | beyond import |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for case, r in document["results"].items():
        imported = f" ({mib(r['torch_import_bytes'])})" if r["torch_import_bytes"] else ""
        cells = [case, r["batch"], f"{r['ours_ms']:.1f}", f"{r['torch_ms']:.1f}", r["layout"], spread(r["speedup"]),
                 mib(r["ours_peak_bytes"]), mib(r["torch_peak_bytes"]) + imported, spread(r.get("memory")),
                 spread(r.get("memory_beyond_import"))]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    for case, r in document["results"].items():
        if compiled := r.get("compiled_speedup"):
            lines += ["", f"{case}, torch.compile, channels last: {r['compiled_ms']:.1f} ms, {spread(compiled)} times ours."]
        if scaling := r.get("scaling"):
            lines += ["", f"{case}, ours: 1 thread takes {spread(scaling)} times as long as {scaling['threads']}."]
    return "\n".join(lines) + "\n"


def disturbance(others):
    if others is None:
        return ""
    verdict = " These times say little: repeat on a quiet machine." if others > 0.05 else ""
    return f" Other processes took {100 * others:.0f} % of the machine's time.{verdict}"


def spread(ratio_):
    return f"{ratio_['median']:.2f} ({ratio_['min']:.2f} to {ratio_['max']:.2f})" if ratio_ else "-"


def mib(count):
    return f"{count / MIB:.0f}" if count else "-"


if __name__ == "__main__":
    main()
