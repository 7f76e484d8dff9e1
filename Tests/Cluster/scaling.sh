# shellcheck shell=bash
# Sourced by Tests/Cluster/run: scaling studies on several hosts, as Slurm jobs and inside one.
# shellcheck disable=SC2154,SC2317  # variables of Tests/Cluster/run, whose tests are called by name

# study NAME LAUNCH RANKS: a study of a small recipe, one launch of every cell.
study() {
  cat >"$work/$1.yaml" <<END
study: $1
work: {recipe: $recipe, data: loader, steps: 4}
launch: {$2}
points:
  - {kind: weak, ranks: [$3]}
  - {kind: strong, ranks: [$3], globalBatch: 6}
factors: {overlap: [off]}
controls: {copies: false, storage: false}
repeat: {least: 1, most: 1, functional: 1}
END
}

# studied NAME RANKS: every cell has its launch, and all that can be compared have equal bits.
studied() {
  local ranks missing=0
  for ranks in $2; do
    [[ -e $work/$1/runs/weak-r$ranks-b$ranks-t1-overlap-off-loader-000.h5 ]] || missing=1
    [[ -e $work/$1/runs/strong-r$ranks-b6-t1-overlap-off-loader-000.h5 ]] || missing=1
  done
  ((missing == 0)) || { printf 'launches are missing; there are: %s\n' "$(ls "$work/$1/runs")" && return 1; }
  "$(find_executable)" scaling report "$work/$1" >"$work/$1.report" || { cat "$work/$1.report" && return 1; }
  grep 'equal weights, bit by bit\|functional test only' "$work/$1.report"
}

study_on_hosts() {
  study cluster 'by: cluster, ranksPerNode: 1' '1, 2, 3'
  "$(find_executable)" scaling run "$work/cluster.yaml" --directory "$work/cluster" >"$work/cluster.log" 2>&1 ||
    { tail -n 3 "$work/cluster.log" && return 1; }
  studied cluster '1 2 3'
}

# A host is lost during a launch: told, and the launch comes again.
study_loses_host() {
  local job status=0
  study losing 'by: cluster, ranksPerNode: 1' '1, 3'
  "$(find_executable)" scaling run "$work/losing.yaml" --directory "$work/losing" >"$work/losing.log" 2>&1 &
  job=$!
  wait_for 120 study_ranks_on apus1 || return 1
  # shellcheck disable=SC2046  # several processes
  kill -KILL $(ip netns pids apus1) || true
  wait "$job" || status=$?
  grep 'failed with status' "$work/losing.log"
  expect 74 "$status" 'exit status' || return 1
  "$(find_executable)" scaling run "$work/losing.yaml" --directory "$work/losing" >>"$work/losing.log" 2>&1 ||
    { tail -n 3 "$work/losing.log" && return 1; }
  studied losing '1 3'
}

study_ranks_on() {
  local process
  for process in $(ip netns pids "$1"); do
    [[ $(tr '\0' ' ' <"/proc/$process/cmdline" 2>/dev/null) != *'apus scaling launch'* ]] || return 0
  done
  return 1
}

# Jobs: submitted, collected by calling again. One allocation: the batch script that is shipped.
study_in_slurm() {
  local status=75 result=0 round
  study jobs 'by: slurm, ranksPerNode: 1' '1, 2, 3'
  study allocation 'by: mpirun, ranksPerNode: 1' '1, 2, 3'
  "$cluster" slurm up || return 1
  for ((round = 0; round < 120 && status == 75; round++)); do
    status=0
    "$cluster" on apus0 "$(find_executable)" scaling run "$work/jobs.yaml" --directory "$work/jobs" \
      >>"$work/jobs.log" 2>&1 || status=$?
    ((status != 75)) || sleep 3
  done
  expect 0 "$status" 'exit status of the last call' || { tail -n 3 "$work/jobs.log" && result=1; }
  studied jobs '1 2 3' || result=1
  (cd "$checkout" && APUS_HOME=${APUS_HOME:-$checkout} "$cluster" on apus0 sbatch --nodes=3 --ntasks-per-node=1 \
    --wait --time=20 --output="$work/allocation.log" Launch/slurm/scaling.sbatch "$work/allocation.yaml" \
    --directory "$work/allocation") || { tail -n 3 "$work/allocation.log" && result=1; }
  studied allocation '1 2 3' || result=1
  "$cluster" slurm down
  return "$result"
}
