"""The locks of glibc as they lie in memory: who holds one, and whether it is one at all.

The layouts are part of glibc's ABI for 64-bit x86 and Arm: `struct __pthread_mutex_s` and
`struct __pthread_rwlock_arch_t` (sysdeps/{x86,aarch64,nptl}/.../struct_{mutex,rwlock}.h), `struct
__pthread_cond_s` (sysdeps/nptl/bits/thread-shared-types.h, changed in 2.41) and `struct new_sem`
(nptl/../internaltypes.h). Since 2.25 they have had the same place for everything read here.
"""

import struct

import msgspec

from evdiag.parse.memory import Memory

_MUTEX = struct.Struct("<IIiIi")
_RWLOCK = struct.Struct("<IIIIIIiiB")
_COND = struct.Struct("<QQ8I")
_SEM = struct.Struct("<III")

MUTEX_KINDS = 0x3FF
"""Type (2 bits), robust 16, inherit 32, protect 64, shared 128, elision 256 and 512: pthreadP.h."""
ROBUST, INHERIT = 16, 32
RECURSIVE = 1
SHARED = 128
MUSL_TYPES = 15
"""Recursive 1, error checking 2, robust 4, inherit 8; 128 is shared."""
FUTEX_TID = 0x3FFF_FFFF
"""FUTEX_TID_MASK of linux/futex.h: the owner in the word of a robust or inheriting mutex."""
MAX_TID = 1 << 22
"""PID_MAX_LIMIT of Linux: no thread has a number from here on."""

RWLOCK_PHASE, RWLOCK_WRITERS = 8, 12
"""Offsets of the two futexes of a read-write lock."""
COND_SIGNALS = (40, 32)
"""Offset of the futexes `__g_signals[2]` of a condition variable, up to 2.40 and since then."""


TID_IN_THREAD = 0x2D0
"""Offset of `tid` in glibc's `struct pthread` on x86-64: behind tcbhead_t's 704 bytes and a list
(nptl/descr.h). It has been there since glibc 2.4."""


class Mutex(msgspec.Struct, frozen=True, kw_only=True):
    """A pthread_mutex_t, and with it std::mutex and its kin."""

    word: int
    """0: free; 1: held; 2: held, and somebody waits."""
    owner: int
    """TID of the thread that holds it; 0 where nobody does."""
    users: int
    kind: int

    @property
    def recursive(self) -> bool:
        """Whether its owner may lock it again."""
        return self.kind & 3 == RECURSIVE


class RwLock(msgspec.Struct, frozen=True, kw_only=True):
    """A pthread_rwlock_t, and with it std::shared_mutex."""

    address: int
    writer: int
    """TID of the thread that holds it for writing; 0 where readers or nobody do."""


def read_mutex(memory: Memory, address: int) -> Mutex | None:
    """The mutex at an address, if what lies there can be one that somebody uses."""
    raw = memory.in_core(address, _MUTEX.size)
    if len(raw) < _MUTEX.size:
        return None
    word, _, owner, users, kind = _MUTEX.unpack(raw)
    if kind & ~MUTEX_KINDS or not 0 <= owner < MAX_TID:
        return None
    if kind & (INHERIT | ROBUST):  # the kernel itself reads the owner in their word
        owner = word & FUTEX_TID if word & FUTEX_TID < MAX_TID else owner
    return Mutex(word=word, owner=owner, users=users, kind=kind)


def names_owner(memory: Memory, address: int, mutex: Mutex | None) -> bool:
    """Whether the word of a mutex is its owner's number: where the kernel has to know, and in musl.

    A plain mutex of musl has 16 (EBUSY) there instead, which may well be the number of a thread.
    Its type lies before the word: pthread_impl.h of musl, `_m_type` and `_m_lock`.
    """
    if mutex is not None and mutex.kind & (INHERIT | ROBUST):
        return True
    kind = number(memory, address - 4)
    return kind is not None and kind & MUSL_TYPES != 0 and kind < 2 * SHARED


def read_rwlock(memory: Memory, futex: int) -> RwLock | None:
    """The read-write lock that one of its futexes belongs to, if there can be one."""
    for offset in (RWLOCK_PHASE, RWLOCK_WRITERS):
        raw = memory.in_core(futex - offset, _RWLOCK.size)
        if len(raw) < _RWLOCK.size:
            continue
        readers, writers, phase, second, pad3, pad4, writer, shared, elision = _RWLOCK.unpack(raw)
        used = readers | writers
        fits = used and not (phase | second) & ~3 and not pad3 | pad4 and 0 <= writer < MAX_TID
        if fits and shared in (0, 1) and not elision:
            return RwLock(address=futex - offset, writer=writer)
    return None


def condition_variable(memory: Memory, futex: int, threads: int) -> int | None:
    """The address of the condition variable that a futex belongs to, if there can be one.

    It counts who waits; there cannot be more of them than threads.
    """
    for signals in COND_SIGNALS:
        for group in (0, 1):
            address = futex - signals - 4 * group
            if address % 8:
                continue
            raw = memory.in_core(address, _COND.size)
            if len(raw) == _COND.size and _waits(raw, signals, group, threads):
                return address
    return None


def _waits(raw: bytes, signals: int, group: int, threads: int) -> bool:
    """Whether a condition variable with these bytes has somebody who waits in this group."""
    fields: tuple[int, ...] = _COND.unpack(raw)
    waited, started, words = fields[0], fields[1], fields[2:]
    if signals == COND_SIGNALS[0]:
        references, wrefs = words[group] >> 1, words[5]
        if not 1 <= references <= wrefs >> 3:
            return False
    else:
        wrefs = words[3]
    # the lowest bit of both counters says which of the two groups is which
    return 1 <= wrefs >> 3 <= threads and wrefs >> 3 <= waited >> 1 and started >> 1 <= waited >> 1


def semaphore(memory: Memory, futex: int, threads: int) -> bool:
    """Whether a futex can be a sem_t that is 0 and has somebody who waits for it."""
    raw = memory.in_core(futex, _SEM.size)
    if len(raw) < _SEM.size or futex % 8:
        return False
    value, waiting, private = _SEM.unpack(raw)
    return value == 0 and 1 <= waiting <= threads and private in (0, SHARED)


def number(memory: Memory, address: int) -> int | None:
    """The 32-bit number at an address."""
    raw = memory.in_core(address, 4)
    return int.from_bytes(raw, "little") if len(raw) == 4 else None


def is_thread_number(memory: Memory, address: int) -> bool:
    """Whether the `tid` of a `struct pthread` of x86-64 lies there: that begins with its address.

    Cores of some old debuggers do not have the thread pointer, which tells the same.
    """
    start = address - TID_IN_THREAD
    return memory.word(start) == start
