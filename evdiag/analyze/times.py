"""Times in the words of a report."""

from datetime import UTC, datetime


def time_words(time: float | None) -> str | None:
    """The time as a log writes it, to milliseconds; None if it is none."""
    try:
        moment = None if time is None else datetime.fromtimestamp(time, UTC)
    except (OverflowError, OSError, ValueError):
        return None
    return None if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def utc_words(time: float | None) -> str | None:
    """The same for a time that is known to be of the zone UTC, as those of logs are not."""
    words = time_words(time)
    return None if words is None else f"{words} UTC"
