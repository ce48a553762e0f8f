"""Frames in reports of the sanitizers of gcc and clang.

Sources: LLVM's compiler-rt, which gcc has a copy of (`sanitizer_stacktrace_libcdep.cpp`,
`sanitizer_stacktrace_printer.cpp`). They print the address of the call itself, not the one behind
it, for frames of any depth. The offset is relative to the load bias.
"""

import re
from collections.abc import Iterator

from evdiag.model.symbolized import Mention
from evdiag.parse.addresses._finder import HEX, NAMED_PLACE, Claim, Finder, Finding, text_end
from evdiag.parse.addresses._mappings import Mappings

_FRAME = re.compile(rf"#\d{{1,4}} (?:0x(?P<address>{HEX}) )?")
_MODULE_END = re.compile(
    rf"\+0x(?P<offset>{HEX})\)(?: \(BuildId: (?P<build_id>[0-9a-f]{{2,128}})\))?"
)


def _find(line: str, _: Mappings) -> Iterator[Finding]:
    frame = _FRAME.search(line)
    if frame is None:
        return
    end = text_end(line)
    module = _MODULE_END.search(line, frame.end())
    opened = -1 if module is None else line.rfind("(", frame.end(), module.start())
    before = end if opened < 0 else opened
    if NAMED_PLACE.search(line[frame.end() : before].rstrip()):
        yield Claim(frame.start(), end)
    elif module is not None and opened >= 0:
        yield Mention(
            start=frame.start(),
            end=module.end(),
            kind="sanitizer",
            module=line[opened + 1 : module.start()],
            build_id=module["build_id"],
            offset=int(module["offset"], 16),
            address=None if frame["address"] is None else int(frame["address"], 16),
            is_call=False,
        )


FINDER = Finder(
    id="sanitizer",
    title="AddressSanitizer, UndefinedBehaviorSanitizer, ThreadSanitizer and their kin",
    examples=(
        "    #0 0x55bb1f65b3db  (/opt/prog+0x63db)",
        "    #3 0x558b93e28360 in _start (/opt/prog+0x24360) (BuildId: 6ff4f240b1fd0aeaff6df0e6dc)",
        "    #1 <null> <null> (libfoo.so.6+0x27249) (BuildId: 93ac61ec5a8eb1396f9fbd350e3169a5)",
    ),
    words=("#",),
    find=_find,
)
