# Sourced: an arm64 machine with Debian's kernel, emulated. Its root directory is $scratch/root;
# packages are fetched to $fetched.
#
# Needs Debian bookworm (its qemu starts its kernel; later kernels come in a form that this qemu
# cannot load) with qemu-system-arm, cpio and g++-aarch64-linux-gnu. Neither root nor KVM.
machine_source=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The package sources of this machine, asked for arm64, with a state of their own.
set_up_apt() {
    mkdir -p "$fetched"/apt/{lists/partial,cache/archives/partial} "$fetched/packages"
    : > "$fetched/apt/status"
    cat > "$fetched/apt/conf" <<CONF
#clear APT::Architectures;
#clear APT::Update;
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
Dir::State "$fetched/apt";
Dir::State::status "$fetched/apt/status";
Dir::Cache "$fetched/apt/cache";
CONF
}

fetch() {
    local kernel
    set_up_apt
    apt-get -c "$fetched/apt/conf" -q update
    kernel=$(apt-cache -c "$fetched/apt/conf" depends linux-image-cloud-arm64 |
        sed -n 's/^ *Depends: //p')
    cd "$fetched/packages"
    apt-get -c "$fetched/apt/conf" -q download "$kernel" libc6 libgcc-s1 libstdc++6
    dpkg-deb -x linux-image-*.deb "$fetched/kernel"
}

fill_root() { # SOURCE of its first and only program
    local root=$scratch/root package
    mkdir -p "$root"/{usr/lib,drivers}
    ln -s usr/lib "$root/lib" # as on every Debian: cores name the libraries below /usr/lib
    for package in "$fetched"/packages/lib*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$root"
    done
    cp "$fetched"/kernel/lib/modules/*/kernel/drivers/{virtio,block}/virtio*.ko "$root/drivers"
    aarch64-linux-gnu-gcc -O2 -static -Wall -Wextra -I "$machine_source" "$1" -o "$root/init"
}

# A processor with pointer authentication, so that return addresses in the core are signed.
boot() { # BYTES of its disk, which is $scratch/disk
    (cd "$scratch/root" && find . | cpio --quiet -R 0:0 -o -H newc | gzip -1) > "$scratch/initramfs"
    truncate -s "$1" "$scratch/disk"
    timeout 300 qemu-system-aarch64 -M virt -cpu max,pauth-impdef=on -m 1024 -smp 1 \
        -nographic -nic none -no-reboot \
        -kernel "$fetched"/kernel/boot/vmlinuz-* -initrd "$scratch/initramfs" \
        -append "console=ttyAMA0 panic=-1 quiet" \
        -drive "if=none,id=core,format=raw,file=$scratch/disk" \
        -device virtio-blk-device,drive=core < /dev/null > "$scratch/console" ||
        echo "the emulated machine ended with $?" >&2
}
