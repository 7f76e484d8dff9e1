# shellcheck shell=bash
# Cases of data: sourced by Tests/cases, which runs each function in a copy of its folder. `try` sets `status` and `said`.
# shellcheck disable=SC2154  # set where this is sourced

# digest FOLDER NAME: a digest of a run's summary, or nothing.
digest() {
  sed -nE "s/^.*\"$2\" ?: ?\"([0-9a-f]+)\".*\$/\1/p" "$1/summary.json" 2>/dev/null || true
}

data_moved() {
  mkdir first && mv recipe.yaml source target validation first || return 1
  try 0 "$apus" train first/recipe.yaml --run-directory whole || return 1
  try 0 "$apus" train first/recipe.yaml --run-directory halves --steps 6 || return 1
  mv first second
  try 0 "$apus" train second/recipe.yaml --run-directory halves --resume || return 1
  says 'place|path|moved|folder' || return 1
  same_digests whole halves
}

# Refused by name, or told and relabelled.
data_set_changed() {
  local kept
  try 0 "$apus" train recipe.yaml --run-directory run --steps 20 || return 1
  mv target/images/s0.png target/images/t0.png
  try '0|65' "$apus" train recipe.yaml --run-directory run --resume --steps 26 || return 1
  says '\bs0\b' '\bt0\b' || return 1
  ((status == 0)) || return 0
  kept=$(sed -nE 's/^.*"step" ?: ?21[,}].*"labels-kept" ?: ?([0-9.]+).*$|^.*"labels-kept" ?: ?([0-9.]+).*"step" ?: ?21[,}].*$/\1\2/p' run/log.jsonl)
  [[ $kept != 1 ]] || { printf 'labels kept for other images were used\n' && return 1; }
}

# png_size FILE: width and height as the header has them.
png_size() {
  od -An -tx1 -j16 -N8 -- "$1" | tr -d ' \n'
}

