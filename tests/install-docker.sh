#!/bin/sh
# Make a Docker engine answer and give it the base image, if that is allowed; else say what is
# left out. What it does is undone by nothing but a restart: it never touches a running engine.
set -u
base=debian:bookworm-slim
cache=${XDG_CACHE_HOME:-$HOME/.cache}/evdiag
root_archive=$cache/bookworm-slim.tar.zst

left_out() {
    echo "make test: no Docker engine here ($1); tests that need it are left out"
    exit 0
}

answers() { docker version >/dev/null 2>&1; }

install() {
    command -v dockerd >/dev/null && command -v debootstrap >/dev/null &&
        command -v zstd >/dev/null && return
    echo "make test: installing with apt-get: docker.io debootstrap zstd"
    # RUNLEVEL=1: nothing that is installed may start a service (invoke-rc.d(8))
    apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        -o DPkg::Lock::Timeout=300 --no-install-recommends docker.io debootstrap zstd >/dev/null
}

start() {
    pid=$(cat /run/docker.pid 2>/dev/null)
    if [ "$(cat "/proc/${pid:-none}/comm" 2>/dev/null)" != dockerd ]; then
        # left behind by an engine of an earlier boot where /run is on disk
        rm -f /run/docker.pid /run/docker/containerd/containerd.pid
        setsid nohup dockerd >/var/log/dockerd.log 2>&1 </dev/null &
    fi
    tries=0
    until answers; do
        tries=$((tries + 1))
        [ "$tries" -lt 150 ] || left_out "dockerd does not start, see /var/log/dockerd.log"
        sleep 0.2
    done
}

slim() { # as the official slim images are: without documentation, manuals and package lists
    rm -rf "$1"/var/cache/apt/*.bin "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/* \
        "$1"/usr/share/man/* "$1"/usr/share/info/* "$1"/usr/share/locale/* "$1"/var/log/apt
    find "$1/usr/share/doc" -type f ! -name copyright -delete
    find "$1/usr/share/doc" -type l -delete
    mkdir -p "$1/var/lib/apt/lists/partial" "$1/usr/share/man/man1"
    printf '%s\n' force-unsafe-io 'path-exclude /usr/share/doc/*' \
        'path-include /usr/share/doc/*/copyright' 'path-exclude /usr/share/man/*' \
        'path-exclude /usr/share/locale/*' >"$1/etc/dpkg/dpkg.cfg.d/docker"
    printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
    chmod +x "$1/usr/sbin/policy-rc.d"
}

# A network that reads TLS has certificates of its own: builds inside containers need them too.
trust() {
    mkdir -p "$1/usr/local/share/ca-certificates" "$1/etc/ssl/certs"
    cp /usr/local/share/ca-certificates/*.crt "$1/usr/local/share/ca-certificates/" 2>/dev/null
    cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/" 2>/dev/null
    [ ! -f /etc/pip.conf ] || cp /etc/pip.conf "$1/etc/pip.conf"
}

make_base() {
    mkdir -p "$cache"
    root=$(mktemp -d)
    if debootstrap --variant=minbase bookworm "$root/r" >"$root/log" 2>&1; then
        slim "$root/r"
        trust "$root/r"
        tar -C "$root/r" --numeric-owner -I 'zstd -q -3' -cf "$root_archive.part" . &&
            mv "$root_archive.part" "$root_archive"
    else
        tail -n 3 "$root/log"
    fi
    rm -rf "$root" "$root_archive.part"
    [ -s "$root_archive" ]
}

import_base() {
    bundle=/etc/ssl/certs/ca-certificates.crt
    zstd -qdc "$root_archive" | docker import -c 'CMD ["bash"]' \
        -c "ENV NODE_EXTRA_CA_CERTS=$bundle PIP_CERT=$bundle SSL_CERT_FILE=$bundle" \
        - "$base" >/dev/null
}

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }

if ! answers; then
    may_install || left_out "and no right to start one"
    install || left_out "apt-get failed"
    answers || start
fi
docker image inspect "$base" >/dev/null 2>&1 && exit 0
timeout 60 docker pull -q "$base" >/dev/null 2>&1 && exit 0
may_install || left_out "$base cannot be pulled, and there is no right to make it"
install || left_out "apt-get failed"
[ -s "$root_archive" ] || make_base || left_out "debootstrap failed"
import_base || left_out "the base image could not be imported"
