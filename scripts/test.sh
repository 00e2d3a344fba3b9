#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds dmap and tests it, on a fresh Debian 12 machine too. docs/TESTING.md says what each part is for.
set -uo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$dmap_root" || exit 1

everyday_parts=(release)
thorough_parts=(layering format clang asan tsan tidy)

usage() {
  cat <<'USAGE'
usage: scripts/test.sh [--thorough | --only PART[,PART...]] [--jobs N] [--tests REGEX]

Installs the Debian packages that are missing (as root, or with sudo), builds, and runs the tests.

  (nothing)       the everyday suite: g++, build/release, every test
  --thorough      everything else, one part after the other; all of them run even if one fails
  --only PARTS    these parts alone:
                    release    g++ 12, as users build it; every test
                    clang      clang 19 with its thread-safety analysis; every test
                    asan       AddressSanitizer, LeakSanitizer, UndefinedBehaviorSanitizer; every test
                    tsan       ThreadSanitizer; every test
                    tidy       clang-tidy 19 over src and apps
                    format     clang-format 19 changes nothing
                    layering   includes point down, every file has its licence line (needs only python3)
  --jobs N        compilers and tests at once (default: one per processor)
  --tests REGEX   only the tests whose names match, as in ctest -R
  --help          this text

Exit status: 0 if all parts passed, 1 otherwise, 2 for a usage error. The last lines are ctest's own.
USAGE
}

# -- The parts: each returns non-zero if it fails, and prints why. ---------------------------------------------------

# build_and_test PRESET: leaves ctest's closing line in build/PRESET/ctest.txt.
build_and_test() {
  local preset=$1
  use_ccache
  rm -f "build/$preset/ctest.txt"
  cmake --preset "$preset" >"$log" 2>&1 || { cat "$log"; return 1; }
  cmake --build --preset "$preset" -j "$jobs" >"$log" 2>&1 || { cat "$log"; return 1; }
  ctest --preset "$preset" -j "$jobs" --no-tests=error ${tests:+-R "$tests"} | tee "build/$preset/ctest.txt"
}

part_release() { ensure_packages "${packages_test[@]}" && build_and_test release; }
part_clang() {
  ensure_packages "${packages_test[@]}" "${packages_clang[@]}" && build_and_test clang
}
part_asan() { ensure_packages "${packages_test[@]}" "${packages_clang[@]}" && build_and_test asan-ubsan; }
part_tsan() { ensure_packages "${packages_test[@]}" "${packages_clang[@]}" && build_and_test tsan; }

part_layering() {
  ensure_packages python3 || return 1
  python3 -B testing/layering/check_layers_test.py && python3 -B testing/layering/check_layers.py .
}

part_format() {
  ensure_packages "${packages_format[@]}" || return 1
  find . -path ./build -prune -o \( -name '*.h' -o -name '*.cc' \) -print0 |
    xargs -0 clang-format-19 --dry-run --Werror && return 0
  say "to put it right: clang-format-19 -i FILE..."
  return 1
}

# tidy_one FILE: silent unless it finds something. Prints the file's name first, since it runs beside others.
tidy_one() {
  local findings
  findings=$(timeout 300 clang-tidy-19 --quiet -p build/clang "$1" 2>&1) && return 0
  printf '%s:\n%s\n' "$1" "$(grep -vE '^[0-9]+ warnings?( and [0-9]+ errors?)? (generated|treated)' <<<"$findings")"
  return 1
}
export -f tidy_one

part_tidy() {
  ensure_packages "${packages_test[@]}" "${packages_tidy[@]}" || return 1
  use_ccache
  cmake --preset clang >"$log" 2>&1 || { cat "$log"; return 1; }
  local sources
  mapfile -t sources < <(find src apps -name '*.cc' 2>/dev/null | while read -r file; do
    grep -qF "\"$dmap_root/$file\"" build/clang/compile_commands.json && say "$file"
  done | sort)
  ((${#sources[@]} > 0)) || { say "no sources found"; return 1; }
  # shellcheck disable=SC2016  # the inner shell expands $1
  printf '%s\0' "${sources[@]}" | timeout 1200 xargs -0 -n 1 -P "$jobs" bash -c 'tidy_one "$1"' tidy_one
  case $? in
    0) say "${#sources[@]} sources, no findings" ;;
    124) say "not finished within 20 minutes"; return 1 ;;
    *) return 1 ;;
  esac
}

# -- Running them and saying how it went. ----------------------------------------------------------------------------

preset_of() { case $1 in asan) say asan-ubsan ;; *) say "$1" ;; esac; }

# run_part PART: adds a line to `summary`, and to `failed` if it failed.
run_part() {
  local part=$1 start=$SECONDS result=passed
  say; say "== $part"
  if ! "part_$part"; then
    result=FAILED
    failed+=("$part")
  fi
  summary+=("$(printf '%-10s %-7s %5d s' "$part" "$result" $((SECONDS - start)))")
  say "${summary[-1]}"
}

report() {
  local part preset lines
  say; say "== summary"
  printf '%s\n' "${summary[@]}"
  for part in "${failed[@]}"; do
    preset=$(preset_of "$part")
    say "FAILED: $part. To repeat it: scripts/test.sh --only $part"
    if [[ -s build/$preset/Testing/Temporary/LastTestsFailed.log && -s build/$preset/ctest.txt ]]; then
      say "  the failed tests alone: ctest --preset $preset --rerun-failed"
    fi
  done
  for part in "${parts[@]}"; do
    lines=$(grep -hE '^[0-9]+% tests passed' "build/$(preset_of "$part")/ctest.txt" 2>/dev/null) || continue
    ((${#parts[@]} > 1)) && say "$part:"
    say "$lines"
  done
}

parts=("${everyday_parts[@]}")
jobs=""
tests=""
while (($# > 0)); do
  case $1 in
    --thorough) parts=("${thorough_parts[@]}") ;;
    --only) (($# > 1)) || { usage >&2; exit 2; }; IFS=', ' read -r -a parts <<<"$2"; shift ;;
    --jobs | -j) (($# > 1)) || { usage >&2; exit 2; }; jobs=$2; shift ;;
    --tests) (($# > 1)) || { usage >&2; exit 2; }; tests=$2; shift ;;
    --help | -h) usage; exit 0 ;;
    *) say "unknown argument: $1" >&2; usage >&2; exit 2 ;;
  esac
  shift
done
for part in "${parts[@]}"; do
  [[ $(type -t "part_$part") == function ]] || { say "unknown part: $part" >&2; usage >&2; exit 2; }
done
((${#parts[@]} > 0)) || { usage >&2; exit 2; }
[[ -z $jobs || $jobs =~ ^[1-9][0-9]*$ ]] || { say "--jobs takes a number" >&2; exit 2; }
jobs=${jobs:-$(default_jobs)}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
summary=()
failed=()
for part in "${parts[@]}"; do run_part "$part"; done
report
((${#failed[@]} == 0))
