"""Which lines of a log are wanted: by service, severity, module, text and time."""

import re
from collections.abc import Sequence

import msgspec

from evdiag.analyze.logmerge import order
from evdiag.model.loglines import (
    ALERT,
    EVEREST,
    MORE,
    PROCESS,
    SEVERITIES,
    LogLine,
)

LONGEST_SEARCHED = 4096
"""Characters of a line that an expression of the user is tried on: hostile lines could hang it."""
_LEVELS = {
    **{name.lower(): name for name in SEVERITIES},
    **{"verbose": "VERB", "trace": "VERB", "debug": "DEBG", "information": "INFO"},
    **{"warning": "WARN", "error": "ERRO", "err": "ERRO", "critical": "CRIT", "fatal": "CRIT"},
}


def read_level(text: str) -> str:
    """A severity under any of its names. Raises ValueError."""
    level = _LEVELS.get(text.strip().lower())
    if level is None:
        raise ValueError(text)
    return level


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked for."""

    services: frozenset[str] = frozenset()
    """All, if none is named."""
    level: str = ""
    module: str = ""
    pattern: str = ""
    """A regular expression that compiles."""
    since: str = ""

    @property
    def everything(self) -> bool:
        """Whether no line is left out."""
        return not (self.services or self.level or self.module or self.pattern or self.since)


class LineFilter:
    """Takes out what is not wanted. A line that goes on with another follows that one."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self._pattern = re.compile(wanted.pattern) if wanted.pattern else None
        level = SEVERITIES.index(wanted.level) if wanted.level else 0
        self._severities = frozenset(SEVERITIES[level:])
        self._shown: dict[str, bool] = {}

    def wants(self, batch: Sequence[LogLine]) -> Sequence[LogLine]:
        """The wanted ones of these, in their order."""
        if self.wanted.everything:
            return batch
        lines: Sequence[LogLine] = batch
        if self.wanted.services:
            services = self.wanted.services
            lines = [line for line in lines if line.service in services]
        if self.wanted.since:
            since = self.wanted.since
            lines = [line for line in lines if order(line.time) >= since or not line.time]
        if not (self.wanted.level or self.wanted.module or self._pattern):
            return lines
        found = []
        for line in lines:
            if line.form == ALERT:
                wanted = self._wants_alert(line)
            elif line.form == MORE:
                wanted = self._shown.get(line.service, False) or self._found_in(line)
            else:
                wanted = self._wants(line)
                self._shown[line.service] = wanted
            if wanted:
                found.append(line)
        return found

    def _wants(self, line: LogLine) -> bool:
        if self.wanted.level and line.severity not in self._severities:
            return False
        if self.wanted.module and not is_module(line.module, self.wanted.module):
            return False
        return self._pattern is None or self._matches(line)

    def _wants_alert(self, line: LogLine) -> bool:
        """Who looks for a text wants lines that have it, and nothing beside."""
        if self._pattern is not None:
            return False
        return not self.wanted.module or is_module(line.module, self.wanted.module)

    def _found_in(self, line: LogLine) -> bool:
        """A text that comes later than the begin of its record."""
        plain = not (self.wanted.level or self.wanted.module)
        return plain and self._pattern is not None and self._matches(line)

    def _matches(self, line: LogLine) -> bool:
        pattern = self._pattern
        assert pattern is not None
        if pattern.search(line.text[:LONGEST_SEARCHED]):
            return True
        return bool(line.more) and any(
            pattern.search(more[:LONGEST_SEARCHED]) for more in line.more or ()
        )


def is_module(name: str, wanted: str) -> bool:
    """Whether a process's name, which may be cut, is that of the module that was asked for."""
    if not name:
        return False
    return name.startswith(wanted) or (len(name) >= PROCESS and wanted.startswith(name))


def is_service_shown(wanted: Wanted, service: str) -> bool:
    """Whether lines of that service may be shown at all."""
    if wanted.module and service != EVEREST:
        return False
    return not wanted.services or service in wanted.services
