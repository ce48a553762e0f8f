"""Messages of OCPP, from the log that libocpp writes of them, for 1.6 and 2.x.

Source: `log_output` and `format_message` in lib/ocpp/common/ocpp_logging.cpp of EVerest. A record
is `<time>: ChargePoint>CentralSystem <action> `, then the message (OCPP-J: an array) as indented
JSON, then an empty line. Strings in JSON have no line feeds, so no message can begin another
record; what is no JSON is written as it came, and whoever wrote it may write anything.
"""

import re
from collections.abc import Iterable, Iterator

import msgspec

from evdiag.model.timeline import FROM_CSMS, TO_CSMS, UTC, Happening
from evdiag.parse.timeline._ocpp_facts import facts_of, routine_of
from evdiag.parse.timeline._reader import Reader, first_lines, lines, seconds, short, text_of

MOST_JSON = 1 << 18
"""Bytes of one message that are looked at; reports of a device model have some ten thousand."""
BEGIN_OF_LOG = "Session logging"
"""What each log begins with, and says nothing."""

_HEADER = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^ :]{0,12}): (ChargePoint|CentralSystem|SYS)>\S{0,20} (.*)"
)
_SENDERS = {b"ChargePoint": TO_CSMS, b"CentralSystem": FROM_CSMS}
_CALL, _RESULT, _ERROR, _RESULT_ERROR, _SEND = 2, 3, 4, 5, 6
"""Message types of OCPP-J; the last two since 2.1."""
_CUT = re.compile(rb'\s*\[\s*([2-6]),\s*"([^"\\]{1,80})"')


def _time_of(line: bytes) -> float | None:
    match = _HEADER.match(line)
    return seconds(match[1].decode()) if match and match[1].isascii() else None


def _recognises(head: bytes) -> bool:
    return any(_HEADER.match(line) for line in first_lines(head, 2000))


def _read(source: str, pieces: Iterable[bytes]) -> Iterator[Happening]:
    header: re.Match[bytes] | None = None
    body: list[bytes] = []
    held = 0
    for line in lines(pieces):
        match = _HEADER.match(line)
        if match is not None:
            if header is not None:
                yield from _record(source, header, b"\n".join(body))
            header, body, held = match, [], 0
        elif header is not None and held <= MOST_JSON:
            body.append(line)
            held += len(line) + 1
    if header is not None:
        yield from _record(source, header, b"\n".join(body))


def _record(source: str, header: re.Match[bytes], body: bytes) -> Iterator[Happening]:
    time = seconds(header[1].decode("ascii", "replace"))
    said = short(text_of(header[3]), 120)
    direction = _SENDERS.get(header[2])
    if direction is None:
        if said and not said.startswith(BEGIN_OF_LOG):
            yield Happening(kind="ocpp-link", text=f"websocket: {said}", time=time, source=source)
        return
    yield _message(Happening(kind="ocpp", text=said, time=time, source=source), direction, body)


def _message(told: Happening, direction: str, body: bytes) -> Happening:
    """The message that a header announces, as far as it is there."""
    try:
        message = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        message = None
    if not (isinstance(message, list) and len(message) > 2 and isinstance(message[1], str)):
        return _cut(told, direction, body)
    kind, call = message[0], short(message[1], 80)
    action = told.text.removesuffix("Response")
    text, routine = told.text, None
    if kind in (_CALL, _SEND) and len(message) > 3:
        action = short(message[2], 60)
        text = _words(action, facts_of(action, message[3], answer=False))
        routine = routine_of(action, message[3])
    elif kind == _RESULT:
        text = facts_of(action, message[2], answer=True)
    elif kind in (_ERROR, _RESULT_ERROR):
        text = _words("error", " ".join(short(part, 120) for part in message[2:4] if part))
    is_answer = kind in (_RESULT, _ERROR, _RESULT_ERROR)
    return msgspec.structs.replace(
        told,
        text=text,
        direction=direction,
        call=call if kind != _SEND else None,
        is_answer=is_answer,
        routine=routine,
        name=action,
    )


def _cut(told: Happening, direction: str, body: bytes) -> Happening:
    """A message that was not written to its end, is too long, or is no message."""
    match = _CUT.match(body)
    is_answer = told.text.endswith("Response") if match is None else match[1] not in (b"2", b"6")
    call = match[2].decode("utf-8", "replace") if match is not None else None
    return msgspec.structs.replace(
        told,
        text=told.text if len(body) > MOST_JSON else f"{told.text} (its text is cut)".strip(),
        direction=direction,
        call=call,
        is_answer=is_answer,
        name=told.text.removesuffix("Response"),
    )


def _words(action: str, facts: str) -> str:
    return f"{action} {facts}".rstrip()


READER = Reader(
    id="ocpp",
    title="libocpp's log of messages",
    recognises=_recognises,
    time_of=_time_of,
    clock=UTC,
    read=_read,
)
