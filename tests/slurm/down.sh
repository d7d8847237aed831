#!/usr/bin/env bash
# Ends what up.sh began.   usage: down.sh FOLDER
set -u
base=$(cd "$1" && pwd)
# shellcheck disable=SC1091
. "$base/env.sh"
timeout 10 scancel -u "$(id -un)" 2>/dev/null
for _ in $(seq 1 50); do
    [ -z "$(timeout 5 squeue -h 2>/dev/null)" ] && break
    sleep 0.2
done
for file in "$base"/run/slurmd-*.pid "$base/run/slurmctld.pid" "$base/run/munged.pid"; do
    [ -e "$file" ] || continue
    pid=$(cat "$file")
    kill -TERM "$pid" 2>/dev/null
    for _ in $(seq 1 50); do
        case $(sed 's/.*) //;s/ .*//' "/proc/$pid/stat" 2>/dev/null) in '' | Z) break ;; esac
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null
    rm -f "$file"
done
rm -rf "$base/state" "$base"/spool-* "$base"/tmp-*
exit 0
