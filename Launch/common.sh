# shellcheck shell=bash
# Shared by the launchers, which source it: the checkout, phase times, Debian packages, the Swift toolchain and Open MPI.
# Nothing outside the checkout changes but installed packages.

checkout=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
scratch=${APUS_SCRATCH_PATH:-$checkout/.build}
packages=(
  libopenmpi-dev openmpi-bin libopenblas-dev libhdf5-dev libdnnl-dev libpng-dev libturbojpeg0-dev libssl-dev pkg-config
)

# fail STATUS TEXT: one line on standard error, then the end.
fail() {
  printf 'Launch/%s: %s\n' "${0##*/}" "$2" >&2
  exit "$1"
}

# phase NAME COMMAND...: runs the command and prints how long it took. The status is the command's.
phase() {
  local name=$1 status=0 start elapsed
  shift
  printf '== %s\n' "$name"
  start=${EPOCHREALTIME//[.,]/}
  "$@" || status=$?
  elapsed=$(((${EPOCHREALTIME//[.,]/} - start) / 10000))
  printf '== %s: %d.%02d s\n' "$name" $((elapsed / 100)) $((elapsed % 100))
  return "$status"
}

# Names of the required packages that are not installed, one a line.
missing_packages() {
  local package
  for package in "${packages[@]}"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed* ]] || printf '%s\n' "$package"
  done
}

# Installs the missing packages. A machine that is not Debian, or whose libraries come as modules
# (APUS_SKIP_PACKAGES=1), is left as it is: pkg-config must find the libraries there.
install_packages() {
  local missing as_root=()
  [[ ${APUS_SKIP_PACKAGES:-0} == 0 ]] && command -v dpkg-query >/dev/null || return 0
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      fail 66 "Debian packages are missing; as root: apt-get install ${missing[*]} (or APUS_SKIP_PACKAGES=1 with modules)"
    as_root=(sudo)
    [[ -t 0 ]] || as_root+=(-n)
  fi
  printf 'installing %s\n' "${missing[*]}"
  "${as_root[@]}" apt-get update -qq </dev/null || printf 'apt-get update failed; trying the package lists at hand\n' >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    </dev/null || fail 66 "could not install Debian packages; as root: apt-get install ${missing[*]}"
}

# Requires Swift 6.3 or newer.
check_swift() {
  local version
  command -v swift >/dev/null || fail 66 'no swift on PATH; install Swift 6.3 or newer from swift.org'
  version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p')
  [[ $version =~ ^([0-9]+)\.([0-9]+)$ ]] || fail 66 'swift --version does not name a version; install Swift 6.3 or newer'
  ((BASH_REMATCH[1] > 6 || (BASH_REMATCH[1] == 6 && BASH_REMATCH[2] >= 3))) ||
    fail 66 "Swift $version is too old; install Swift 6.3 or newer from swift.org"
}

# swift_package SUBCOMMAND...: SwiftPM with its caches and settings inside the checkout. The three variables catch what
# it and the compiler write in the user's folders in spite of the options; git still reads the user's settings.
swift_package() {
  local subcommand=$1
  shift
  CFFIXED_USER_HOME=$checkout/.build/user XDG_CACHE_HOME=$checkout/.build/user/cache \
    XDG_DATA_HOME=$checkout/.build/user/data swift "$subcommand" \
    --package-path "$checkout" --scratch-path "$scratch" --cache-path "$checkout/.build/cache" \
    --config-path "$checkout/.build/config" --security-path "$checkout/.build/security" "$@"
}

# The program that launchers start: APUS_EXECUTABLE, that of an installation, or the release build.
find_executable() {
  local executable=$scratch/release/apus
  [[ ! -x $checkout/bin/apus ]] || executable=$checkout/bin/apus
  executable=${APUS_EXECUTABLE:-$executable}
  [[ -e $executable ]] || fail 66 "$executable is missing; build it with Launch/quickstart or swift build -c release"
  [[ -f $executable && -x $executable ]] ||
    fail 66 "$executable is no program; APUS_EXECUTABLE must name the file apus itself"
  printf '%s\n' "$executable"
}

# Open MPI refuses root unless told twice.
allow_root() {
  ((EUID != 0)) || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
}

set_up() {
  install_packages
  check_swift
  allow_root
}
