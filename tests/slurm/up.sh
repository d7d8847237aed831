#!/usr/bin/env bash
# A Slurm of two nodes on this machine, for tests: without root, systemd or installation. Its programs (unpack.sh), keys, sockets,
# logs and state are in one folder.
#   usage: up.sh FOLDER; then `. FOLDER/env.sh`, sbatch ...; down.sh FOLDER
set -euo pipefail
mkdir -p "$1"
base=$(cd "$1" && pwd)
unpacked=$base/debian
"$(dirname "${BASH_SOURCE[0]}")/unpack.sh" "$base"
libraries=$(dirname "$(find "$unpacked" -type d -name slurm-wlm -path '*/usr/lib/*' | head -n 1)")
for daemon in slurmctld slurmd slurmstepd; do ln -sf "$daemon-wlm" "$unpacked/usr/sbin/$daemon"; done

mkdir -p "$base"/{etc,state,log,run,munge,tmp-n1,tmp-n2}
chmod 700 "$base/munge"
cat >"$base/env.sh" <<ENV
export SLURM_CONF='$base/etc/slurm.conf'
export PATH='$unpacked/usr/bin:$unpacked/usr/sbin':"\$PATH"
export LD_LIBRARY_PATH='$libraries/slurm-wlm:$libraries'
ENV
# shellcheck disable=SC1091
. "$base/env.sh"

if [ ! -s "$base/munge/munge.key" ]; then
    head -c 1024 /dev/urandom >"$base/munge/munge.key"
    chmod 400 "$base/munge/munge.key"
fi
# --force: a parent folder that others may write to, as /tmp, is a warning.
munged --key-file="$base/munge/munge.key" --socket="$base/run/munge.sock" --pid-file="$base/run/munged.pid" \
    --log-file="$base/log/munged.log" --seed-file="$base/munge/munged.seed" --force

host=$(hostname -s)
# Where the machine's name is one of its own addresses the daemons listen there alone.
listen=
if getent ahostsv4 "$host" 2>/dev/null | grep -q '^127\.'; then
    listen='CommunicationParameters=NoCtldInAddrAny,NoInAddrAny'
fi
# cred_expire is also the time that a job which was queued again waits; the periods are short for a test's sake.
cat >"$base/etc/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26817
$listen
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$base/run/munge.sock,cred_expire=5
CredType=cred/munge
PluginDir=$libraries/slurm-wlm
StateSaveLocation=$base/state
SlurmdSpoolDir=$base/spool-%n
TmpFS=$base/tmp-%n
SlurmctldPidFile=$base/run/slurmctld.pid
SlurmdPidFile=$base/run/slurmd-%n.pid
SlurmctldLogFile=$base/log/slurmctld.log
SlurmdLogFile=$base/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=bf_interval=1,sched_interval=2,batch_sched_delay=0
SlurmdTimeout=10
KillWait=5
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=26818 CPUs=1 RealMemory=2000 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=26819 CPUs=1 RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
CONF
slurmctld -f "$SLURM_CONF"
for node in n1 n2; do slurmd -N "$node" -f "$SLURM_CONF" -d "$unpacked/usr/sbin/slurmstepd-wlm"; done
# A step that runs on both is the proof that they are up.
for _ in $(seq 1 30); do
    if timeout 20 srun -N 2 -n 2 --mem=10 true 2>/dev/null; then exit 0; fi
    sleep 0.5
done
tail -n 20 "$base"/log/*.log >&2
echo 'the two nodes did not come up' >&2
exit 1
