"""The status of chargers: a screen for people, and JSON for scripts."""

import textwrap
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from evdiag.model.charger import SERVICES
from evdiag.model.status import ChargerStatus, Connector, Core, Everest, Link, Module
from evdiag.report.neutral import clean
from evdiag.report.words import count, size

NARROWEST = 40
MOST_CORES = 5
LABEL = 10
LEAST = 4
"""Cells of a column of a table that does not fit."""
_BOLD, _DIM, _RED, _GREEN, _YELLOW = "1", "2", "1;31", "32", "33"
"""The terminal's own colours: they fit light and dark backgrounds."""
_VERDICTS = {"healthy": _GREEN, "starting": _YELLOW, "degraded": _RED, "stopped": _RED}
_STATES = {"connected": _GREEN, "disconnected": _RED}
_CORE_STATES = {
    "none": "no core",
    "truncated": "truncated",
    "writing": "being written",
    "empty": "empty",
}
_LIMIT = 300


def render_json(statuses: Sequence[ChargerStatus], *, many: bool) -> str:
    """One document, or an array of them."""
    document: object = list(statuses) if many else statuses[0]
    text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    return text + "\n"


def render(status: ChargerStatus, width: int = 80, colour: bool = False) -> str:
    """One charger, in lines of at most `width` characters."""
    return "\n".join(_Screen(max(width, NARROWEST), colour).lines(status)) + "\n"


def render_table(statuses: Sequence[ChargerStatus], width: int = 80, colour: bool = False) -> str:
    """A line for each charger."""
    if not statuses:
        return "There is no charger. `evdiag run` starts one.\n"
    screen = _Screen(max(width, NARROWEST), colour)
    rows: list[tuple[str, ...]] = [("NAME", "STATE", "OCPP", "CHARGING", "CRASHES", "CORES")]
    rows += [_summary(status) for status in statuses]
    styles = ["", *(_VERDICTS.get(status.verdict, "") for status in statuses)]
    return "\n".join(screen.table(rows, styles, 1)) + "\n"


def _summary(status: ChargerStatus) -> tuple[str, ...]:
    connectors = [_charging(connector) for connector in status.connectors]
    busy = sum(connector.state not in ("", "Unplugged") for connector in status.connectors)
    charging = connectors[0] if len(connectors) == 1 else f"{busy} of {len(connectors)} in use"
    crashes = "-" if status.everest is None else str(status.everest.crashes)
    link = clean(status.ocpp.version, 20) + (f" {status.ocpp.state}" if status.everest else "")
    return (
        clean(status.name, 40),
        status.verdict + _for(status.started if status.everest else status.finished, status.taken),
        link,
        charging if connectors else "-",
        crashes,
        str(len(status.cores)) + ("" if status.cores_complete else "+"),
    )


def _for(since: float | None, now: float) -> str:
    return "" if since is None else f", {span(now - since)}"


def span(seconds: float) -> str:
    """A time for people: `12 s`, `3 min`, `2 h 5 min`, `4 d 3 h`."""
    whole = max(int(seconds), 0)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 100:
        return f"{whole} s"
    if minutes < 100:
        return f"{minutes} min"
    if hours < 48:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{days} d {hours % 24} h" if hours % 24 else f"{days} d"


