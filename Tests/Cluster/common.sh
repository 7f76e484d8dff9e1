# shellcheck shell=bash
# Sourced by the tests of launchers: a folder for runs, the recipe, runs on one rank to compare with, digests.

# shellcheck source=Launch/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../../Launch/common.sh"

recipe=$checkout/Launch/recipes/test-invariance.yaml
# In the checkout: the hosts of a local Slurm have a /tmp of their own.
mkdir -p "$scratch"
work=$(mktemp -d -p "$scratch")
export APUS_THREADS=1

# digests FOLDER: the three digests of a run's summary, or nothing.
digests() {
  grep -h 'Digest"' "$1/summary.json" 2>/dev/null | tr -d ' ,' | sort || true
}

# same_digests FOLDER FOLDER: whether both runs ended, with equal digests.
same_digests() {
  local first second
  first=$(digests "$1") second=$(digests "$2")
  [[ $(wc -l <<<"$first") == 3 && $first == "$second" ]] || {
    printf 'digests differ:\n%s: %s\n%s: %s\n' "$1" "${first:-none}" "$2" "${second:-none}" >&2
    return 1
  }
}

# straight NAME SETTINGS...: an uninterrupted run on one rank, made once for each name.
straight() {
  local name=$1
  shift
  [[ -e $work/$name/summary.json ]] ||
    "$checkout/Launch/mpirun" -n 1 train "$recipe" --run-directory "$work/$name" "$@" >"$work/$name.log" 2>&1
}

# last_step FOLDER: the last step in a run's log, 0 without one.
last_step() {
  local step
  step=$(tail -n 1 "$1/log.jsonl" 2>/dev/null | sed -nE 's/.*"step" ?: ?([0-9]+).*/\1/p')
  printf '%d\n' "${step:-0}"
}

# wait_for SECONDS COMMAND...: until the command succeeds; fails when the time is over.
wait_for() {
  local until=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < until)) || return 1
    sleep 0.1
  done
}

reached() {
  (($(last_step "$1") >= $2))
}

gone() {
  ! kill -0 "$1" 2>/dev/null
}

# find_job ANCESTOR: mpirun below that process and its ranks, in one line; nothing between two starts.
find_job() {
  ps -e -o pid=,ppid=,comm= | awk -v top="$1" '
    { parent[$1] = $2; name[$1] = $3 }
    END {
      for (id in name) {
        if (name[id] !~ /^(mpirun|orterun|prterun)/) continue
        for (above = id; above in parent && above != top; above = parent[above]);
        if (above != top) continue
        line = id
        for (child in parent) if (parent[child] == id) line = line " " child
        print line
        exit
      }
    }'
}

# have_job ANCESTOR: sets `job` to mpirun and its ranks once there are some.
have_job() {
  local found
  found=$(find_job "$1")
  read -ra job <<<"$found"
  ((${#job[@]} > 1))
}

# ranks_of NAME: the processes of a run's ranks, on all hosts.
ranks_of() {
  local process words
  for process in $(pgrep -x apus); do
    mapfile -d '' -t words 2>/dev/null <"/proc/$process/cmdline" || continue
    # The supervisor is the same program.
    [[ ${words[1]-} != train || " ${words[*]} " != *" $work/$1 "* ]] || printf '%d\n' "$process"
  done
}

no_ranks_of() {
  [[ -z $(ranks_of "$1") ]]
}
