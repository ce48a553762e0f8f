"""What a starting charger logs, as the steps of its start.

The lines are those of the container's output: supervisord, mosquitto, EVerest and Node-RED mixed,
now and then two of EVerest's modules in one line, cut off or made up by somebody.
"""

import re
from collections import deque

from evdiag.analyze.preflight import NO_IPV6
from evdiag.errors import EvdiagError, NotReady, UsageError
from evdiag.model.charger import ContainerFacts
from evdiag.model.run import Event, Reached, Under, Warned

OCPP_PATIENCE = 3.0
"""Seconds that the charger may try again before it counts as ready without a CSMS: EVerest's
second attempt is after one or two."""
OCPP_SILENCE = 12.0
"""The same, where it says nothing at all after EVerest was up: a host that does not answer."""
REFUSED = 2
"""The container's exit code for an environment that is not allowed."""
LAST_LINES = 12
LONGEST_LINE = 4_000
MOST_REMEMBERED = 12
"""Crashes that are told apart, so that each is said once."""
MOST_MODULES = 1_000

STEPS = ("broker", "everest", "ocpp", "dashboard")
"""In the order in which a charger gets there."""
_TITLES = {
    "broker": "the MQTT broker",
    "everest": "EVerest",
    "ocpp": "OCPP",
    "dashboard": "the dashboard",
}

_COLOURS = re.compile(r"\x1b\[[0-9;]{0,20}m")
_BROKER = re.compile(r"mosquitto version \S{1,20} running")
_STARTING = re.compile(r"Starting (\d{1,4}) modules")
_INITIALIZED = re.compile(r"Module (\S{1,80}) initialized \[")
_UP = "EVerest up and running"
_CONNECTED = re.compile(r"OCPP client successfully connected to server with version: (\S{1,20})")
_NOT_CONNECTED = re.compile(r"CLIENT_CONNECTION_ERROR: \[(.{1,200}?)\]\. ")
_CLOSED = "OCPP client closed connection to server"
_CRASHED = re.compile(r"Module (\S{1,80}) (?:exited unexpectedly|\(pid: \d+\) exited with status)")
_ENDED = "exited: everest ("
_CORE = re.compile(r"evdiag capture: .{1,40} died of signal \d{1,2}: (\S{1,200}) \(")
_NO_CORE = re.compile(r"evdiag capture: (no core of .{1,300})")
_COMPLAINT = re.compile(r"^(?:entrypoint|configure): (.*)")

_WHY = (
    ("ECONNREFUSED", "nothing takes connections there"),
    ("EHOSTUNREACH", "its host does not answer"),
    ("ENETUNREACH", "no route leads to its network"),
    ("ETIMEDOUT", "its host does not answer"),
    ("NXDOMAIN", "its name has no address"),
    ("unauthorized", "it does not accept the charger's id and password (HTTP 401)"),
    ("not 101", "a web server answers there, but not with a WebSocket at this path"),
    ("wrong version number", "it does not speak TLS at this port; try ws:// instead of wss://"),
    ("tls:", "the charger does not trust its certificate"),
    ("SSL", "no TLS connection came about"),
    ("PROTOCOL", "it does not speak this version of OCPP"),
    ("match protocol", "it does not speak this version of OCPP"),
    ("Timed out waiting", "it takes connections but does not answer"),
)
"""What libwebsockets says (its lib/core-net/client and lib/roles/ws/client-ws.c), in words."""


