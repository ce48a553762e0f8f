"""`prog+0x1234`, `libfoo.so+0x1234`, `prog(+0x1234)`, `<build-id>+0x1234` wherever they stand.

They are taken as `addr2line` takes them: the address of what is asked for, not the one behind it;
this is also how evdiag's own signatures have them. Only within brackets behind a module it is
a frame of a backtrace.
"""

import re
from collections.abc import Iterator

from evdiag.model.symbolized import Mention
from evdiag.parse.addresses._finder import HEX, Finder, name_start
from evdiag.parse.addresses._mappings import Mappings

_OFFSET = re.compile(
    rf"\+0x(?P<offset>{HEX})(?![\w/])"
    r"(?:(?P<closed>\))(?: \(BuildId: (?P<id>[0-9a-f]{2,128})\))?)?"
)
_BUILD_ID = re.compile(r"(?:[0-9a-f]{2}){8,32}")
_NO_MODULE = re.compile(r"[\d.]*$|0[xX]|_Z|.*(?:::|[)\]}])", re.DOTALL)
"""Numbers, names of C++, and ends of expressions."""


def _find(line: str, _: Mappings) -> Iterator[Mention]:
    done = 0
    for match in _OFFSET.finditer(line):
        mention = _mention(line, done, match)
        if mention is not None:
            yield mention
        done = match.end()


def _mention(line: str, floor: int, match: re.Match[str]) -> Mention | None:
    start = name_start(line, floor, match.start(), "([{")
    name = line[start : match.start()]
    bracket = bool(match["closed"]) and start > floor and line[start - 1] == "("
    outer = name_start(line, floor, start - 1, "([{") if bracket else start
    module = line[outer : start - 1] if bracket else ""
    if ")" in name:  # `name(int)+0x12`
        return None
    if module and "/" not in name and not _NO_MODULE.match(module):
        return _made(match, outer, module=module, symbol=name or None, is_call=True)
    if not name:  # `(+0x12)`: of the only program that there is
        return _made(match, start - 1) if bracket and not module else None
    if _BUILD_ID.fullmatch(name):
        return _made(match, start, build_id=name)
    if _NO_MODULE.match(name):
        return None
    return _made(match, start, module=name, build_id=match["id"])


def _made(
    match: re.Match[str],
    start: int,
    *,
    module: str | None = None,
    build_id: str | None = None,
    symbol: str | None = None,
    is_call: bool = False,
) -> Mention:
    return Mention(
        start=start,
        end=match.end(),
        kind="module-offset",
        module=module,
        build_id=build_id,
        symbol=symbol,
        offset=int(match["offset"], 16),
        is_call=is_call,
    )


FINDER = Finder(
    id="module-offset",
    title="Module and offset, build-id and offset",
    examples=(
        "prog+0x11c4",
        "libfoo.so.1+0x2724a",
        "prog(+0x11c4)",
        "(+0x11c4)",
        "6ff4f240b1fd0aeaff6df0e6dc16fc6148084a44+0x24360",
        "SUMMARY: AddressSanitizer: SEGV (/opt/prog+0x63db) (BuildId: 93ac61ec5a8eb1396f9fbd)",
    ),
    words=("+0x",),
    find=_find,
)
