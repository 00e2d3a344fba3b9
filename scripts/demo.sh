#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# dmap's main job on real input: keeps a real directory tree on memory, times that beside `cp -a`, and proves that what
# comes back is what went in. Everything it writes is in one temporary folder, which goes when it ends.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$dmap_root"

usage() {
  cat <<'USAGE'
usage: scripts/demo.sh [--place DIR] [--files N] [--megabytes N] [--rounds N]

Installs the Debian packages that are missing, builds build/release/dmap, and takes files of this machine (/usr) through
mkfs, put, check, get and a program that reads them in place.

  --place DIR     where the volume goes (default: /dev/shm if it has the room, else $TMPDIR or /var/tmp)
  --files N       at least this many files (default 20000) ...
  --megabytes N   ... and at least this many MB (default 500), as far as there is room
  --rounds N      how often cp and put are timed, in turn (default 3)
  --help          this text
USAGE
}

place=""
files_min=20000
bytes_min=$((500 * 1000 * 1000))
rounds=3
while (($# > 0)); do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --place | --files | --megabytes | --rounds) (($# > 1)) || { usage >&2; exit 2; } ;;&
    --place) place=$2 ;;
    --files) files_min=$2 ;;
    --megabytes) bytes_min=$(($2 * 1000 * 1000)) ;;
    --rounds) rounds=$2 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift 2
done

# -- Small tools. ----------------------------------------------------------------------------------------------------

step() { printf '\n== %s\n' "$*"; }
megabytes() { awk -v bytes="$1" 'BEGIN { printf "%.1f MB", bytes / 1e6 }'; }
free_bytes() { df -PB1 "$1" 2>/dev/null | awk 'NR == 2 { print $4 }'; }
memory_bytes() { awk '/^MemAvailable:/ { printf "%.0f", $2 * 1024 }' /proc/meminfo; }
is_memory() { [[ $(stat -f -c %T "$1") == tmpfs ]]; }

# room_in DIR: the bytes that may be put there, all of it together; on tmpfs, no more than half of what is free.
room_in() {
  local room memory
  room=$(free_bytes "$1")
  if is_memory "$1"; then
    memory=$(memory_bytes)
    room=$(((room < memory ? room : memory) / 2))
  fi
  say "${room:-0}"
}

