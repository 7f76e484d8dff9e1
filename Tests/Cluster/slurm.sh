# shellcheck shell=bash
# Sourced by Tests/Cluster/run: the batch script under a real Slurm.
# shellcheck disable=SC2154,SC2317  # variables of Tests/Cluster/run, whose tests are called by name

# submit NAME STARTER OPTIONS...: the batch script on three hosts, its ranks started by mpirun or srun.
submit() {
  local run=$work/$1
  (cd "$checkout" && APUS_LAUNCH=$2 "$cluster" on apus0 sbatch --nodes=3 --cpus-per-task=1 --output="$run.log" \
    "${@:3}" Launch/slurm/train.sbatch "$recipe" --run-directory "$run" "${settings[@]}")
}

# hold NAME...: keeps the ranks of each run from finishing before Slurm's signal, however fast the machine is.
hold() {
  local name
  for name in "$@"; do
    wait_for 600 reached "$work/$name" 10 || return 1
    # shellcheck disable=SC2046  # several processes
    kill -STOP $(ranks_of "$name")
  done
  for name in "$@"; do
    wait_for 300 grep -qs 'is told to stop by SIGUSR1' "$work/$name.log" || printf '%s got no signal\n' "$name"
    # shellcheck disable=SC2046  # several processes
    kill -CONT $(ranks_of "$name")
  done
}

# queued_again NAME STRAIGHT: waits for the end; the job was signalled, ended with 75, and has the bits of the other run.
queued_again() {
  local run=$work/$1
  wait_for 900 grep -qs 'finished at start' "$run/supervise.log" || printf 'not done in time\n'
  grep -hE '^(train.sbatch|stopped by a signal|resuming after)' "$run.log"
  grep -q 'is told to stop by SIGUSR1' "$run.log" || return 1
  grep -q 'ended with status 75 and is queued again' "$run.log" || return 1
  same_digests "$work/$2" "$run"
}

# Two jobs at once, by mpirun and by srun. Slurm looks every half a minute and signals as much earlier: each start is
# signalled after 15 to 45 s, its limit is at 120.
slurm() {
  local settings=(--set batch.global=3 --set schedule.steps=60) status=0
  straight batch3 "${settings[@]}"
  "$cluster" slurm up || return 1
  submit slurm-mpirun mpirun --time=2 --signal=B:USR1@75 || status=1
  submit slurm-srun srun --time=2 --signal=B:USR1@75 || status=1
  hold slurm-mpirun slurm-srun || status=1
  queued_again slurm-mpirun batch3 || status=1
  queued_again slurm-srun batch3 || status=1
  "$cluster" slurm down
  return "$status"
}

# signal_twice NAME: SIGUSR1, then SIGTERM and once more both, as Slurm does before a time limit and at a preemption.
signal_twice() {
  local name
  for name in USR1 TERM USR1 TERM; do
    "$cluster" on apus0 scancel --batch --signal="$name" --name="$1"
    sleep 1
  done
}

# Late: while steps are under way, by either starter. Early: before the ranks have started, when nothing is to be saved.
slurm_signals() {
  local settings=(--set batch.global=3 --set schedule.steps=60) status=0 starter run
  straight batch3 "${settings[@]}"
  "$cluster" slurm up || return 1
  submit early mpirun --time=10 --signal=B:USR1@1 --job-name=early || status=1
  wait_for 300 grep -qs ' start 1 from ' "$work/early/supervise.log" || status=1
  signal_twice early
  for starter in mpirun srun; do
    submit "late-$starter" "$starter" --time=10 --signal=B:USR1@1 --job-name="late-$starter" || status=1
  done
  for starter in mpirun srun; do
    wait_for 600 reached "$work/late-$starter" 10 || status=1
    # No rank can save before the last signal is there.
    # shellcheck disable=SC2046  # several processes
    kill -STOP $(ranks_of "late-$starter")
    signal_twice "late-$starter"
    # shellcheck disable=SC2046  # several processes
    kill -CONT $(ranks_of "late-$starter")
  done
  for run in early late-mpirun late-srun; do
    queued_again "$run" batch3 || status=1
    # Not even once by a signal, which the batch script would forgive.
    ! grep -h 'ended with status [^7]' "$work/$run.log" || status=1
  done
  "$cluster" slurm down
  return "$status"
}
