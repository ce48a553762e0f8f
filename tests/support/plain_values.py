"""Runs inside gdb: every value as this gdb prints it with the printers of GNU's C++ library alone.

The oracle for evdiag's values: no printers of our own, no settings that make gdb quicker. Limits
are those of `evdiag.model.values.Request`. The answer goes to the file in $PLAIN_VALUES.
"""

import json
import os
import re
import sys

import gdb

FRAMES, LONGEST, CHARACTERS, ELEMENTS, DEPTH = 64, 2000, 400, 100, 4
TEXTS = ("std::string", "std::basic_string", "std::__cxx11::string", "std::__cxx11::basic_string")
CHARACTER_TYPES = re.compile(r"(unsigned |signed )?(char|wchar_t|char8_t|char16_t|char32_t) ?[*\[]")


def text_of(symbol, frame):
    try:
        value = symbol.value(frame)
        if value.is_optimized_out:
            return "<optimized out>"
        bare = str(value.type).replace("const ", "")
        is_text = bare.startswith(TEXTS) or CHARACTER_TYPES.match(bare)
        most = CHARACTERS if is_text else ELEMENTS
        return value.format_string(
            max_elements=most, max_depth=DEPTH, repeat_threshold=10, deref_refs=True
        )[:LONGEST]
    except (gdb.error, RuntimeError, ValueError, TypeError, LookupError):
        return None


def variables(frame):
    try:
        block = frame.block()
    except RuntimeError:
        return []
    found = {}
    while block is not None:
        for symbol in block:
            if (symbol.is_variable or symbol.is_argument) and symbol.name not in found:
                found[symbol.name] = text_of(symbol, frame)
        if block.function is not None:
            break
        block = block.superblock
    return list(found.items())


def walk():
    threads = []
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        frame, frames = gdb.newest_frame(), []
        while frame is not None and len(frames) < FRAMES:
            if frame.type() != gdb.TAILCALL_FRAME:  # it left nothing on the stack
                frames.append([frame.pc(), variables(frame)])
            frame = frame.older()
        threads.append([thread.ptid[1] or thread.ptid[0], frames])
    return threads


sys.path.insert(0, "/usr/share/gcc/python")
from libstdcxx.v6 import printers  # noqa: E402

printers.register_libstdcxx_printers(None)
with open(os.environ["PLAIN_VALUES"], "w") as answer:
    json.dump(walk(), answer)
