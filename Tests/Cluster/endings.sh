# shellcheck shell=bash
# Sourced by Tests/Cluster/run: jobs on several hosts that end because a network or a launcher is gone.
# shellcheck disable=SC2154,SC2317  # variables of Tests/Cluster/run, whose tests are called by name

# cut HOST...: takes hosts off the network, as a cable or a switch would: nothing is refused, nothing answers.
cut_off() {
  local host
  for host in "$@"; do ip link set "v$host" nomaster; done
}

heal() {
  local host
  for host in "$@"; do ip link set "v$host" master apusbr; done
}

# Two of four hosts are lost in the midst of a run and stay so. The stall limit is 10 s.
partitioned() {
  local run=$work/partitioned began job status=0 line settings
  settings=(--set batch.global=8 --set schedule.steps=60 --set checkpoint.every=10 --set watch.stallMinimumSeconds=10)
  straight eight60 "${settings[@]}"
  write_host_file "$work/four" apus0 apus1 apus2 apus3
  write_host_file "$work/two" apus0 apus1
  "$cluster" on apus0 "$checkout/Launch/mpirun" --hosts "$work/four" train "$recipe" --run-directory "$run" \
    "${settings[@]}" >"$run.log" 2>&1 &
  job=$!
  wait_for 300 reached "$run" 12 || return 1
  cut_off apus2 apus3
  trap 'heal apus2 apus3' EXIT
  began=$SECONDS
  wait "$job" || status=$?
  line=$(tail -n 1 "$run.log")
  printf 'status %d, %d s after the cut: %s\n' "$status" $((SECONDS - began)) "$line"
  expect 70 "$status" 'exit status' || return 1
  ((SECONDS - began <= 40)) || return 1
  [[ $line == 'apus: stalled: '*'rank 4 on apus2 '*'rank 6 on apus3 '* ]] || return 1
  refused_start || return 1
  "$cluster" on apus0 "$checkout/Launch/mpirun" --hosts "$work/two" train "$recipe" --run-directory "$run" --resume \
    "${settings[@]}" >>"$run.log" 2>&1 || { tail -n 3 "$run.log" && return 1; }
  grep -h 'resuming after' "$run.log"
  same_digests "$work/eight60" "$run" || return 1
  # Nobody has told the ranks on the other side, which end by themselves.
  wait_for 60 no_ranks_of partitioned
}

# A start on the same hosts is refused, with a line for each that is cut off.
refused_start() {
  local status=0 said began=$SECONDS
  said=$("$cluster" on apus0 "$checkout/Launch/mpirun" --hosts "$work/four" -- --version 2>&1) || status=$?
  printf '%s\n' "$said"
  expect 74 "$status" 'exit status of a start' || return 1
  ((SECONDS - began <= 30)) || return 1
  [[ $said == *'cannot reach host apus2: '*$'\n'*'cannot reach host apus3: '* ]]
}

# The launcher alone is killed; ranks, daemons and mpirun go with it, and the run goes on.
killed_launcher() {
  local run=$work/orphans job settings=(--set schedule.steps=60 --set checkpoint.every=10) began
  straight steps60 "${settings[@]}"
  write_host_file "$work/two" apus0 apus1
  "$cluster" on apus0 "$checkout/Launch/mpirun" --hosts "$work/two" train "$recipe" --run-directory "$run" \
    "${settings[@]}" >"$run.log" 2>&1 &
  job=$!
  wait_for 180 reached "$run" 12 || return 1
  kill -KILL "$job"
  began=$SECONDS
  wait_for 20 no_ranks_of orphans || { printf 'ranks are left\n' && return 1; }
  printf 'no ranks after %d s\n' $((SECONDS - began))
  "$cluster" on apus1 "$checkout/Launch/supervise" --release-lock --max-restarts 1 -- "$checkout/Launch/mpirun" \
    --hosts "$work/two" train "$recipe" --run-directory "$run" --resume "${settings[@]}" >>"$run.log" 2>&1 ||
    { tail -n 3 "$run.log" && return 1; }
  same_digests "$work/steps60" "$run"
}
