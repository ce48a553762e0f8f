"""The clock of a container, and the times that people and the engine write."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

_AGO = re.compile(r"(\d{1,9})\s*(s|m|h|d)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_OF_DAY = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,6}))?)?")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


class Clock:
    """The local time of a container, by its variable TZ; UTC where that is no zone we know."""

    def __init__(self, zone: str = "") -> None:
        self.zone: tzinfo = UTC
        self.known = True
        if zone.strip(":") not in ("", "UTC", "Etc/UTC", "GMT"):
            try:
                self.zone = ZoneInfo(zone.strip(":"))
            except (ValueError, OSError, KeyError):  # a name that is a path, or not there
                self.known = False
        self._minute = self._text = ""

    def text(self, seconds: float) -> str:
        """A time in seconds since 1970 as the logs write it; empty if there is no such time."""
        try:
            moment = datetime.fromtimestamp(seconds, self.zone)
        except (ValueError, OverflowError, OSError):
            return ""
        return moment.strftime("%Y-%m-%d %H:%M:%S.%f")

    def of_stamp(self, stamp: str) -> str:
        """The engine's time of a line, `2026-11-23T00:48:15.520373493Z`, as the logs write it."""
        minute = stamp[:16]
        if minute != self._minute:
            if not _STAMP.match(stamp):
                return ""
            try:
                moment = datetime.fromisoformat(minute).replace(tzinfo=UTC).astimezone(self.zone)
            except (ValueError, OverflowError):
                return ""
            self._minute, self._text = minute, moment.strftime("%Y-%m-%d %H:%M")
        return self._text + stamp[16:26].rstrip("Z")


def read_since(text: str, clock: Clock, now: float) -> str:
    """`10m`, `14:05`, `2026-11-23 14:05` or RFC 3339 as a time of the logs. Raises ValueError.

    A time of the day is the last one that has been; what names no zone is by the container's clock.
    """
    words = text.strip()
    if match := _AGO.fullmatch(words):
        return clock.text(now - int(match[1]) * _UNITS[match[2]])
    here = datetime.fromtimestamp(now, clock.zone)
    if match := _OF_DAY.fullmatch(words):
        micro = int((match[4] or "0").ljust(6, "0"))
        at = here.replace(
            hour=int(match[1]), minute=int(match[2]), second=int(match[3] or 0), microsecond=micro
        )
        if at > here:
            at -= timedelta(days=1)
        return at.strftime("%Y-%m-%d %H:%M:%S.%f")
    moment = datetime.fromisoformat(words.replace(",", "."))
    if moment.tzinfo is not None:
        try:
            moment = moment.astimezone(clock.zone)
        except OverflowError as error:
            raise ValueError(str(error)) from None
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


def seconds_of(time: str, clock: Clock) -> float | None:
    """A time of the logs in seconds since 1970."""
    try:
        return datetime.fromisoformat(time).replace(tzinfo=clock.zone).timestamp()
    except (ValueError, OverflowError):
        return None
