#!/usr/bin/env bash
# A search by a real Slurm of two nodes on this machine. One node is lost while it works; its job is queued again, and the
# answer has the bytes of a search by one process.
#   usage: check.sh PROGRAM FOLDER
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=$(realpath "$1")
mkdir -p "$2"
folder=$(cd "$2" && pwd)
rm -rf "$folder/alone" "$folder/run"

fail() {
    echo "slurm: $*" >&2
    tail -n 30 "$folder"/run/slurm-*.log >&2 || true
    exit 1
}

arguments=(--budgets 2M --threads 1)
for setting in evaluate.attacks.1.steps=4 split.train=500 split.validation=100 split.test=64 split.weights_share=0.3 \
    supernet.channels=2 search.epochs=2 search.stage_one_epochs=1 search.warmup_epochs=0 search.batch=32 search.probe=32 \
    retrain.epochs=4 retrain.batch=16 retrain.method.eps=1/255 derive.random=1 derive.genotypes=2 \
    scaling.tolerance=0.4 'scaling.depth_share=[0.5, 0.99]'; do
    arguments+=(--set "$setting")
done

"$program" search "${arguments[@]}" --out "$folder/alone" >/dev/null
"$program" search "${arguments[@]}" --out "$folder/run" --begin
"$here/up.sh" "$folder/slurm"
trap '"$here/down.sh" "$folder/slurm"' EXIT
# shellcheck disable=SC1091
. "$folder/slurm/env.sh"
job=$("$program" submit "$folder/run" --nodes 2 --cpus 1 --mem 600M --time 1:00:00)

# Both nodes have a training each.
claims() { awk 'FNR == 1 { print $1 }' "$folder"/run/tasks/train-*/claim-* 2>/dev/null | sort -u | grep -c . || true; }
for _ in $(seq 1 6000); do
    [ "$(claims)" -ge 2 ] && break
    [ -e "$folder/run/ranked.json" ] && fail 'the run was over before both nodes had a training'
    sleep 0.1
done
[ "$(claims)" -ge 2 ] || fail 'both nodes did not take a training'
# The node goes with everything on it: its daemon, the step's and the worker.
lost=$(pgrep -f 'slurmd -N n2' | head -n 1)
index=$(squeue -h -j "$job" -w n2 -o '%K')
echo "slurm: node n2 is lost while it works at part $index of array $job"
step=$(pgrep -f 'slurmstepd' | while read -r pid; do
    grep -qz 'SLURMD_NODENAME=n2' "/proc/$pid/environ" 2>/dev/null && echo "$pid"
done || true)
kill -KILL "$lost"
for pid in $(pgrep -f "$program work"); do
    if tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -q '^SLURMD_NODENAME=n2$'; then kill -KILL "$pid"; fi
done
for pid in $step; do kill -KILL "$pid" 2>/dev/null || true; done
timeout 10 scontrol update nodename=n2 state=down reason=lost

for _ in $(seq 1 12000); do
    [ -e "$folder/run/ranked.json" ] && [ ! -e "$folder/run/tasks" ] && break
    sleep 0.1
done
[ -e "$folder/run/ranked.json" ] || fail 'the run was not finished by the node that was left'
for name in ranked.json frontier.json frontier.svg journal.jsonl; do
    cmp "$folder/alone/$name" "$folder/run/$name" || fail "$name is not what one process makes"
done
echo 'slurm: two nodes, one of them lost: the same bytes as one process'
