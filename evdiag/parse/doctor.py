"""What the programs say that doctor runs in a container, and files of this machine, as nouns.

A container may hold anything, so its answers may be anything: what is not of the right type
counts as not known, field by field.
"""

import functools
import re
import types
import typing

import msgspec

from evdiag.model.doctor import CrashResult, Debugger, HostFacts, InsideFacts
from evdiag.parse.container import read_core_pattern

LARGEST = 4 << 20
"""Bytes: the probe's answer about thirty processes has some ten thousand."""
MOST_ITEMS = 300
"""Of a list: a charger has 16 connectors at most, with 13 processes each."""
LONGEST_TEXT = 4096
WIDEST = 63
"""Bits of a number: no kernel counts further."""
NO_PYTHON = b"Python scripting is not supported in this copy of GDB"
"""In the executable of a gdb without Python, and only there (gdb/python/python.c)."""

_VERSION = re.compile(r"(\d+(?:\.\d+)+)[^\s()]*$")

_Noun = typing.TypeVar("_Noun", bound=msgspec.Struct)


def read_inside(answer: bytes) -> InsideFacts:
    """The answer of the probe."""
    document = _document(answer)
    if document is None:
        return InsideFacts(error="the probe gave no answer")
    return _noun(InsideFacts, document)


def read_crashes(answer: bytes) -> tuple[CrashResult, ...]:
    """The answer of the crash test: a result for each signal."""
    document = _document(answer)
    results = document.get("crashes") if document is not None else None
    if not isinstance(results, list):
        return (CrashResult(error="the crash test gave no answer"),)
    return tuple(_noun(CrashResult, result) for result in results[:MOST_ITEMS])


def _document(answer: bytes) -> dict[str, object] | None:
    if len(answer) > LARGEST:
        return None
    try:
        document = msgspec.json.decode(answer)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _noun(kind: type[_Noun], value: object) -> _Noun:
    """The fields that are as they should be; the others keep their default."""
    known = value if isinstance(value, dict) else {}
    fields = {}
    for field in _fields(kind):
        if field.name in known:
            try:
                fields[field.name] = _value(field.type, known[field.name])
            except (msgspec.MsgspecError, ValueError):
                continue
    try:
        return kind(**fields)
    except TypeError:  # one without which it is nothing
        raise ValueError from None


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind)


def _value(kind: typing.Any, value: object) -> object:  # noqa: ANN401
    if isinstance(kind, types.UnionType):
        if value is None:
            return None
        kind = next(one for one in typing.get_args(kind) if one is not types.NoneType)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _noun(kind, value)
    if typing.get_origin(kind) is tuple:
        entries = value[:MOST_ITEMS] if isinstance(value, list) else []
        return tuple(_value(typing.get_args(kind)[0], entry) for entry in entries)
    converted = msgspec.convert(value, kind)
    if isinstance(converted, int) and converted.bit_length() > WIDEST:
        raise ValueError
    return converted[:LONGEST_TEXT] if isinstance(converted, str) else converted


def read_host(
    system: str,
    kernel: str,
    files: dict[str, str],
    handler_exists: bool | None = None,
    gdb: Debugger | None = None,
) -> HostFacts:
    """This machine, by the files of its kernel: `core_pattern`, `core_uses_pid`, `ptrace_scope`."""
    scope = files.get("ptrace_scope", "").strip()
    return HostFacts(
        system=system,
        kernel=kernel,
        pattern=read_core_pattern(files.get("core_pattern", ""), files.get("core_uses_pid", "")),
        handler_exists=handler_exists,
        ptrace_scope=int(scope) if scope.isascii() and scope.isdigit() and len(scope) < 9 else None,
        gdb=gdb,
    )


def handler_path(pattern: str) -> str | None:
    """The program that a core pattern pipes cores to (core(5): its path is absolute)."""
    words = pattern[1:].split() if pattern.startswith("|") else []
    return words[0] if words and words[0].startswith("/") and "\0" not in words[0] else None


def read_gdb_version(text: str) -> str:
    """The version in the first line of `gdb --version`: `GNU gdb (Debian 13.1-3) 13.1`."""
    match = _VERSION.search(text[:LONGEST_TEXT].partition("\n")[0].strip())
    return match[1] if match else ""