# All of them in the line, or their number and a file that lists them.
label_sizes() {
  local image name wrong=() list missing=0
  for image in source/images/*.png; do
    [[ $(png_size "$image") == "$(png_size "source/labels/${image##*/}")" ]] || wrong+=("${image##*/}")
  done
  ((${#wrong[@]} == 3)) || { printf '%d labels of another size\n' "${#wrong[@]}" && return 1; }
  try 65 "$apus" train recipe.yaml --run-directory run || return 1
  says 'labels/' || return 1
  for name in "${wrong[@]}"; do
    grep -qwF -- "${name%.png}" <<<"$said" || missing=1
  done
  ((missing)) || return 0
  list=$(grep -rlF --include='*.txt' --include='*.json*' -- "${wrong[0]}" . | head -n 1)
  [[ -n $list ]] || { printf 'one of three is named: %s\n' "$said" && return 1; }
  says '\b3\b' "${list##*/}"
}

late_validation_mistake() {
  try 65 "$apus" train recipe.yaml --run-directory run || return 1
  says 'validation/labels/[^ ]*\.png' '\b33\b' || return 1
  [[ -z $(steps run) ]] || { printf 'found after step %d\n' "$(last_step run)" && return 1; }
}

# Where links cannot be kept, the case holds files with what they point to.
linked_folders() {
  local file
  for file in source/images source/labels target/images/town; do
    [[ ! -f $file || -L $file ]] || ln -sfn -- "$(<"$file")" "$file"
  done
  mkdir ../plain && cp -aL . ../plain || return 1
  try 0 "$apus" train recipe.yaml --run-directory run || return 1
  [[ $(last_step run) == 12 ]] || { printf 'ended after step %d\n' "$(last_step run)" && return 1; }
  try 0 "$apus" train ../plain/recipe.yaml --run-directory ../plain/run || return 1
  same_digests run ../plain/run
}

names_not_utf8() {
  try '0|65|66' "$apus" train recipe.yaml --run-directory run || return 1
  ((status == 0)) || says 'UTF-8'
}

# Read, or the refusal names the way out.
synthia_labels() {
  try '0|65' "$apus" train recipe.yaml --run-directory run || return 1
  ((status == 0)) || says '\b(red|convert|channel)' '16-bit' 'source/labels/'
}

# Converted, or refused as what it is before the first step; pictures that are whole are read with a warning.
jpeg_kinds() {
  local kind checkpoint
  try '0|65' "$apus" train recipe.yaml --run-directory run || return 1
  if ((status == 65)); then
    says 'CMYK' 's2\.jpg' || return 1
    ! grep -qi 'restore the file' <<<"$said" || { printf '%s\n' "$said" && return 1; }
    [[ -z $(steps run) ]] || { printf 'refused after step %d\n' "$(last_step run)" && return 1; }
    rm -r run target/images/s2.jpg
    try 0 "$apus" train recipe.yaml --run-directory run || return 1
  fi
  checkpoint=$(find run/checkpoints -name 'step-*.h5' | sort | tail -n 1)
  for kind in extraneous-bytes jfif-2 no-end-marker; do
    try 0 "$apus" predict --checkpoint "$checkpoint" --output pictures "kinds/$kind.jpg" || return 1
    # Bytes before a marker are passed over by libjpeg: nothing of the picture is lost.
    [[ $kind == extraneous-bytes ]] || says "$kind" || return 1
    [[ -s pictures/${kind}_label.png ]] || { printf 'no prediction of %s\n' "$kind" && return 1; }
  done
  try '0|65' "$apus" predict --checkpoint "$checkpoint" --output pictures kinds/cmyk.jpg || return 1
  ((status == 0)) || says 'CMYK'
}

# run_seconds COMMAND...: sets `took` to the tenths of a second of a command that must succeed.
run_seconds() {
  local start=${EPOCHREALTIME//[.,]/}
  try 0 "$@" || return 1
  took=$(((${EPOCHREALTIME//[.,]/} - start) / 100000))
}

# Shared out over ranks or read once; told while it is done; Ctrl-C does not wait for it.
labels_read_by_every_rank() {
  local took alone shared again job started
  python3 make.py many 300 || return 1
  run_seconds "$apus" train many/recipe.yaml --run-directory alone --steps 1 || return 1
  alone=$took
  says '\blabels?\b.*\b300\b|\b300\b.*\blabels?\b' || return 1
  run_seconds "$apus" train many/recipe.yaml --run-directory alone --steps 2 --resume || return 1
  again=$took
  run_seconds "$checkout/Launch/mpirun" -n 2 train many/recipe.yaml --run-directory shared --steps 1 || return 1
  shared=$took
  printf '%s tenths of a second alone, %s on two ranks, %s to resume\n' "$alone" "$shared" "$again"
  ((again * 3 < alone * 2 || shared * 5 < alone * 4)) || return 1
  rm -rf alone shared
  python3 make.py other 2000 || return 1
  "$apus" train other/recipe.yaml --run-directory stopped --steps 1 >/dev/null 2>&1 &
  job=$!
  sleep 3
  # Read faster than that, labels keep nobody waiting.
  kill -INT "$job" 2>/dev/null || return 0
  started=$SECONDS
  wait_for 60 gone "$job" || true
  ((SECONDS - started <= 5)) || { printf 'ended %d s after the signal\n' $((SECONDS - started)) && return 1; }
}

curves_after_a_kill() {
  local job
  "$apus" train "$recipe" --run-directory run --set schedule.steps=60 --set checkpoint.every=20 >/dev/null 2>&1 &
  job=$!
  wait_for 200 reached run 34 || return 1
  kill -KILL "$job"
  wait "$job" 2>/dev/null || true
  try 0 "$apus" train "$recipe" --run-directory run --resume --set schedule.steps=60 --set checkpoint.every=20 || return 1
  try 0 python3 look.py run || return 1
  says 'twice: \[\]' || return 1
  ! grep -E 'twice: \[[0-9]' <<<"$said"
}
