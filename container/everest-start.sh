#!/bin/sh
# Starts EVerest's manager, for supervisord and as user everest: after the broker, after everything
# of the last start has gone, and not too often.
set -eu

prefix=/opt/everest
programs=/usr/local/lib/evdiag
logs=/tmp/everest-logs
starts=/run/everest/starts # when the last start was, and how many before it failed in a row
long_enough=60             # seconds of life after which a start counts as good
longest_wait=16            # seconds; with them EVerest is still up within 30 s of a crash
kept_entries=300           # of OCPP message logs (three for a start), and of sessions
kept_kilobytes=262144

say() { printf '%s everest-start: %s\n' "$(date '+%F %T')" "$*"; }

# The manager's modules outlive it when it is killed. They are in this session, as everything that
# supervisord starts, but not in this process group; what came by `docker exec` is in neither. One
# that writes its core may finish: core-writer is a child of its child.
leftovers() { # $1: 1 with those that write a core, else without them
    ps -u everest -o pid=,ppid=,pgid=,sess=,stat=,comm= |
        awk -v own=$$ -v all="$1" '
            $1 == own { session = $4 }
            { parent[$1] = $2; group[$1] = $3; in_session[$1] = $4; state[$1] = $5 }
            $6 == "core-writer" { writers[$1] }
            END {
                for (pid in writers)
                    for (at = pid; at in group; at = parent[at])
                        writing[at]
                for (pid in group)
                    if (group[pid] != own && in_session[pid] == session && state[pid] !~ /^Z/ &&
                        (all || !(pid in writing)))
                        print pid
            }'
}

end_leftovers() {
    pids=$(leftovers 0)
    # shellcheck disable=SC2086 # numbers, one word each
    [ -z "$pids" ] || kill -TERM $pids 2>/dev/null || :
    tries=0
    while [ "$tries" -lt 100 ] && [ -n "$(leftovers 1)" ]; do
        [ "$tries" -ne 20 ] || pids=$(leftovers 0)
        # shellcheck disable=SC2086
        [ "$tries" -ne 20 ] || [ -z "$pids" ] || kill -KILL $pids 2>/dev/null || :
        tries=$((tries + 1))
        sleep 0.1
    done
    pids=$(leftovers 1)
    # shellcheck disable=SC2086
    [ -z "$pids" ] || kill -KILL $pids 2>/dev/null || :
}

# The first restart comes at once, then after 2, 4, 8 and 16 s, as long as each lives shortly.
back_off() {
    now=$(date +%s) last=0 failed=-1
    [ ! -r "$starts" ] || read -r last failed <"$starts" || :
    case "$last$failed" in *[!0-9-]* | '') last=0 failed=-1 ;; esac
    lived=$((now - last))
    if [ "$lived" -ge 0 ] && [ "$lived" -lt "$long_enough" ]; then
        failed=$((failed + 1))
    else
        failed=0
    fi
    wait=0 step=1
    while [ "$step" -lt "$failed" ] && [ "$wait" -lt "$longest_wait" ]; do
        wait=$((wait == 0 ? 2 : wait * 2))
        step=$((step + 1))
    done
    if [ "$wait" -gt 0 ]; then
        say "EVerest ended $failed times within $long_enough s of its start;" \
            "the next start is in $wait s"
        sleep "$wait"
    fi
    echo "$(date +%s) $failed" >"$starts"
}

# A charger that crashes all the time makes new files all the time: the oldest go.
prune() {
    [ -d "$1" ] || return 0
    while :; do
        entries=$(find "$1" -mindepth 1 -maxdepth 1 -printf . | wc -c)
        kilobytes=$(du -sk "$1" | cut -f 1)
        [ "$entries" -gt "$kept_entries" ] || [ "$kilobytes" -gt "$kept_kilobytes" ] || return 0
        [ "$entries" -gt 1 ] || return 0
        find "$1" -mindepth 1 -maxdepth 1 -printf '%T@ %p\0' | sort -z -n |
            head -z -n $((entries / 10 + 1)) | cut -z -d ' ' -f 2- | xargs -0 rm -rf --
    done
}

await_broker() {
    tries=0
    until mosquitto_sub -E -h 127.0.0.1 -t evdiag/broker >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -ge 150 ]; then
            say "the MQTT broker does not answer on 127.0.0.1:1883, see mosquitto.log"
            exit 1
        fi
        sleep 0.2
    done
}

end_leftovers
back_off
prune "$logs/ocpp"
prune "$logs/sessions"
await_broker
# For the manager and its modules only: nothing else in the container shall write cores.
preload=''
[ "${EVDIAG_CAPTURE:-on}" = off ] || preload=$programs/capture.so
[ "${NUM_CONNECTORS:-1}" = 1 ] || preload="$preload $programs/v2g-ports.so"
[ -z "$preload" ] || export LD_PRELOAD="${preload# }"
exec "$prefix/bin/manager" --prefix "$prefix" --config /run/everest/config.yaml
