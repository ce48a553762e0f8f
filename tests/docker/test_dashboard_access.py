"""Who may use the dashboard and the editor behind it, and what a page may send."""

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.docker.conftest import DASHBOARD, port
from tests.support.charger import Charger, await_true, charger, docker
from tests.support.dashboard import ask, basic, join_polling, log_in, token, websocket

pytestmark = pytest.mark.docker

SECRET = "/run/evdiag/dashboard-password"
PUBLISHED = ("-p", "127.0.0.1::1880")
FLOWS: list[dict[str, Any]] = [
    {"id": "base", "type": "ui-base", "path": "/ui", "includeClientData": False},
    {"id": "theme", "type": "ui-theme", "colors": {}, "sizes": {}},
    {"id": "first", "type": "ui-page", "ui": "base", "path": "/first", "theme": "theme",
     "name": "First", "layout": "grid"},
    {"id": "group", "type": "ui-group", "page": "first", "name": "Group", "width": "6"},
    {"id": "tab", "type": "tab", "label": "Test"},
    *(
        {"id": name, "type": "ui-template", "z": "tab", "group": "group", "wires": [["page"]],
         "format": f"<p>{name}</p>", "passthru": False, "templateScope": "local"}
        for name in ("page", "other")
    ),
]  # fmt: skip
"""What comes from a widget, `page` tells all its pages."""


@pytest.fixture(scope="module")
def guarded(image: str) -> Iterator[Charger]:
    """A charger that asks everybody, with a password of its own."""
    with charger(image, {}, PUBLISHED) as started:
        await_dashboard(started)
        yield started


def await_dashboard(container: Charger) -> None:
    """Wait until Node-RED has made the dashboard: before, there is nothing or no /ui."""

    def answers() -> bool:
        try:
            return ask(port(container, 1880), "/ui/").status == 401
        except OSError:
            return False

    await_true(answers, "the dashboard asks for a password")


@pytest.fixture(scope="module")
def secret(guarded: Charger) -> str:
    """The password of that charger."""
    return password(guarded)


def password(container: Charger) -> str:
    """Return the password as a user reads it."""
    return container.read(SECRET).removesuffix("\n")


def deploy(container: Charger, flows: list[dict[str, Any]], editor: dict[str, str]) -> None:
    """Give Node-RED other flows, and wait until they run."""
    before = container.log("nodered").count("Started flows")
    assert ask(port(container, 1880), "/flows", flows, editor).status == 204
    await_true(lambda: container.log("nodered").count("Started flows") > before, "flows run")


def modes(container: Charger, *paths: str) -> list[str]:
    """Return rights and owners of files."""
    return container.output("stat", "-c", "%A %U:%G", *paths).splitlines()


# -- the editor


def test_the_editor_does_nothing_without_a_token(guarded: Charger, secret: str) -> None:
    given = port(guarded, 1880)

    for headers in ({}, basic(secret)):
        for path in ("/flows", "/settings", "/nodes", "/context/global"):
            assert ask(given, path, headers=headers).status == 401, path
        for path in ("/flows", "/flow", "/settings/user"):
            assert ask(given, path, [], headers).status == 401, path
        # nobody may install any
        assert ask(given, "/nodes", {"module": "x"}, headers).status == 404


def test_the_password_gives_a_token(guarded: Charger, secret: str) -> None:
    given = port(guarded, 1880)

    assert log_in(given, "wrong").status == 403
    assert log_in(given, [secret]).status == 403
    assert log_in(given, secret, user="root").status == 403
    member = token(given, secret)
    assert ask(given, "/flows", headers=member).status == 200
    assert ask(given, "/settings", headers=member).status == 200


def test_nodes_that_reach_the_machine_are_not_there(guarded: Charger, secret: str) -> None:
    given = port(guarded, 1880)
    member = {**token(given, secret), "Accept": "application/json"}

    sets = json.loads(ask(given, "/nodes", headers=member).text)

    types = {name for one in sets for name in one["types"]}
    assert types >= {"function", "inject", "debug", "mqtt in", "mqtt out", "ui-template"}
    assert not types & {"exec", "file", "file in", "watch", "tail"}
    assert all(one["enabled"] for one in sets)


# -- the dashboard


def test_the_dashboard_is_shown_to_who_has_the_password(guarded: Charger, secret: str) -> None:
    given, member = port(guarded, 1880), basic(secret)
    start = ask(given, "/ui/", headers=member).text
    (asset,) = re.findall(r'src="[./]*(?:ui/)?(assets/index-[^"]+\.js)"', start)

    for path in ("/ui", "/ui/", "/UI/", "/ui/x", "/ui/_setup", f"/ui/{asset}", "/ui/_debug/x/y"):
        refused = ask(given, path)
        assert refused.status == 401, path
        assert refused.headers["WWW-Authenticate"].startswith('Basic realm="charger"')
        assert ask(given, path, headers=member).status in (200, 301), path
    for wrong in (basic("wrong"), basic(secret, user="x"), {"Authorization": f"Basic {secret}"}):
        assert ask(given, "/ui/", headers=wrong).status == 401
    for path in ("/ui/", "/"):
        assert ask(given, path).headers["X-Frame-Options"] == "SAMEORIGIN"


