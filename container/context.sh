#!/bin/sh
# Prints the build context of the charger's image as a tar: this folder, with another one in the
# place of sources/ if there is an argument.
#
#   container/context.sh [SOURCES] | docker build --target runtime -t evdiag/everest -
#
# .dockerignore does not count for a context out of a pipe; its rubbish is left out here too.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
sources=$here/sources
if [ $# -gt 0 ]; then
    if [ ! -d "$1" ]; then
        echo "context.sh: $1 is no folder: give one with source trees such as everest/" >&2
        exit 2
    fi
    sources=$(cd "$1" && pwd)
fi
cd "$here"
set --
for name in * .dockerignore; do
    case $name in sources | __pycache__) ;; *) set -- "$@" "$name" ;; esac
done
# The new name is for members, not for what links lead to (S).
exec tar --owner=0 --group=0 -cf - --anchored --exclude=nodered/node_modules \
    --exclude=capture/build --exclude=capture/*.o "$@" \
    -C "$sources" --transform='s,^\.\(/\|$\),sources\1,S' .
