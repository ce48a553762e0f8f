#!/bin/sh
# Says which of broker, EVerest and dashboard is down; exit 1 if one is.
set -u
down=''

if ! mosquitto_sub -E -W 3 -h 127.0.0.1 -t evdiag/broker >/dev/null 2>&1; then
    down="$down MQTT broker (127.0.0.1:1883 does not answer);"
# module API sends this once a second, as soon as all modules are ready
elif ! mosquitto_sub -C 1 -W 3 -h 127.0.0.1 -t everest_api/connectors >/dev/null 2>&1; then
    down="$down EVerest (nothing on everest_api/connectors for 3 s);"
fi

page=$(python3 -c '
import base64, pathlib, urllib.request
try:
    password = pathlib.Path("/run/evdiag/dashboard-password").read_bytes().removesuffix(b"\n")
    basic = base64.b64encode(b"admin:" + password).decode()
    page = urllib.request.Request("http://127.0.0.1:1880/ui/")
    page.add_header("Authorization", f"Basic {basic}")
    print(urllib.request.urlopen(page, timeout=3).status)
except OSError as error:
    print(error)
' 2>&1)
[ "$page" = 200 ] || down="$down dashboard (http://127.0.0.1:1880/ui/: $page);"

[ -n "$down" ] || exit 0
printf 'down:%s\n' "${down%;}"
exit 1
