"""What lies behind a futex that a thread sleeps on: which kind of lock, where, and whose it is.

The kernel knows a futex as a bare number at an address. What it belongs to is told by the function
that waits, where that has a name, and else by what lies around it: counters of waiting threads
that fit, an owner who is a thread of this core.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from evdiag.analyze.syscalls import Call
from evdiag.model.report import Address, Frame, WaitsFor
from evdiag.parse import pthread
from evdiag.parse.memory import Memory

_LOCK_PI, _LOCK_PI2 = 6, 13
_COMMAND, _PRIVATE = 0x7F, 0x80
"""linux/futex.h."""
_WAITERS = 1 << 31
"""FUTEX_WAITERS: in a word whose other bits are the owner, where the kernel or musl keeps it."""
_CONTENDED = 2
"""The value that glibc's locks have while somebody waits (lowlevellock.h)."""
_RWLOCK_VALUES = (2, 3)
"""PTHREAD_RWLOCK_FUTEX_USED, with and without the phase's own bit (pthread_rwlock_common.c)."""
_FUTURE_WAITS = 1 << 31
"""`_Waiter_bit` of libstdc++'s bits/atomic_futex.h, which std::future waits with."""
_JOIN_REACH = 4096
"""The number of a thread lies so close to its thread pointer: glibc's `struct pthread` begins
there on x86-64, and ends there on aarch64."""

MUTEX, RECURSIVE, RWLOCK, JOIN = "mutex", "recursive mutex", "rwlock", "join"
CONDITION, SEMAPHORE, FUTURE, ATOMIC = "condition variable", "semaphore", "future", "atomic"
LOCK, FUTEX = "lock", "futex"

STATES = {
    MUTEX: "waiting for a mutex",
    RECURSIVE: "waiting for a mutex",
    RWLOCK: "waiting for a read-write lock",
    JOIN: "waiting for a thread to end",
    CONDITION: "waiting for a condition variable",
    SEMAPHORE: "waiting for a semaphore",
    FUTURE: "waiting for a future",
    ATOMIC: "waiting for an atomic variable",
    LOCK: "waiting for a lock inside of a library",
    FUTEX: "waiting on a futex",
}
"""What a thread does, by the kind of what it waits for."""

_NAMED = re.compile(
    r"(?:void |bool )?_*(?:GI_+)?(?:"
    r"(?P<mutex>pthread_mutex_)|(?P<rwlock>pthread_rwlock_)|(?P<join>pthread_(?:clock|timed)?join)"
    r"|(?P<condition>pthread_cond_|std::(?:_V2::)?condition_variable)"
    r"|(?P<semaphore>(?:new_)?sem_(?:timed|clock)?wait)"
    r"|(?P<lock>lll_lock_wait_private)|(?P<future>std::__atomic_futex_unsigned)"
    r"|(?P<atomic>std::__detail::__platform_wait|std::__atomic_wait))"
)
"""The functions of libc and libstdc++ that wait, without the underscores of their many aliases."""
_KINDS = {"condition": CONDITION}
_NEAR = 8
"""The function that waits is among so many innermost frames, inlined ones included."""


class Threads(msgspec.Struct, frozen=True, kw_only=True):
    """The threads that may hold something."""

    lwps: Mapping[int, int]
    """The LWP in the core of each thread, by the number that the process knows it by."""
    pointers: Mapping[int, int]
    """The thread pointer of each LWP, where the core has it."""


def behind(
    memory: Memory, call: Call, frames: Sequence[Frame], threads: Threads
) -> WaitsFor | None:
    """What a thread waits for that sleeps in this call of futex(2)."""
    address, operation, value = call.arguments[0], call.arguments[1], call.arguments[2]
    named = _named(frames)
    if address is None or operation is None or value is None:
        return WaitsFor(kind=named) if named else None
    futex = _Futex(memory, address, operation, value & 0xFFFF_FFFF, threads)
    return futex.as_named(named) if named else futex.by_its_bytes()


