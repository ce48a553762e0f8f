"""C++ exceptions as libstdc++ keeps them in memory: the header in front of each thrown object.

Source: gcc's libstdc++-v3/libsupc++/unwind-cxx.h (`__cxa_refcounted_exception`,
`__cxa_dependent_exception`, `__cxa_eh_globals`), for processors with 64 bits; the same since
gcc 4.5. Headers of 32-bit programs are laid out in another way, and are not read.
"""

import struct

import msgspec

from evdiag.parse.memory import Memory

MARK = b"++CCUNG"
"""The exception class of libstdc++, the word "GNUCC++", as it lies in memory behind the byte that
tells both kinds of headers apart. No zero byte at the front: that would make a search through
empty memory four times slower."""
PRIMARY, DEPENDENT = 0x474E5543432B2B00, 0x474E5543432B2B01
"""The exception class of a thrown object, and of what std::rethrow_exception throws instead."""
OBJECT = 32
"""From the exception class, where `_Unwind_Exception` begins, to the thrown object."""
HEADER = 80
"""From the begin of `__cxa_exception` to the exception class."""
BEFORE = 96
"""From the begin of the allocation, the reference count, to the exception class."""
MAX_REFERENCES = 1 << 20
"""More owners than threads and std::exception_ptr of any program: then it is no count."""


class ExceptionHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one exception that is alive."""

    at: int
    """Address of its exception class: that of `_Unwind_Exception`."""
    dependent: bool
    """Whether it only stands for another one, which std::rethrow_exception threw again."""
    type: int
    """Address of the std::type_info of the object; 0 in a dependent one."""
    object: int
    """Address of the thrown object."""
    handlers: int
    """How many handlers are at work on it; negative while it is thrown again. An exception that
    only std::exception_ptr keeps alive still has the number it had last."""
    references: int
    next: int
    """The exception that was being handled when this one was caught; 0 for none."""
    landing: int
    """Where the last handler that was found for it begins; 0 before there was one."""


def read_header(memory: Memory, at: int) -> ExceptionHeader | None:
    """The header whose exception class is at an address; None if there is no living exception.

    Nobody clears what was freed. So more than the mark has to be right: a reference count, with
    the zeros around it that malloc overwrites with pointers, and a terminate handler that can be
    executed.
    """
    if memory.size != 8 or at < BEFORE:
        return None
    raw = memory.read(at - BEFORE, BEFORE + 8)
    if len(raw) != BEFORE + 8:
        return None
    (references, padding, more) = struct.unpack_from("<iIQ", raw, 0)
    (kind_or_primary, destructor, unexpected, terminate, following) = struct.unpack_from(
        "<5Q", raw, 16
    )
    (handlers,) = struct.unpack_from("<i", raw, 56)
    (landing, _, mark) = struct.unpack_from("<3Q", raw, 80)
    if not memory.executable(terminate) or (unexpected and not memory.executable(unexpected)):
        return None
    if mark == DEPENDENT:
        if kind_or_primary < BEFORE + OBJECT:
            return None
        references, kind, thrown = 1, 0, kind_or_primary
    elif mark == PRIMARY:
        alive = 0 < references <= MAX_REFERENCES and not padding and not more
        if not alive or (destructor and not memory.executable(destructor)):
            return None
        kind, thrown = kind_or_primary, at + OBJECT
    else:
        return None
    return ExceptionHeader(
        at=at,
        dependent=mark == DEPENDENT,
        type=kind,
        object=thrown,
        handlers=handlers,
        references=references,
        next=following + HEADER if following else 0,
        landing=landing,
    )