def test_only_its_icons_are_for_everybody(guarded: Charger) -> None:
    given = port(guarded, 1880)

    assert ask(given, "/dashboard/favicon.svg").text.startswith("<svg")
    assert ask(given, "/dashboard/favicon.ico").headers["Content-Type"] == "image/x-icon"
    for path in ("/dashboard/index.html", "/dashboard/favicon.svg/../index.html"):
        assert ask(given, path).status == 404


def test_the_socket_is_for_who_has_the_password(guarded: Charger, secret: str) -> None:
    given, member = port(guarded, 1880), basic(secret)
    own = f"http://127.0.0.1:{given}"

    for origin in (None, own):
        named = {} if origin is None else {"Origin": origin}
        assert "password required" in join_polling(given, named)
        assert '"sid"' in join_polling(given, {**named, **member})
        with websocket(given, origin=origin) as page:
            assert "password required" in page.joined
        with websocket(given, member, origin) as page:
            assert page.joined.startswith("40")
    for origin in ("http://elsewhere.example", "null", f"{own}0", "http://127.0.0.1"):
        assert "origin not allowed" in join_polling(given, {**member, "Origin": origin})
        with websocket(given, member, origin) as page:
            assert "origin not allowed" in page.joined


def test_a_page_may_only_ask_and_send_content(guarded: Charger, secret: str) -> None:
    given, member = port(guarded, 1880), basic(secret)
    deploy(guarded, FLOWS, token(given, secret))
    good = {"topic": "good", "payload": {"ui_update": 1}, "_dashboard": {"templateId": "page"}}
    bad = {"topic": "bad", "payload": 1}
    update = {"ui_update": {"format": "<script>"}}

    with websocket(given, member) as page:
        page.emit("widget-send", "page", {**bad, **update})
        page.emit("widget-send", "page", [{**bad, **update}])
        page.emit("widget-send", "page", {**bad, "__proto__": update})
        page.emit("widget-send", "page", {**bad, "class": "x"})
        page.emit("widget-send", "page", "bad")
        page.emit("widget-send", "page", None)
        page.emit("widget-send", ["page"], bad)
        page.emit("widget-send", "other", {**bad, **update})
        page.emit("widget-action", "other", {**bad, "__proto__": update})
        page.emit("ui-event", "other", bad)
        page.emit("widget-action", "page", {**bad, **update})
        page.emit("widget-change", "page", {**bad, **update})
        page.emit("ui-event", "page", bad)
        page.emit("widget-send", "other", {**good, "payload": "of another widget"})
        assert page.next_event("msg-input:page")[0]["payload"] == "of another widget"
        page.emit("widget-send", "page", good)
        assert page.next_event("msg-input:page")[0]["payload"] == good["payload"]
        page.emit("widget-load", "page")
        kept, state = page.next_event("widget-load:page")
    assert kept["topic"] == "good"
    assert "format" not in state
    with websocket(given, member) as page:
        widget = page.next_event("ui-config")[1]["widgets"]["page"]
    assert widget["props"]["format"] == "<p>page</p>"
    assert widget["props"]["class"] == ""


# -- the password


def test_wrong_ones_wait_for_each_other_but_no_right_one_does(
    guarded: Charger, secret: str
) -> None:
    given, member = port(guarded, 1880), basic(secret)
    assert ask(given, "/ui/", headers=member).status == 200

    with ThreadPoolExecutor() as pool:
        begin = time.monotonic()
        wrong = [pool.submit(ask, given, "/ui/", None, basic(f"guess {n}")) for n in range(2)]
        assert ask(given, "/ui/", headers=member).status == 200
        assert not any(job.done() for job in wrong)
        assert [job.result().status for job in wrong] == [401, 401]
    assert time.monotonic() - begin > 2


def test_too_many_guesses_are_refused_at_once(guarded: Charger) -> None:
    script = """
        const { authenticate } = require('/etc/evdiag/access.js').adminAuth;
        let done = 0;
        for (let n = 0; n < 25; n += 1) {
            authenticate('admin', `guess ${n}`).then((user) => { done += user ? 100 : 1; });
        }
        setTimeout(() => { console.log(done); process.exit(); }, 500);
    """

    assert guarded.output("node", "-e", script) == "5\n"