# seconds_of COMMAND...: runs it, and leaves how long it took in $seconds.
seconds_of() {
  local start=$EPOCHREALTIME
  "$@"
  seconds=$(awk -v from="$start" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.3f", to - from }')
}

median() { printf '%s\n' "$@" | sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }
rate() { awk -v bytes="$1" -v seconds="$2" 'BEGIN { printf "%.0f MB/s", bytes / 1e6 / (seconds + 1e-9) }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / (b + 1e-9) }'; }

# -- What is needed: packages, programs, a place. --------------------------------------------------------------------

step "packages and programs"
ensure_packages "${packages_test[@]}"
use_ccache
log=$(mktemp)
scratch=""
cleanup() { rm -rf -- "$log" ${scratch:+"$scratch"}; }
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
for app in cli demo; do
  [[ -f apps/$app/CMakeLists.txt ]] || die "apps/$app is not in this tree, so there is nothing to show"
done
if ! { cmake --preset release &&
       cmake --build --preset release -j "$(default_jobs)" --target apps/cli/all apps/demo/all; } >"$log" 2>&1; then
  cat "$log" >&2
  die "the build failed"
fi
dmap=$dmap_root/build/release/dmap
demo=$dmap_root/build/release/dmap-demo
for program in "$dmap" "$demo"; do
  [[ -x $program ]] || die "the build left no $program"
done
say "$("$dmap" --version 2>/dev/null || say dmap), $(nproc) processors, $(megabytes "$(memory_bytes)") of memory free"

# The tree is there up to twice at a time: copied or got back, and in the volume, which has half as much again to spare.
room_min=$((bytes_min * 3 + (1 << 30)))
if [[ -z $place ]]; then
  place=/dev/shm
  if ! [[ -d $place && -w $place ]] || (($(room_in "$place") < room_min)); then place=${TMPDIR:-/var/tmp}; fi
fi
[[ -d $place && -w $place ]] || die "cannot write to $place"
scratch=$(mktemp -d "$place/dmap-demo.XXXXXX")
room=$(room_in "$scratch")
bytes_max=$(((room - (1 << 28)) / 3))
((bytes_max > 10 * 1000 * 1000)) || die "$place has room for only $(megabytes "$room"); name another with --place"
medium=$(stat -f -c %T "$scratch")
say "place: $place ($medium, $(megabytes "$room") to use)"

# -- The tree: whole folders of /usr, or the folders in them where one is too large, until it is enough. ---------------

step "gathering files"
sources=()
files=0
frame_bytes=0  # rounded up to whole frames, as the volume stores them
bytes=0
declare -A names=()

# consider DIR DEPTH: takes the folder if it fits and all of it can be read, else what is in it, one level down.
consider() {
  local folder=$1 depth=$2 counted count size rounded inner
  ((files >= files_min && bytes >= bytes_min)) && return 0
  [[ -d $folder && ! -L $folder && -r $folder && -x $folder ]] || return 0
  counted=$(find "$folder" -xdev \( -type d ! -executable -o ! -type l ! -readable \) -printf 'unreadable\n' -quit
            find "$folder" -xdev -type f -printf '%s\n' 2>/dev/null |
              awk '{ n++; bytes += $1; frames += int(($1 + 4095) / 4096) }
                   END { printf "%.0f %.0f %.0f\n", n, bytes, frames * 4096 }') || true
  read -r count size rounded <<<"$counted"
  if [[ $count =~ ^[0-9]+$ ]]; then
    ((count == 0)) && return 0
    if ((frame_bytes + rounded <= bytes_max && (size <= bytes_min || depth == 0))) &&
       [[ -z ${names[${folder##*/}]:-} ]]; then
      names[${folder##*/}]=1
      sources+=("$folder")
      ((files += count, bytes += size, frame_bytes += rounded, 1))
      return 0
    fi
  fi
  ((depth > 0)) || return 0
  for inner in "$folder"/*/; do consider "${inner%/}" $((depth - 1)); done
}
for folder in /usr/include /usr/bin /usr/share /usr/lib /usr/libexec /usr/local /usr/sbin /usr/src /opt /etc; do
  consider "$folder" 2
done
((files > 0)) || die "found no files that fit"
say "$files regular files, $(megabytes "$bytes"), in ${#sources[@]} folders: ${sources[*]:0:6} ..."
((files >= files_min && bytes >= bytes_min)) ||
  say "(less than the $files_min files and $(megabytes "$bytes_min") asked for: this machine has no more, or no room)"

# -- The main job, timed beside cp. ----------------------------------------------------------------------------------

volume=$scratch/volume.dmap
volume_mib=$(((frame_bytes * 3 / 2 + files * 2048) / (1 << 20) + 256))
copy=$scratch/copy

copy_with_cp() { mkdir "$copy" && cp -a -- "${sources[@]}" "$copy/"; }
put_into_volume() { "$dmap" put "${sources[@]}" "$volume:/" >"$log" 2>&1 || { cat "$log" >&2; return 1; }; }
new_volume() {
  "$dmap" mkfs --size "${volume_mib}M" "$volume" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
}

time_cp() {
  seconds_of copy_with_cp
  cp_seconds+=("$seconds")
  rm -rf -- "$copy"
}
time_put() {
  rm -f -- "$volume"
  seconds_of new_volume
  mkfs_seconds+=("$seconds")
  seconds_of put_into_volume
  put_seconds+=("$seconds")
  both_seconds+=("$(awk -v mkfs="${mkfs_seconds[-1]}" -v put="$seconds" 'BEGIN { printf "%.3f", mkfs + put }')")
}

step "cp -a and dmap put, in turn, $rounds rounds"
cp_seconds=()
put_seconds=()
mkfs_seconds=()
both_seconds=()
find "${sources[@]}" -xdev -type f -print0 | xargs -0 cat >/dev/null  # from here on the sources are in the page cache
for ((round = 1; round <= rounds; ++round)); do
  if ((round % 2)); then time_cp; time_put; else time_put; time_cp; fi
  printf 'round %d: cp -a %s s, mkfs %s s, put %s s\n' "$round" "${cp_seconds[-1]}" "${mkfs_seconds[-1]}" \
    "${put_seconds[-1]}"
done

step "dmap check"
seconds_of "$dmap" check "$volume"
check_seconds=$seconds
step "dmap df, dmap stat"
"$dmap" df "$volume"
"$dmap" stat "$volume"

step "dmap get, and diff against the original"
returned=$scratch/returned
seconds_of "$dmap" get "$volume:/${sources[0]##*/}" "$returned"
get_seconds=$seconds
[[ -d $returned/${sources[0]##*/} ]] && returned=$returned/${sources[0]##*/}
diff -r --no-dereference "${sources[0]}" "$returned" || die "${sources[0]} came back different"
say "${sources[0]}: identical"
rm -rf -- "$scratch/returned"

step "reading in place, pinning, removing what is pinned"
"$demo" "$volume" "${sources[@]}"

step "afterwards"
"$dmap" check "$volume"

step "report"
cp_median=$(median "${cp_seconds[@]}")
put_median=$(median "${put_seconds[@]}")
both_median=$(median "${both_seconds[@]}")
cat <<REPORT
$files files, $(megabytes "$bytes"), the source in the page cache (warm), everything written to $medium
cp -a          $cp_median s   $(rate "$bytes" "$cp_median")   (median of $rounds: ${cp_seconds[*]})
dmap put       $put_median s   $(rate "$bytes" "$put_median")   (median of $rounds: ${put_seconds[*]})
dmap mkfs      $(median "${mkfs_seconds[@]}") s
dmap check     $check_seconds s
dmap get       $get_seconds s for ${sources[0]}
put takes $(ratio "$put_median" "$cp_median") of the time of cp -a; mkfs and put together, $(ratio "$both_median" "$cp_median").
Each round starts with a new volume in a new file. mkfs allocates that file, so put finds its memory in place where cp
has to ask for it: the second number counts that too.
REPORT