def _named(frames: Sequence[Frame]) -> str | None:
    """What the innermost function that has a name for it waits for."""
    for frame in frames[:_NEAR]:
        found = _NAMED.match(frame.function) if frame.function else None
        if found is not None and found.lastgroup:
            return _KINDS.get(found.lastgroup, found.lastgroup)
    return None


class _Futex:
    """One futex, and the tries to find out what it is."""

    def __init__(
        self, memory: Memory, address: int, operation: int, value: int, threads: Threads
    ) -> None:
        self.memory, self.address, self.value, self.threads = memory, address, value, threads
        self.command = operation & _COMMAND
        self.private = bool(operation & _PRIVATE)

    def as_named(self, kind: str) -> WaitsFor:
        """What the waiting function says that it is; its bytes say where it is and whose."""
        if kind == MUTEX:
            if not self.value:  # where the kernel sees a deadlock of a mutex with priority
                return WaitsFor(kind=MUTEX)  # inheritance, glibc sleeps on a 0 of its own for good
            return self._mutex(certain=True) or self._found(MUTEX)
        if kind == RWLOCK:
            return self._rwlock() or self._found(RWLOCK)
        if kind == JOIN:
            return self._found(JOIN, owner=self.threads.lwps.get(self.value))
        if kind == CONDITION:
            return self._condition() or self._found(CONDITION)
        return self._found(kind)

    def by_its_bytes(self) -> WaitsFor:
        """What it looks like; FUTEX where it looks like nothing that is known."""
        found = self._thread() or self._mutex(certain=False)
        if found is None and self.value in _RWLOCK_VALUES:
            found = self._rwlock()
        if found is None and self.value == _FUTURE_WAITS and not self.private:
            found = self._found(FUTURE)
        if found is None:
            found = self._condition() or self._semaphore()
        return found or self._found(FUTEX)

    def _found(self, kind: str, address: int | None = None, owner: int | None = None) -> WaitsFor:
        where = Address(self.address if address is None else address)
        return WaitsFor(kind=kind, address=where, owner_lwp=owner)

    def _thread(self) -> WaitsFor | None:
        """pthread_join: sleeps on the number of a thread, which the kernel clears when it ends."""
        lwp = self.threads.lwps.get(self.value)
        if lwp is None:
            return None
        near = abs(self.address - self.threads.pointers.get(lwp, 0)) < _JOIN_REACH
        if near or pthread.is_thread_number(self.memory, self.address):
            return self._found(JOIN, owner=lwp)
        return None

    def _mutex(self, *, certain: bool) -> WaitsFor | None:
        lwps = self.threads.lwps
        mutex = pthread.read_mutex(self.memory, self.address)
        if self.value & _WAITERS and pthread.names_owner(self.memory, self.address, mutex):
            in_word = lwps.get(self.value & pthread.FUTEX_TID)
            if in_word is not None:
                return self._found(_mutex_kind(mutex), owner=in_word)
        if mutex is None:
            return None
        owner = lwps.get(mutex.owner) if mutex.word else None
        if self.command in (_LOCK_PI, _LOCK_PI2):
            return self._found(_mutex_kind(mutex), owner=lwps.get(mutex.word & pthread.FUTEX_TID))
        if certain or (self.value == _CONTENDED and owner is not None and mutex.users):
            return self._found(_mutex_kind(mutex), owner=owner)
        return None

    def _rwlock(self) -> WaitsFor | None:
        lock = pthread.read_rwlock(self.memory, self.address)
        if lock is None:
            return None
        return self._found(RWLOCK, lock.address, self.threads.lwps.get(lock.writer))

    def _condition(self) -> WaitsFor | None:
        count = len(self.threads.lwps)
        address = pthread.condition_variable(self.memory, self.address, count)
        return None if address is None else self._found(CONDITION, address)

    def _semaphore(self) -> WaitsFor | None:
        is_one = pthread.semaphore(self.memory, self.address, len(self.threads.lwps))
        return self._found(SEMAPHORE) if is_one else None


def _mutex_kind(mutex: pthread.Mutex | None) -> str:
    return RECURSIVE if mutex is not None and mutex.recursive else MUTEX
