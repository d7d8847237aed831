#!/usr/bin/env bash
# Unpacks Debian's packages of Slurm (3.5 MB) into FOLDER/debian, unless they are there; nothing is installed.
#   usage: unpack.sh FOLDER
# Needs Debian's apt and a package list (apt-get update).
set -euo pipefail
unpacked=$1/debian
[ ! -x "$unpacked/usr/sbin/slurmctld-wlm" ] || exit 0
mkdir -p "$unpacked/packages"
cd "$unpacked/packages"
apt-get download -q slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge libmunge2 libhwloc15 liblua5.1-0
for package in *.deb; do dpkg -x "$package" ..; done
