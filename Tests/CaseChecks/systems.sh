# shellcheck shell=bash
# Cases of hosts, file systems and launchers: sourced by Tests/cases, which runs each function in a copy of its folder.
# shellcheck disable=SC2154  # set where this is sourced

train_on_two() {
  try 0 "$@" "$checkout/Launch/mpirun" --hosts "$hosts" -n 2 train "$recipe" --run-directory run --steps 2
}

host_file_line_ends() {
  local hosts=hosts-crlf
  train_on_two env
}

login_shell_tcsh() {
  local hosts=hosts
  train_on_two env OMPI_MCA_plm_rsh_agent="$PWD/tcsh-agent"
}

# trains_with NAME VARIABLE...: a run on a file system that lacks something warns and keeps its checkpoints.
trains_with() {
  local run=run-$1
  shift
  try 0 env "$@" "$apus" train "$recipe" --run-directory "$run" --steps 2 || return 1
  says 'warning|lock|flush|fsync' || return 1
  [[ -s $run/checkpoints/step-00000002.h5 ]] || { printf 'no checkpoint with %s\n' "$*" && return 1; }
  try 0 env "$@" "$apus" train "$recipe" --run-directory "$run" --steps 3 --resume
}

no_file_locks() {
  local number
  cc -shared -fPIC nolock.c -o nolock.so && cc -shared -fPIC nodirsync.c -o nodirsync.so -ldl || return 1
  for number in 38 37; do
    trains_with "lock-$number" LD_PRELOAD="$PWD/nolock.so" NOLOCK_ERRNO="$number" || return 1
  done
  for number in 9 5; do
    trains_with "flush-$number" LD_PRELOAD="$PWD/nodirsync.so" DIRSYNC_ERRNO="$number" || return 1
  done
}

# alone_or_refused COMMAND...: one task of a Slurm step runs, or is refused in one line.
alone_or_refused() {
  try '0|64' env SLURM_JOB_ID=7 SLURM_STEP_ID=0 SLURM_NTASKS=1 SLURM_STEP_NUM_TASKS=1 SLURM_PROCID=0 PMI_RANK=0 \
    PMI_SIZE=1 PMI_FD=99 "$apus" "$@" || return 1
  ((status == 0)) || one_line
}

slurm_step_with_pmi2() {
  alone_or_refused train "$recipe" --run-directory run --steps 1 || return 1
  [[ -e run/summary.json ]] || try 0 "$apus" train "$recipe" --run-directory run --steps 1 || return 1
  alone_or_refused evaluate --checkpoint run/checkpoints/step-00000001.h5 || return 1
  try 0 "$apus" data preview --output scene.png --count 1 --size 128x64 || return 1
  alone_or_refused predict --checkpoint run/checkpoints/step-00000001.h5 --output predicted scene.png
}

# supervised NAME FOLDER OPTION...: the run, its log and its newest checkpoint lie in one folder, and there is no other.
supervised() {
  local recipe_file=$1 folder=$2 found
  shift 2
  try 0 "$checkout/Launch/supervise" --max-restarts 0 -- "$checkout/Launch/mpirun" -n 1 train "$recipe_file" --resume \
    --set schedule.steps=2 --set schedule.warmUpSteps=1 "$@" || return 1
  found=$(cd Checkpoints && printf '%s,' *)
  [[ $found == "$folder," ]] || { printf 'folders %s instead of %s\n' "$found" "$folder" && return 1; }
  [[ -s Checkpoints/$folder/supervise.log && -s Checkpoints/$folder/checkpoints/step-00000002.h5 ]] || {
    find Checkpoints && return 1
  }
  rm -r Checkpoints
}

supervised_names() {
  local body
  body=$(sed '/^name:/d' "$recipe")
  printf 'name: my run\n%s\n' "$body" >spaced.yaml
  printf 'name: base\n%s\n' "$body" >base.yaml
  sed 's/$/\r/' base.yaml >ends.yaml
  printf '\xef\xbb\xbf' | cat - base.yaml >mark.yaml
  supervised spaced.yaml 'my run' || return 1
  supervised ends.yaml base || return 1
  supervised mark.yaml base || return 1
  supervised base.yaml other --set name=other
}