def when(moment: float) -> str:
    """A moment as the container's logs have it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _kilowatts(power: float) -> str:
    return f"{power:.0f} W" if abs(power) < 1000 else f"{power / 1000:.1f} kW"


def _charging(connector: Connector) -> str:
    if not connector.state:
        return "said nothing"
    parts = [clean(connector.state, 40)]
    if connector.state == "Unplugged":
        return ", ".join([*parts, *(["permanent fault"] if connector.faulty else [])])
    if connector.power is not None:
        parts.append(_kilowatts(connector.power))
    if connector.energy is not None:
        parts.append(f"{connector.energy / 1000:.2f} kWh")
    if connector.soc is not None:
        parts.append(f"{connector.soc:.0f} %")
    if connector.seconds:
        parts.append(f"for {span(connector.seconds)}")
    if connector.faulty:
        parts.append("permanent fault")
    return ", ".join(parts)


class _Screen:
    """Lines of a certain width, with or without colour."""

    def __init__(self, width: int, colour: bool) -> None:
        self.width, self.colour = width, colour

    def paint(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self.colour and style else text

    def row(self, label: str, text: str, style: str = "") -> list[str]:
        """A label and a text that wraps beside it."""
        room = self.width - LABEL
        rows = textwrap.wrap(text, room, break_on_hyphens=False) or [""]
        first = self.paint(label.ljust(LABEL), _DIM)
        rest = " " * LABEL
        return [(rest if at else first) + self.paint(row, style) for at, row in enumerate(rows)]

    def table(
        self,
        rows: Sequence[Sequence[str]],
        styles: Sequence[str],
        styled: int,
        numbers: Collection[int] = (),
    ) -> list[str]:
        """Columns; the first row is the head, the column `styled` has the row's style."""
        columns = list(zip(*rows, strict=True))
        widths = [max(_cells(cell) for cell in column) for column in columns]
        spare = self.width - sum(widths) - 2 * (len(widths) - 1)
        while spare < 0 and max(widths) > LEAST:  # the widest gives; names are copied, so last
            rest = [at for at in range(1, len(widths)) if widths[at] > LEAST] or [0]
            widest = max(rest, key=lambda at: widths[at])
            taken = min(-spare, widths[widest] - LEAST, max(1, widths[widest] // 4))
            widths[widest] -= taken
            spare += taken
        lines = []
        for row, style in zip(rows, styles, strict=True):
            cells = [
                _fit(cell, room, right=at in numbers)
                for at, (cell, room) in enumerate(zip(row, widths, strict=True))
            ]
            cells[-1] = cells[-1].rstrip()
            if row is rows[0]:
                cells = [self.paint(cell, _DIM) for cell in cells]
            else:
                cells[styled] = self.paint(cells[styled], style)
            lines.append("  ".join(cells).rstrip())
        return lines

    # -- one charger

    def lines(self, status: ChargerStatus) -> Iterator[str]:
        yield from self._headline(status)
        if status.everest is None:
            yield from self._link(status.ocpp, status.taken, live=False)
        else:
            yield from self._link(status.ocpp, status.taken, live=True)
            yield from self._connectors(status.connectors)
            yield from self._services(status)
            yield from self._everest(status.everest, status.taken)
        yield from self._cores(status)
        for at, url in enumerate(status.urls):
            yield from self.row("" if at else "open", f"{url.what}: {clean(url.url, _LIMIT)}")
        for at, gap in enumerate(status.gaps):
            text = f"{clean(gap.part, _LIMIT)}: {clean(gap.reason, _LIMIT)}"
            yield from self.row("" if at else "not seen", text, _YELLOW)
        if status.orphans:
            yield ""
            yield self.paint("Left over from a manager that ended", _RED)
            yield from self._modules(status.orphans, status.taken)
        if status.modules:
            yield ""
            yield from self._modules(status.modules, status.taken)

    def _headline(self, status: ChargerStatus) -> Iterator[str]:
        name = clean(status.name, _LIMIT)
        style = _VERDICTS.get(status.verdict, _RED)
        if status.verdict in ("healthy", "starting", "degraded"):
            up = f"{name}: up {span(status.taken - (status.started or status.taken))}, "
        else:
            up = f"{name}: "
        text = status.verdict
        if status.verdict == "stopped":
            if status.finished is not None:
                text += f" {span(status.taken - status.finished)} ago ({when(status.finished)} UTC)"
            text += "" if status.exit_code is None else f", exit code {status.exit_code}"
        yield self.paint(up, _BOLD) + self.paint(text, style)
        for reason in status.reasons:
            rows = textwrap.wrap(clean(reason, _LIMIT), self.width - 4, break_on_hyphens=False)
            for at, row in enumerate(rows):
                yield ("    " if at else "  - ") + row
        if status.engine_restarts:
            yield f"  - the engine restarted it {count(status.engine_restarts, 'time')}"

    def _link(self, link: Link, now: float, *, live: bool) -> Iterator[str]:
        about = f"{clean(link.version, 20)}, {clean(link.id, 60)} at {clean(link.url, _LIMIT)}"
        yield from self.row("OCPP", about)
        if not live:
            return
        text = link.state
        if link.state == "connected" and link.since is not None:
            text += f" for {span(now - link.since)} (since {when(link.since)} UTC)"
        elif link.state == "unknown":
            text = "whether it is connected is not known"
        else:
            text = "not connected" if link.state == "disconnected" else text
            if link.error:
                text += f": {clean(link.error, _LIMIT)}"
            if link.error_time is not None:
                text += f", {span(now - link.error_time)} ago"
        yield from self.row("", text, _STATES.get(link.state, _YELLOW))

    def _connectors(self, connectors: Sequence[Connector]) -> Iterator[str]:
        if len(connectors) > 1 and not any(connector.state for connector in connectors):
            yield from self.row("charging", f"{len(connectors)} connectors, which said nothing")
            return
        for at, connector in enumerate(connectors):
            style = _RED if connector.faulty else _GREEN if connector.state == "Charging" else ""
            label = "" if at else "charging"
            number = f"{connector.number}: " if len(connectors) > 1 else ""
            yield from self.row(label, number + _charging(connector), style)

    def _services(self, status: ChargerStatus) -> Iterator[str]:
        parts = []
        for service in status.services:
            runs = service.state == "running"
            if runs and service.name not in SERVICES:
                continue  # what shows the logs is of interest only when it does not
            text = clean(service.name, 40) + ("" if runs else f" {clean(service.state, 20)}")
            if service.since is not None:
                text += f" {span(status.taken - service.since)}"
            parts.append(text)
        if parts:
            yield from self.row("services", " · ".join(parts))

    def _everest(self, everest: Everest, now: float) -> Iterator[str]:
        text = {"up": "up", "starting": "starting", "down": "does not run"}.get(
            everest.state, "whether it runs is not known"
        )
        if everest.since is not None and everest.state in ("up", "starting"):
            text += f" {span(now - everest.since)}"
        if everest.expected is not None and everest.state == "up":
            there = everest.expected - len(everest.missing)
            text += f", {there} of {count(everest.expected, 'module')}"
        crashes = "1 crash" if everest.crashes == 1 else f"{everest.crashes:,} crashes"
        text += f", {count(everest.restarts, 'restart')}, {crashes}"
        if everest.last_crash is not None:
            who = f" of {clean(everest.last_crashed, 80)}" if everest.last_crashed else ""
            text += f", the last{who} {span(now - everest.last_crash)} ago"
        style = {"up": "", "starting": _YELLOW}.get(everest.state, _RED)
        yield from self.row("EVerest", text, style)

    def _cores(self, status: ChargerStatus) -> Iterator[str]:
        if not status.cores:
            if status.cores_complete:
                yield from self.row("cores", "none")
            return
        more = "" if status.cores_complete else " or more"
        disk = f", {size(status.cores_disk)}" if status.cores_disk else ""
        first, *rest = self.row("cores", f"{len(status.cores)}{more}{disk}", _RED)
        yield first
        yield from rest
        for core in status.cores[:MOST_CORES]:
            yield from self.row("", _core(core, status.taken))
        if len(status.cores) > MOST_CORES:
            yield from self.row("", f"… {len(status.cores) - MOST_CORES} older")
        name = clean(status.name, _LIMIT)
        yield from self.row("", f"evdiag backtrace {name}", _BOLD)

    def _modules(self, modules: Sequence[Module], now: float) -> Iterator[str]:
        rows = [("MODULE", "TYPE", "PID", "THREADS", "MEMORY", "UP")]
        for module in modules:
            up = "" if module.started is None else span(now - module.started)
            rows.append(
                (
                    clean(module.id, 80),
                    clean(module.type, 80),
                    str(module.pid),
                    str(module.threads),
                    size(module.memory),
                    f"{up} {module.state}".strip(),
                )
            )
        styles = ["", *(_RED if each.state else "" for each in modules)]
        yield from self.table(rows, styles, 5, numbers={2, 3, 4})


def _core(core: Core, now: float) -> str:
    parts = [clean(core.process, 80) or clean(core.name, 120)]
    if core.signal:
        parts[0] += f" {core.signal}"
    if core.time is not None:
        parts.append(f"{span(now - core.time)} ago")
    shown = core.size if core.disk is None else min(core.disk, core.size or core.disk)
    if shown:
        parts.append(size(shown))
    if core.state in _CORE_STATES:
        parts.append(_CORE_STATES[core.state])
    if core.error:
        parts.append(clean(core.error, 200))
    return ", ".join(parts)


def _cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _fit(text: str, room: int, *, right: bool) -> str:
    """The text in exactly so many cells."""
    while _cells(text) > room:
        text = text.removesuffix("…")[:-1] + "…"
    gap = " " * (room - _cells(text))
    return gap + text if right else text + gap
