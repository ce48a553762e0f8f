#!/bin/bash
# Let a program crash on a real arm64 kernel and bring its core out.
#   make-core.sh SCRATCH MODE EXECUTABLE ARGV...
# SCRATCH/root is the root directory of the emulated machine: EXECUTABLE lies in it already, the
# system's libraries are added. SCRATCH/core is the result, SCRATCH/console what was said.
#
# Needs Debian bookworm (its qemu starts its kernel; later kernels come in a form that this qemu
# cannot load) with qemu-system-arm, cpio and g++-aarch64-linux-gnu. Neither root nor KVM.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(cd "$1" && pwd) root=$scratch/root
shift

# The package sources of this machine, asked for arm64, with a state of their own.
set_up_apt() {
    mkdir -p "$scratch"/apt/{lists/partial,cache/archives/partial} "$scratch/packages"
    : > "$scratch/apt/status"
    cat > "$scratch/apt/conf" <<CONF
#clear APT::Architectures;
#clear APT::Update;
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
Dir::State "$scratch/apt";
Dir::State::status "$scratch/apt/status";
Dir::Cache "$scratch/apt/cache";
CONF
}

fetch() {
    local kernel
    set_up_apt
    apt-get -c "$scratch/apt/conf" -q update
    kernel=$(apt-cache -c "$scratch/apt/conf" depends linux-image-cloud-arm64 |
        sed -n 's/^ *Depends: //p')
    cd "$scratch/packages"
    apt-get -c "$scratch/apt/conf" -q download "$kernel" libc6 libgcc-s1 libstdc++6
    dpkg-deb -x linux-image-*.deb "$scratch/kernel"
}

fill_root() { # MODE EXECUTABLE ARGV...
    local package
    mkdir -p "$root"/{usr/lib,drivers}
    ln -s usr/lib "$root/lib" # as on every Debian: cores name the libraries below /usr/lib
    for package in "$scratch"/packages/lib*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$root"
    done
    cp "$scratch"/kernel/lib/modules/*/kernel/drivers/{virtio,block}/virtio*.ko "$root/drivers"
    printf '%s\0' "$@" > "$root/job"
    aarch64-linux-gnu-gcc -O2 -static -Wall -Wextra "$here/init.c" -o "$root/init"
}

# A processor with pointer authentication, so that return addresses in the core are signed.
boot() {
    (cd "$root" && find . | cpio --quiet -R 0:0 -o -H newc | gzip -1) > "$scratch/initramfs"
    truncate -s 256M "$scratch/disk"
    timeout 300 qemu-system-aarch64 -M virt -cpu max,pauth-impdef=on -m 1024 -smp 1 \
        -nographic -nic none -no-reboot \
        -kernel "$scratch"/kernel/boot/vmlinuz-* -initrd "$scratch/initramfs" \
        -append "console=ttyAMA0 panic=-1 quiet" \
        -drive "if=none,id=core,format=raw,file=$scratch/disk" \
        -device virtio-blk-device,drive=core < /dev/null > "$scratch/console" ||
        echo "the emulated machine ended with $?" >&2
}

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
fill_root "$@"
boot
take_core
