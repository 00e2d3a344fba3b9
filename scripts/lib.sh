# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# What the scripts share: saying things, installing packages, how many jobs this machine can take. Sourced, not run.

dmap_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

packages_build=(g++ cmake ninja-build pkg-config ccache liburcu-dev libisal-dev libxxhash-dev libfmt-dev libcli11-dev
                nlohmann-json3-dev)
packages_test=("${packages_build[@]}" libgtest-dev libgmock-dev libbenchmark-dev attr python3)
packages_clang=(clang-19 libclang-rt-19-dev llvm-19)  # llvm-19: the symbolizer that gives reports their lines
packages_tidy=(clang-19 clang-tidy-19)
packages_format=(clang-format-19)

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# missing_packages PACKAGE...: those that are not installed, one per line.
missing_packages() {
  local package
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || say "$package"
  done
}

# ensure_packages PACKAGE...: installs what is missing, without touching apt if nothing is; fails with the reason.
ensure_packages() {
  if ! command -v dpkg-query >/dev/null; then
    say "This is no Debian system, so nothing is installed here; needed, by Debian 12's names: $*"
    return 0
  fi
  local missing as_root=()
  mapfile -t missing < <(missing_packages "$@" | sort -u)
  ((${#missing[@]} == 0)) && return 0
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null || ! { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
      say "packages are missing, and this is neither root nor a user with sudo. As root: apt-get install ${missing[*]}" >&2
      return 1
    fi
    as_root=(sudo)
  fi
  say "installing: ${missing[*]}"
  local log
  log=$(mktemp)
  if ! { "${as_root[@]}" apt-get -q -o DPkg::Lock::Timeout=300 update &&
         "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
           install --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
    tail -n 30 "$log" >&2
    rm -f "$log"
    say "could not install: ${missing[*]}" >&2
    return 1
  fi
  rm -f "$log"
}

# default_jobs: one per processor, but a compiler needs about 1 GiB.
default_jobs() {
  local processors available_gib
  processors=$(nproc)
  available_gib=$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo)
  ((available_gib < processors)) && processors=$available_gib
  say $((processors > 0 ? processors : 1))
}

# use_ccache: the compilers run through ccache where there is one.
use_ccache() {
  command -v ccache >/dev/null || return 0
  export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache
}
