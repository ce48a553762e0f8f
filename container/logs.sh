#!/bin/sh
# Shows what the services log from now on: the program `logs` of supervisord.conf. The offsets come
# from entrypoint.sh: after a restart of the container nothing is shown twice.
set -u
cd /var/log/supervisor || exit 1

# On an overlay file system tail polls, so there is a last look to be waited for.
last_look() {
    trap - TERM
    sleep 0.5
    kill 0
}

trap last_look TERM
for name in mosquitto everest nodered; do
    eval "from=\${LOG_FROM_$name:-1}"
    # shellcheck disable=SC2154 # set by eval
    tail -s 0.2 -c "+$from" -F "$name.log" 2>/dev/null &
done
wait
