"""Files that tell what happened before a crash; the evidence of logs is read by `parse.logs`.

To add a reader, write a file with a `READER` and put it into `READERS`; the tests and the
documentation follow. Where more than one recognises a file, the first one has it.
"""

from evdiag.parse.timeline import (
    engine_events,
    everest,
    mosquitto,
    mqtt_trace,
    ocpp,
    ocpp_security,
    session,
)
from evdiag.parse.timeline._reader import Reader

READERS: tuple[Reader, ...] = (
    ocpp.READER,
    ocpp_security.READER,
    session.READER,
    everest.READER,
    mqtt_trace.READER,
    mosquitto.READER,
    engine_events.READER,
)


def reader_of(head: bytes) -> Reader | None:
    """Who can read a file that begins like this."""
    if not head or b"\0" in head:
        return None
    return next((reader for reader in READERS if reader.recognises(head)), None)
