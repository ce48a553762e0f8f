#!/bin/bash
# Let programs crash on a real arm64 kernel, each with and without the capture layer.
#   run.sh SCRATCH FETCHED
# SCRATCH/root is the root directory of the emulated machine: the programs, /capture and /jobs lie
# in it already (see init.c), the system's libraries are added. SCRATCH/out gets what they left,
# SCRATCH/out/console what was said. Kernel and libraries are fetched to FETCHED, if they are not there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(cd "$1" && pwd) fetched=$(cd "$2" && pwd)
# shellcheck source=../../crashers/aarch64/machine.sh
. "$here/../../crashers/aarch64/machine.sh"

take_files() {
    local offset=0 name size status
    rm -rf "$scratch/out" && mkdir "$scratch/out"
    tr -d '\r' < "$scratch/console" > "$scratch/out/console"
    grep -q '^done with ' "$scratch/out/console" || {
        echo "the emulated machine did not come to an end; its console said:" >&2
        cat "$scratch/out/console" >&2
        exit 1
    }
    grep '^file ' "$scratch/out/console" | while read -r _ name size status; do
        mkdir -p "$scratch/out/$(dirname "$name")"
        tail -c "+$((offset + 1))" "$scratch/disk" | head -c "$size" > "$scratch/out/$name" || :
        echo "$status" > "$scratch/out/$name.status"
        offset=$((offset + size))
    done
}

[ -e "$fetched/complete" ] || { fetch && touch "$fetched/complete"; }
fill_root "$here/init.c"
boot 2G
take_files