def test_nobody_else_learns_the_password(guarded: Charger, secret: str, image: str) -> None:
    assert re.fullmatch(r"[\w-]{24}", secret)
    assert modes(guarded, "/run/evdiag", SECRET) == ["drwx------ root:root", "-rw------- root:root"]
    checked = "/run/nodered/auth.json"
    assert modes(guarded, "/run/nodered", checked) == [
        "drwxr-x--- root:nodered", "-rw-r----- root:nodered",
    ]  # fmt: skip
    for user in ("everest", "nodered", "mosquitto"):
        assert "Permission denied" in guarded.exec("cat", SECRET, user=user).err
    logs = guarded.output("sh", "-c", "cat /var/log/supervisor/*")
    for text in (guarded.logs(), guarded.read(checked), logs, json.dumps(guarded.inspect())):
        assert secret not in text
    assert f"docker exec CONTAINER cat {SECRET}" in guarded.logs()
    # nor is any in the image
    assert docker("history", "--no-trunc", image).out.count("DASHBOARD_PASSWORD") == 0
    assert "No such file" in docker("run", "--rm", "--entrypoint", "cat", image, SECRET).err


def test_password_and_flows_outlive_a_restart(guarded: Charger, secret: str) -> None:
    changed = [*FLOWS, {"id": "kept", "type": "comment", "z": "tab", "name": "kept"}]
    deploy(guarded, changed, token(port(guarded, 1880), secret))

    assert docker("restart", guarded.name).code == 0
    await_dashboard(guarded)

    assert password(guarded) == secret
    given = port(guarded, 1880)  # another one than before
    now = json.loads(ask(given, "/flows", headers=token(given, secret)).text)
    names = [node["id"] for node in now]
    assert names == [node["id"] for node in changed]
    assert modes(guarded, "/opt/nodered/user/flows.json")[0].endswith("nodered:nodered")


# -- who comes from the engine's machine


def test_others_are_asked_for_the_given_password(running: Charger) -> None:
    """`running` has a password that was given, and asks only others."""
    given, member = port(running, 1880), basic(DASHBOARD["DASHBOARD_PASSWORD"])
    foreign = (
        {"Host": "rebound.example"}, {"Host": f"rebound.example:{given}"}, {"Host": "localhost.x"},
        {"Host": ""}, {"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"},
    )  # fmt: skip

    for host in (f"127.0.0.1:{given}", f"localhost:{given}", "charger.localhost", "[::1]:1880"):
        assert ask(given, "/ui/", headers={"Host": host}).status == 200, host
    for headers in foreign:
        assert ask(given, "/ui/", headers=headers).status == 401, headers
        assert ask(given, "/ui/", headers={**headers, **member}).status == 200, headers
    assert '"sid"' in join_polling(given, {})
    assert "password required" in join_polling(given, {"Host": "rebound.example"})
    with websocket(given, origin="http://elsewhere.example") as page:
        assert "origin not allowed" in page.joined
    assert ask(given, "/flows").status == 401
    assert password(running) == DASHBOARD["DASHBOARD_PASSWORD"]


def test_another_container_is_none_of_the_machine(running: Charger) -> None:
    script = """
        own=$(hostname -i)
        for url in http://127.0.0.1:1880/ui/ "http://${own%% *}:1880/ui/"; do
            curl -s -o /dev/null -w '%{http_code} ' -H 'Host: localhost' "$url"
        done
    """

    assert running.output("sh", "-c", script) == "200 401 "


ROUTE = """Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0 00000000 010011AC 0003 0 0 0 00000000 0 0 0
eth0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0
eth1 0000A8C0 0101A8C0 0003 0 0 0 0000FFFF 0 0 0
"""
ROUTE_6 = """\
fd000000000000000000000000000000 40 00000000000000000000000000000000 00 \
00000000000000000000000000000000 00000100 00000003 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
fd000000000000000000000000000001 00000400 00000001 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
"""
HERE = ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "172.17.0.1", "::ffff:172.17.0.1",
        "fd00::1", "fd00:0::0:1")  # fmt: skip
ELSEWHERE = ("172.17.0.2", "192.168.1.1", "0.0.0.0", "::", "fd00::2", "::ffff:172.17.0.3", "",
             "fe80::1%eth0")  # fmt: skip


def test_which_addresses_are_this_machine(running: Charger) -> None:
    """Asked of access.js itself, with routes that no test could set up."""
    files = {"/proc/net/route": ROUTE, "/proc/net/ipv6_route": ROUTE_6}
    script = """
        const fs = require('node:fs');
        const real = fs.readFileSync;
        const [files, peers] = JSON.parse(process.argv[1]);
        fs.readFileSync = (name, ...rest) => files[name] || real(name, ...rest);
        const { page } = require('/etc/evdiag/access.js');
        const response = { set() {}, status: (code) => ({ type: () => ({ send: () => code }) }) };
        const headers = { host: 'localhost:1880' };
        const ask = (remoteAddress) => page(
            { headers, socket: { remoteAddress } }, response, () => 200);
        Promise.all(peers.map(ask)).then((answers) => console.log(JSON.stringify(answers)));
    """
    peers = [*HERE, *ELSEWHERE]

    said = running.output("node", "-e", script, json.dumps([files, peers]))

    assert dict(zip(peers, json.loads(said), strict=True)) == {
        **dict.fromkeys(HERE, 200),
        **dict.fromkeys(ELSEWHERE, 401),
    }
