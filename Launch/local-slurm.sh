# shellcheck shell=bash
# Sourced by Launch/local-cluster: a Slurm controller on apus0 and a daemon on each host, with a munge key of their own.
# Everything lies in the cluster's state folder; a Slurm of the machine itself is not touched.

# shellcheck disable=SC2154  # state, network: Launch/local-cluster
slurm_folder=/run/apus-cluster/slurm

slurm_configuration() {
  local last=$1
  cat <<END
ClusterName=apus
SlurmctldHost=apus0
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$slurm_folder/munge/socket,cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
KillWait=30
MailProg=/bin/true
StateSaveLocation=$slurm_folder/state
SlurmdSpoolDir=$slurm_folder/spool.%n
SlurmctldPidFile=$slurm_folder/slurmctld.pid
SlurmdPidFile=$slurm_folder/slurmd.%n.pid
SlurmctldLogFile=$slurm_folder/slurmctld.log
SlurmdLogFile=$slurm_folder/slurmd.%n.log
NodeName=apus[0-$last] CPUs=4 SocketsPerBoard=1 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
}

# Whether this machine has Slurm and munge; ends with one line where something is missing.
slurm_require() {
  local tool
  for tool in slurmctld:slurmctld slurmd:slurmd sbatch:slurm-client munged:munge; do
    command -v "${tool%:*}" >/dev/null || fail 66 "no ${tool%:*} on PATH; as root: apt-get install ${tool#*:}"
  done
}

# daemon NAME COMMAND...: starts it in a session of its own, without files that the caller holds open.
slurm_daemon() {
  local name=$1 descriptor
  shift
  (
    for descriptor in /proc/self/fd/*; do
      descriptor=${descriptor##*/}
      ((descriptor < 3)) || eval "exec $descriptor>&-"
    done
    exec setsid "$@" </dev/null >"$slurm_folder/$name.out" 2>&1
  ) &
  printf '%d\n' $! >>"$slurm_folder/daemons"
}

slurm_up() {
  local count index
  slurm_require
  count=$(hosts_up)
  [[ ! -e $slurm_folder/up ]] || fail 73 'Slurm is up; Launch/local-cluster slurm down ends it'
  slurm_down
  trap 'trap "" INT TERM HUP; slurm_down' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  mkdir -p "$slurm_folder/state" "$slurm_folder/munge"
  chmod 755 "$state" "$slurm_folder" "$slurm_folder/munge"
  slurm_configuration $((count - 1)) >"$slurm_folder/slurm.conf"
  printf 'CgroupPlugin=%s\nCgroupMountpoint=/sys/fs/cgroup\n' \
    "$([[ -e /sys/fs/cgroup/cgroup.controllers ]] && printf autodetect || printf cgroup/v1)" >"$slurm_folder/cgroup.conf"
  (umask 077 && head -c 1024 /dev/urandom >"$slurm_folder/munge/key")
  export SLURM_CONF=$slurm_folder/slurm.conf
  slurm_daemon munged munged --foreground --force --socket="$slurm_folder/munge/socket" \
    --key-file="$slurm_folder/munge/key" --pid-file="$slurm_folder/munge/pid" --seed-file="$slurm_folder/munge/seed" \
    --log-file="$slurm_folder/munge/log"
  slurm_daemon slurmctld "$checkout/Launch/local-cluster" on apus0 slurmctld -D -i
  for ((index = 0; index < count; index++)); do
    # Several daemons share this machine's /tmp, where the PMIx of each would meet the others' files.
    mkdir -p "$slurm_folder/spool.apus$index"
    # shellcheck disable=SC2016  # for the inner shell
    slurm_daemon "slurmd.apus$index" "$checkout/Launch/local-cluster" on "apus$index" \
      unshare --mount bash -c 'mount --bind "$TMPDIR" /tmp && exec slurmd -D -N "$1"' sh "apus$index"
  done
  for ((index = 0; index < 60; index++)); do
    (($(SLURM_CONF=$slurm_folder/slurm.conf slurm_command sinfo -h -t idle -o %D 2>/dev/null) + 0 == count)) && break
    sleep 0.5
  done
  ((index < 60)) || fail 70 "Slurm's hosts are not idle after 30 s: $(slurm_last_words)"
  : >"$slurm_folder/up"
  trap - EXIT INT TERM HUP
  printf 'Slurm runs on %d hosts; Launch/local-cluster on apus0 sbatch ...\n' "$count"
}

# slurm_command COMMAND...: a Slurm client on apus0, without becoming it.
slurm_command() {
  (SLURM_CONF=$slurm_folder/slurm.conf on apus0 "$@")
}

slurm_last_words() {
  cat "$slurm_folder"/*.out "$slurm_folder"/*.log 2>/dev/null | grep -E 'error|fatal' | tail -n 1
}

# Ends the daemons, the controller last so that it sees the jobs end; nothing running is no error.
slurm_down() {
  local pids=() round
  [[ -e $slurm_folder/up ]] && slurm_command scancel --full --user=root 2>/dev/null && sleep 1
  [[ ! -e $slurm_folder/daemons ]] || mapfile -t pids <"$slurm_folder/daemons"
  for round in TERM KILL; do
    ((${#pids[@]})) || break
    kill -s "$round" -- "${pids[@]/#/-}" 2>/dev/null || break
    for _ in {1..30}; do
      kill -0 -- "${pids[@]/#/-}" 2>/dev/null || break
      sleep 0.1
    done
  done
  rm -rf -- "$slurm_folder"
}

slurm_status() {
  if [[ -e $slurm_folder/up ]]; then
    slurm_command sinfo -h -o 'Slurm: %D hosts %t'
    slurm_command squeue -h -o 'Slurm job %i %j %T since %M, %D hosts'
  else
    printf 'Slurm is not up\n'
  fi
}
