# shellcheck shell=bash
# Sourced by launchers: host files as mpirun reads them, and whether each host can take ranks.

host_names=() host_slots=() host_lines=()

# read_hosts FILE [K]: names, slots and lines; slots are 0 where the file leaves them to mpirun. With K, each has K slots.
read_hosts() {
  local line name slots number=0
  [[ -f $1 && -r $1 ]] || fail 66 "no host file $1"
  host_names=() host_slots=() host_lines=()
  while IFS= read -r line || [[ -n $line ]]; do
    number=$((number + 1))
    line=${line%%#*}
    read -r name _ <<<"$line"
    [[ -n ${name:-} ]] || continue
    # A leading dash would be an option to ssh.
    [[ $name =~ ^[][A-Za-z0-9_.@:%-]+$ && $name != -* ]] || fail 65 "$1:$number: $(printf '%q' "$name") is no name of a host"
    slots=0
    if [[ $line =~ [[:space:]]slots[[:space:]]*=[[:space:]]*([^[:space:]]*) ]]; then
      slots=${BASH_REMATCH[1]}
      [[ $slots =~ ^[1-9][0-9]{0,5}$ ]] || fail 65 "$1:$number: slots=$slots; expected a whole number from 1"
    fi
    [[ -z ${2:-} ]] || { slots=$2 && line="$name slots=$2"; }
    host_names+=("$name") host_slots+=("$slots") host_lines+=("$line")
  done <"$1"
  ((${#host_names[@]})) || fail 65 "the host file $1 names no host"
}

# total_slots: how many ranks the file has room for; 0 where a host leaves that to mpirun.
total_slots() {
  local slots total=0
  for slots in "${host_slots[@]}"; do
    ((slots)) || { total=0 && break; }
    total=$((total + slots))
  done
  printf '%d\n' "$total"
}

# check_slots RANKS: refuses more ranks than there is room for; RANKS may be empty.
check_slots() {
  local total
  total=$(total_slots)
  ((total == 0 || ${1:-0} <= total)) ||
    fail 64 "$1 ranks, but the ${#host_names[@]} hosts have room for $total; add hosts or slots"
}

is_this_host() {
  [[ $1 == localhost || $1 == 127.* || $1 == "$(hostname)" || $1 == "$(hostname -f 2>/dev/null)" ]]
}

# probe HOST COMMAND: one line where the host cannot take ranks. Status 74 means it was not reached, 66 that it lacks
# something. The launch agent is the one that mpirun would use.
probe() {
  local agent status=0 reason
  read -ra agent <<<"${OMPI_MCA_plm_rsh_agent:-${PRTE_MCA_plm_ssh_agent:-ssh}}"
  [[ ${agent[0]##*/} != ssh ]] || agent+=(-x -o BatchMode=yes -o ConnectTimeout=10)
  reason=$(timeout 30 "${agent[@]}" "$1" "$2" 2>&1 </dev/null) || status=$?
  case $status in
    0) return 0 ;;
    41) printf 'host %s lacks %s: the same path must lead to it on every host\n' "$1" "$executable" && return 66 ;;
    42) printf 'host %s has no orted or prted: Open MPI must be installed there as here\n' "$1" && return 66 ;;
    43) printf 'host %s lacks libraries that %s needs: %s\n' "$1" "$executable" "${reason//$'\n'/, }" && return 66 ;;
    124) reason='no answer within 30 s' ;;
    127) reason="no ${agent[0]} on PATH; install openssh-client" ;;
  esac
  printf 'cannot reach host %s: %s\n' "$1" "${reason##*$'\n'}"
  return 74
}

# check_hosts EXECUTABLE FOLDER: asks all hosts but this one at once, keeping answers in the folder; the first that cannot
# take ranks ends the launcher.
check_hosts() {
  local executable=$1 folder=$2 directory command host index status answers=()
  directory=$(dirname -- "$(command -v mpirun)")
  printf -v command 'test -x %q || exit 41; command -v orted prted %q %q >/dev/null || exit 42; %s' \
    "$executable" "$directory/orted" "$directory/prted" \
    "command -v ldd >/dev/null || exit 0; ! ldd $(printf '%q' "$executable") | grep 'not found' || exit 43"
  for host in "${host_names[@]}"; do
    index=${#answers[@]}
    if is_this_host "${host#*@}"; then
      answers+=('')
    else
      probe "$host" "$command" >"$folder/$index" &
      answers+=($!)
    fi
  done
  for index in "${!answers[@]}"; do
    [[ -n ${answers[index]} ]] || continue
    status=0
    wait "${answers[index]}" || status=$?
    ((status == 0)) || fail "$status" "$(<"$folder/$index")"
  done
}
