#!/bin/sh
# Prepares the container from its environment, then becomes supervisord, or the given command.
#
#   entrypoint.sh                  the charger
#   entrypoint.sh COMMAND [ARG]... a command instead, with everything prepared:
#                                  (such as: manager --prefix /opt/everest --check --config
#                                  /run/everest/config.yaml)
set -eu

programs=/usr/local/lib/evdiag
cores=/tmp/everest-logs
logs=/var/log/supervisor
mqtt=/run/mosquitto
nodered=/opt/nodered/user
secret=/run/evdiag/dashboard-password

say() { printf 'entrypoint: %s\n' "$*" >&2; }

# What reads or writes something that EVerest owns does so with EVerest's rights.
as_everest() { setpriv --reuid=everest --regid=everest --clear-groups "$@"; }

check() {
    if [ "$(id -u)" != 0 ]; then
        say "must start as root, not as uid $(id -u): every service then gives that up"
        exit 2
    fi
    as_everest python3 "$programs/configure.py" --check
}

directories() {
    # a folder of the host, mounted here, belongs to the host's root
    chmod 1777 "$cores" || say "$cores cannot be made writable for all: no core may be kept"
    install -d -o everest -g everest /run/everest /var/lib/everest
    install -d -o mosquitto -g mosquitto -m 755 "$mqtt" "$mqtt/conf.d"
    install -d -o nodered -g nodered "$nodered"
    install -d -g nodered -m 750 /run/nodered
    install -d -m 700 "${secret%/*}"
    install -d "$logs"
    rm -f /run/everest/starts # how often EVerest failed is a matter of one run
}

render() {
    as_everest env HOME=/var/lib/everest python3 "$programs/configure.py" \
        --templates /etc/evdiag --prefix /opt/everest \
        --run /run/everest --state /var/lib/everest --logs "$cores"
}

# The broker's door to the outside: with a password, and to the documented topics only. The
# internal ones (everest/#) would give control of every module.
outer_listener() {
    rm -f "$mqtt/conf.d/outside.conf" "$mqtt/passwords" "$mqtt/topics"
    [ -n "${MQTT_USER:-}" ] && [ -n "${MQTT_PASSWORD:-}" ] || return 0
    (
        umask 077
        printf '%s:%s\n' "$MQTT_USER" "$MQTT_PASSWORD" >"$mqtt/passwords"
        mosquitto_passwd -U "$mqtt/passwords"
        # `pattern`, as `topic` would be for a user of a certain name, or for anonymous ones
        printf 'pattern readwrite %s\n' 'everest_api/#' 'everest_external/#' >"$mqtt/topics"
        printf '%s\n' 'listener 1884' 'allow_anonymous false' "password_file $mqtt/passwords" \
            "acl_file $mqtt/topics" >"$mqtt/conf.d/outside.conf"
    )
    chown mosquitto "$mqtt/passwords" "$mqtt/topics" "$mqtt/conf.d/outside.conf"
}

# Node-RED gets what it takes to check the password. The flows are its own from the first start on:
# what somebody changes in the editor stays.
dashboard() {
    python3 "$programs/dashboard_auth.py" "$secret" /run/nodered/auth.json nodered
    [ -e "$nodered/flows.json" ] ||
        setpriv --reuid=nodered --regid=nodered --clear-groups cp /etc/evdiag/flows.json "$nodered/"
}

# The kernel's own cores, as far as the engine lets the container raise the limit.
core_limit() {
    # shellcheck disable=SC3045 # dash has -c and -H
    ulimit -c unlimited 2>/dev/null || ulimit -c "$(ulimit -H -c)" 2>/dev/null || :
}

# Charging with DC is ISO 15118, and that is IPv6 on a link-local address (fe80::/10: scope 20).
warn_without_ipv6() {
    while read -r _ _ _ scope _ name; do
        [ "$scope" = 20 ] && [ "$name" != lo ] && return 0
    done 2>/dev/null </proc/net/if_inet6 || :
    say "no interface has an IPv6 link-local address: no car can charge with DC;" \
        "start the container with --sysctl net.ipv6.conf.all.disable_ipv6=0"
}

# Where the new part of every log begins, for the program `logs` of supervisord.conf.
mark_logs() {
    for name in mosquitto everest nodered; do
        touch "$logs/$name.log"
        size=$(stat -c %s "$logs/$name.log")
        export "LOG_FROM_$name=$((size + 1))"
    done
}

check
directories
render
outer_listener
dashboard
# No service needs them any more, and a core has the environment in it.
unset MQTT_USER MQTT_PASSWORD OCPP_PASSWORD DASHBOARD_PASSWORD
core_limit
[ $# -eq 0 ] || exec "$@"
say "the dashboard's user is admin; docker exec CONTAINER cat $secret shows the password"
warn_without_ipv6
mark_logs
exec /usr/bin/supervisord -c /etc/supervisor/supervisord.conf
