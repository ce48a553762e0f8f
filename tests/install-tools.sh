#!/bin/sh
# Install what the tests need beyond Python, if that is allowed; else say what will be left out.
set -u

# program or file (how we see that it is there), Debian package, what the tests need it for
needs='
g++                    g++                     crash programs, compiled on the spot
gdb                    gdb                     the reference for stacks
clang++                clang                   a second compiler
ld.lld                 lld                     32-bit ARM programs
readelf                binutils                stripped programs with separate debug files
dwz                    dwz                     shared debug information
aarch64-linux-gnu-g++  g++-aarch64-linux-gnu   crash programs for aarch64
qemu-aarch64-static    qemu-user-static        running them, and 32-bit ARM programs
gdb-multiarch          gdb-multiarch           the reference for aarch64
qemu-system-aarch64    qemu-system-arm         an aarch64 kernel, for cores of its own
cpio                   cpio                    the root directory of that machine
supervisord            supervisor              the process tree as in the container
node                   nodejs                  a runtime with signal handlers of its own
chromium               chromium                the dashboard, as a user sees it
/usr/include/boost/stacktrace.hpp  libboost-dev  what boost says of its own stack
/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.tsan-*.a  libclang-rt-dev  sanitizers of that compiler
llvm-symbolizer        llvm                    names in what they say
'

missing=''
report=$(echo "$needs" | while read -r program package why; do
    [ -n "$program" ] || continue
    case $program in
        /*) set -- $program; [ -e "$1" ] ;;
        *) command -v "$program" >/dev/null 2>&1 ;;
    esac || echo "$package ($why)"
done)
[ -n "$report" ] || exit 0

missing=$(echo "$report" | cut -d' ' -f1 | sort -u | tr '\n' ' ')
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "make test: installing with apt-get: $missing"
    # RUNLEVEL=1: nothing that is installed may start a service (invoke-rc.d(8))
    apt-get update -qq &&
        RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null &&
        exit 0
    echo "make test: apt-get failed; going on without:"
else
    echo "make test: not allowed to install packages here; tests that need these are left out:"
fi
echo "$report" | sed 's/^/  /'
echo "  (on Debian or Ubuntu: sudo apt-get install $missing)"
exit 0