class Readiness:
    """Follows a start by the lines of the log; times are seconds on any clock."""

    def __init__(self) -> None:
        self.done: dict[str, str] = {}
        """Steps that are over and what came out."""
        self.complaints: list[str] = []
        """What the container says about its environment."""
        self.last: deque[str] = deque(maxlen=LAST_LINES)
        self.ocpp = "not connected yet"
        self._modules: set[str] = set()
        self._total: int | None = None
        self._up_since: float | None = None
        self._failed_since: float | None = None
        self._told: set[str] = set()

    @property
    def ready(self) -> bool:
        """Whether there is nothing left to wait for."""
        return all(step in self.done for step in STEPS)

    @property
    def missing(self) -> str:
        """What has not been reached, in words."""
        return ", ".join(_TITLES[step] for step in STEPS if step not in self.done)

    @property
    def waits_for_page(self) -> bool:
        """Whether the dashboard's server says that it is there, and nobody has seen a page."""
        return "flows" in self._told and "dashboard" not in self.done

    @property
    def next_change(self) -> float | None:
        """When `tick` has something to say if no line comes before."""
        if "ocpp" in self.done or self._up_since is None:
            return None
        if self._failed_since is not None:
            return self._failed_since + OCPP_PATIENCE
        return self._up_since + OCPP_SILENCE

    # -- input

    def feed(self, line: str, now: float) -> list[Event]:
        """Take one line of the log."""
        text = _COLOURS.sub("", line[:LONGEST_LINE])
        if text.strip():
            self.last.append(text)
        if match := _COMPLAINT.match(text):
            self.complaints.append(match[1])
            return [Warned(NO_IPV6)] if "link-local" in match[1] else []
        events: list[Event] = []
        if _BROKER.search(text):
            events += self._reach("broker", "MQTT broker runs")
        if "Started flows" in text:
            self._told.add("flows")
        events += self._modules_of(text, now)
        events += self._ocpp_of(text, now)
        events += self._crashes_of(text)
        return events

    def tick(self, now: float) -> list[Event]:
        """Time has passed: whoever waits for a CSMS that is not there has waited long enough."""
        due = self.next_change
        if due is None or now < due:
            return []
        if self._failed_since is None:
            self.ocpp = "not connected: no answer from the CSMS yet"
        return self._reach("ocpp", "", Warned(f"OCPP {self.ocpp}; the charger goes on trying"))

    def page_answers(self) -> list[Event]:
        """The dashboard was there when it was asked for."""
        return self._reach("dashboard", "dashboard answers")

    # -- lines

    def _reach(self, step: str, text: str, event: Event | None = None) -> list[Event]:
        if step in self.done:
            return []
        self.done[step] = text
        return [event or Reached(step, text)]

    def _modules_of(self, text: str, now: float) -> list[Event]:
        if match := _STARTING.search(text):
            self._start_over()
            self._total = int(match[1])
            self._modules.clear()
        self._modules.update(_INITIALIZED.findall(text)[: MOST_MODULES - len(self._modules)])
        if _UP in text:
            if self._up_since is None:
                self._up_since = now
            count = f": {self._total} modules" if self._total else ""
            return self._reach("everest", f"EVerest is up{count}")
        if "everest" not in self.done and (_STARTING.search(text) or _INITIALIZED.search(text)):
            of = f" of {self._total}" if self._total else ""
            return [Under("EVerest", f"{len(self._modules)}{of} modules")]
        return []

    def _ocpp_of(self, text: str, now: float) -> list[Event]:
        if match := _CONNECTED.search(text):
            version = match[1].removeprefix("ocpp")
            self.ocpp = "connected"
            return self._reach("ocpp", f"OCPP {version} is connected")
        if match := _NOT_CONNECTED.search(text):
            self.ocpp = f"not connected: {why(match[1])}"
            if self._failed_since is None:
                self._failed_since = now
                return [] if "ocpp" in self.done else [Under("OCPP", self.ocpp)]
        elif _CLOSED in text:
            self.ocpp = "not connected: the CSMS closed the connection"
        return []

    def _crashes_of(self, text: str) -> list[Event]:
        if match := _CRASHED.search(text):
            self._start_over()
            said = f"module {match[1]} ended while the charger started; EVerest starts again"
        elif match := _CORE.search(text):
            said = f"a crash while the charger started: {match[1]} is its core"
        elif match := _NO_CORE.search(text):
            said = f"a crash while the charger started: {match[1]}"
        else:
            if _ENDED in text:
                self._start_over()
            return []
        if said in self._told or len(self._told) >= MOST_REMEMBERED:
            return []
        self._told.add(said)
        return [Warned(said)]

    def _start_over(self) -> None:
        """EVerest ended: it is of use when it is up again, and has lived for a while."""
        for step in ("everest", "ocpp"):
            self.done.pop(step, None)
        self._up_since = self._failed_since = None


def why(reason: str) -> str:
    """Why there is no connection, in words and in libwebsockets' own."""
    for part, words in _WHY:
        if part in reason:
            return f"{words} ({reason})"
    return reason


def why_ended(facts: ContainerFacts, readiness: Readiness) -> EvdiagError:
    """Why a container ended before it was of use."""
    if facts.exit_code == REFUSED and readiness.complaints:
        lines = "".join(f"\n  {line}" for line in readiness.complaints)
        return UsageError(
            f"the charger does not accept its settings:{lines}",
            advice="They are options of `evdiag run`, or given with -e: see `evdiag run --help`.",
        )
    foreign = next((line for line in readiness.last if "exec format error" in line), "")
    if facts.error or foreign:
        return NotReady(f"{facts.name} could not start: {facts.error or foreign}")
    how = f"it ended with code {facts.exit_code}"
    if facts.oom_killed:
        how = "the kernel ended it because memory ran out"
    return NotReady(
        f"{facts.name} is not ready: {how} while it started. Its last words:{_last(readiness)}",
        advice=f"`evdiag logs --name {facts.name}` shows all of them.",
    )


def too_slow(name: str, readiness: Readiness, seconds: float) -> NotReady:
    """What was not reached in time."""
    return NotReady(
        f"{name} is not ready after {seconds:g} s: {readiness.missing} missing. Its last words:"
        f"{_last(readiness)}",
        advice=f"It goes on starting: `evdiag logs --name {name} -f` follows it. "
        "--timeout waits longer.",
    )


def _last(readiness: Readiness) -> str:
    return "".join(f"\n    {line}" for line in readiness.last)
