# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# What scripts/demo, scripts/test and .ci/run share: saying what they do, and getting what they
# need. Sourced, not run; the caller has set -euo pipefail.

memsim_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Debian's and Ubuntu's names; with a|b the first that the system has.
build_packages=(g++ cmake ninja-build ccache pkg-config xz-utils gnuplot-nox
  'libboost1.81-dev|libboost-dev' libfmt-dev nlohmann-json3-dev libtomlplusplus-dev libcli11-dev
  catch2 librapidcheck-dev libbenchmark-dev libopenmpi-dev openmpi-bin)
ci_packages=(clang-19 libclang-rt-19-dev clang-format-19 clang-tidy-19 git)

say() { printf '\n== %s\n' "$*"; }
die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 2
}

is_installed() {
  [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# missing_packages NAME[|NAME]...: prints the names that are not installed, one of each choice.
missing_packages() {
  local choice name found
  for choice in "$@"; do
    found=
    for name in ${choice//|/ }; do
      if is_installed "$name"; then found=yes; fi
    done
    if [[ -n $found ]]; then continue; fi
    for name in ${choice//|/ }; do
      if apt-cache show "$name" >/dev/null 2>&1; then
        found=$name
        break
      fi
    done
    echo "${found:-${choice%%|*}}"
  done
}

# need_packages NAME...: installs what is missing, or says what a person has to install.
need_packages() {
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    say "This is not Debian or Ubuntu; memsim needs what these Debian packages hold:"
    echo "${*//|/ or }"
    command -v cmake >/dev/null && command -v ninja >/dev/null ||
      die "cmake and ninja are not here; install the above and try again"
    return
  fi

  local missing
  mapfile -t missing < <(missing_packages "$@")
  if ((${#missing[@]} == 0)); then return; fi

  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "please install, as root: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  say "Installing ${missing[*]}"
  # A list that cannot be refreshed may still be good enough.
  "${as_root[@]}" apt-get -q update || echo "apt-get update failed; trying with the lists there are"
  # The choice between names may fall otherwise now that the lists are known.
  mapfile -t missing < <(missing_packages "$@")
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
    install --no-install-recommends "${missing[@]}" ||
    die "apt-get could not install: ${missing[*]} (Debian 12 or Ubuntu 24.04, or newer, have them)"
}

# configure PRESET [CMAKE ARGUMENT...]
configure() {
  local preset=$1
  shift
  (cd "$memsim_root" && cmake --preset "$preset" "$@")
}

# build PRESET [TARGET...]
build() {
  local preset=$1
  shift
  (cd "$memsim_root" && cmake --build --preset "$preset" -j "$(nproc)" ${1:+--target "$@"})
}

# run_tests PRESET: closes with ctest's own summary.
run_tests() {
  (cd "$memsim_root" && ctest --preset "$1" -j "$(nproc)")
}
