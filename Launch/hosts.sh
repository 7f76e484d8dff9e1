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
    # Editors of Windows begin a file with a mark and end its lines with two bytes.
    ((number > 1)) || line=${line#$'\xef\xbb\xbf'}
    line=${line%$'\r'}
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

# probe HOST SCRIPT: one line where the host cannot take ranks. Status 74 means it was not reached, or reaches not this
# host, 66 that it lacks something. The launch agent is the one that mpirun would use; the script goes to `sh` there by
# standard input, past a login shell that may read other quotes.
probe() {
  local agent status=0 reason
  read -ra agent <<<"${OMPI_MCA_plm_rsh_agent:-${PRTE_MCA_plm_ssh_agent:-ssh}}"
  [[ ${agent[0]##*/} != ssh ]] || agent+=(-x -o BatchMode=yes -o ConnectTimeout=10)
  reason=$(timeout -k 5 30 "${agent[@]}" "$1" sh 2>&1 <<<"$2") || status=$?
  case $status in
    0) return 0 ;;
    41) printf 'host %s lacks %s: the same path must lead to it on every host\n' "$1" "$executable" && return 66 ;;
    42) printf 'host %s has no orted or prted: Open MPI must be installed there as here\n' "$1" && return 66 ;;
    43) printf 'host %s lacks libraries that %s needs: %s\n' "$1" "$executable" "${reason//$'\n'/, }" && return 66 ;;
    44) reason="it gets no answer from $(hostname) over the network" ;;
    124 | 137) reason='no answer within 30 s' ;;
    127) reason="no ${agent[0]} on PATH; install openssh-client" ;;
  esac
  printf 'cannot reach host %s: %s\n' "$1" "${reason##*$'\n'}"
  return 74
}

# in_network ADDRESS NETWORK: whether an IPv4 address lies in a network such as 10.0.0.0/24.
in_network() {
  local address part bits=${2#*/} values=()
  for address in "$1" "${2%/*}"; do
    IFS=. read -ra part <<<"$address"
    values+=($((((10#${part[0]} << 24) + (10#${part[1]} << 16) + (10#${part[2]} << 8) + 10#${part[3]}) >> (32 - bits))))
  done
  ((values[0] == values[1]))
}

is_network() {
  [[ $1 =~ ^([0-9]{1,3}\.){3}[0-9]{1,3}/([0-9]|[12][0-9]|3[0-2])$ ]]
}

# here INTERFACE: whether this host has an interface of that name, or an address in that network.
here() {
  local address
  if is_network "$1"; then
    for address in 127.0.0.1 $(own_addresses); do
      ! in_network "$address" "$1" || return 0
    done
    return 1
  fi
  [[ $1 =~ ^[^[:space:]/:]+$ ]] && grep -q "^ *${1//./\\.}:" /proc/net/dev
}

# own_addresses: the IPv4 addresses of this host.
own_addresses() {
  hostname -I 2>/dev/null | tr ' ' '\n' | grep -F . || true
}

# quoted TEXT: one word for any POSIX shell.
quoted() {
  printf "'%s'" "${1//\'/\'\\\'\'}"
}

# probe_script EXECUTABLE [INTERFACE|any]: what a host is asked, for `sh`. Last of all it calls this host at one of the
# ports that the kernel deals out, as mpirun's daemons will: a refusal is an answer. A host that cannot ask so is believed.
probe_script() {
  local tool address port tools='' addresses=''
  for tool in orted prted; do
    tools+=" $tool $(quoted "$(dirname -- "$(command -v mpirun)")/$tool")"
  done
  cat <<END
{ test -f $(quoted "$1") && test -x $(quoted "$1"); } || exit 41
found=
for tool in$tools; do if command -v "\$tool" >/dev/null; then found=1; fi; done
test -n "\$found" || exit 42
if command -v ldd >/dev/null && ldd $(quoted "$1") | grep 'not found'; then exit 43; fi
END
  [[ -n ${2-} ]] || return 0
  for address in $(own_addresses); do
    if ! is_network "${2-}" || in_network "$address" "$2"; then addresses+=" $address"; fi
  done
  # A site that gives mpirun's daemons ports of its own has a reason, such as a firewall.
  [[ -n $addresses && $(compgen -e) != *OMPI_MCA_oob_tcp_*_ports* ]] || return 0
  port=$(awk '{ print $2 }' /proc/sys/net/ipv4/ip_local_port_range 2>/dev/null) || port=60999
  cat <<END
command -v bash >/dev/null && command -v timeout >/dev/null || exit 0
for address in$addresses; do
  LC_ALL=C timeout 8 bash -c ': <>"/dev/tcp/\$1/$port" && echo refused' sh "\$address" 2>&1 </dev/null &
done | grep -q -e refused -e 'No such file' || exit 44
END
}

# check_hosts EXECUTABLE FOLDER [INTERFACE|any]: asks all hosts but this one at once, keeping answers in the folder, also
# whether they reach this host over the network if that is named; those that cannot take ranks are told, a line for each, and end the launcher.
check_hosts() {
  local executable=$1 folder=$2 script host index status worst=0 answers=()
  script=$(probe_script "$executable" "${3-}")
  for host in "${host_names[@]}"; do
    index=${#answers[@]}
    if is_this_host "${host#*@}"; then
      answers+=('')
    else
      probe "$host" "$script" >"$folder/$index" &
      answers+=($!)
    fi
  done
  for index in "${!answers[@]}"; do
    [[ -n ${answers[index]} ]] || continue
    status=0
    wait "${answers[index]}" || status=$?
    ((status == 0)) || { printf 'Launch/%s: %s\n' "${0##*/}" "$(<"$folder/$index")" >&2 && worst=$((worst ? worst : status)); }
  done
  ((worst == 0)) || exit "$worst"
}
