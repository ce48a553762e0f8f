#!/bin/bash
# Let a program crash on a real arm64 kernel and bring its core out.
#   make-core.sh SCRATCH MODE EXECUTABLE ARGV...
# SCRATCH/root is the root directory of the emulated machine: EXECUTABLE lies in it already, the
# system's libraries are added. SCRATCH/core is the result, SCRATCH/console what was said.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(cd "$1" && pwd) fetched=$scratch
shift
# shellcheck source=machine.sh
. "$here/machine.sh"

take_core() {
    local size
    size=$(tr -d '\r' < "$scratch/console" | sed -n 's/^core of \([0-9]*\) bytes$/\1/p')
    if [ -z "$size" ]; then
        echo "the emulated machine gave no core; its console said:" >&2
        cat "$scratch/console" >&2
        exit 1
    fi
    truncate -s "$size" "$scratch/disk"
    mv "$scratch/disk" "$scratch/core"
}

fetch
fill_root "$here/init.c"
printf '%s\0' "$@" > "$scratch/root/job"
boot 256M
take_core
