"""glibc's locks in memory: told by their bytes, whatever those are."""

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evdiag.parse import pthread
from evdiag.parse.elfcore import read_core
from evdiag.parse.memory import Memory
from tests.support import elfwriter as w

AT = 0x7F00_0000_1000


def memory_of(data: bytes, at: int = AT) -> Memory:
    """Memory with these bytes at an address."""
    dump = w.core(memory=[w.Piece(start=at, data=data)])
    return Memory(dump, read_core(dump))


def mutex(lock: int = 2, owner: int = 7, users: int = 1, kind: int = 0) -> bytes:
    """struct __pthread_mutex_s: lock, count, owner, nusers, kind."""
    return struct.pack("<IIiIi", lock, 0, owner, users, kind) + bytes(20)


def rwlock(
    *, readers: int = 3, writers: int = 0, phase: int = 3, second: int = 0, writer: int = 7,
    pad: int = 0, shared: int = 0, elision: int = 0,
) -> bytes:  # fmt: skip
    """struct __pthread_rwlock_arch_t."""
    fields = (readers, writers, phase, second, pad, 0, writer, shared, elision)
    return struct.pack("<6IiiB", *fields) + bytes(23)


def old_condition(*, waited: int = 4, started: int = 0, references: int = 4, wrefs: int = 16,
                  group: int = 0) -> bytes:  # fmt: skip
    """struct __pthread_cond_s up to glibc 2.40: __g_refs before __g_size, __g_signals at 40."""
    refs = [0, 0]
    refs[group] = references
    return struct.pack("<QQ8I", waited, started, *refs, 0, 0, 0, wrefs, 0, 0)


def new_condition(*, waited: int = 4, started: int = 0, wrefs: int = 16) -> bytes:
    """struct __pthread_cond_s since glibc 2.41: no __g_refs, __g_signals at 32."""
    return struct.pack("<QQ8I", waited, started, 0, 0, 0, wrefs, 0, 0, 0, 0)


# -- mutexes


@pytest.mark.parametrize(
    ("kind", "recursive"),
    [(0, False), (1, True), (2, False), (3, False), (256, False), (129, True)],
)
def test_a_mutex(kind: int, recursive: bool) -> None:
    found = pthread.read_mutex(memory_of(mutex(kind=kind)), AT)
    assert found == pthread.Mutex(word=2, owner=7, users=1, kind=kind)
    assert found.recursive == recursive


@pytest.mark.parametrize("kind", [16, 32, 48])
def test_a_mutex_that_the_kernel_knows_has_its_owner_in_its_word(kind: int) -> None:
    found = pthread.read_mutex(memory_of(mutex(lock=1 << 31 | 9, owner=7, kind=kind)), AT)
    assert found is not None
    assert found.owner == 9
    impossible = pthread.read_mutex(memory_of(mutex(lock=0x2FFF_FFFF, owner=7, kind=kind)), AT)
    assert impossible is not None
    assert impossible.owner == 7


@pytest.mark.parametrize(
    "data",
    [mutex(kind=0x400), mutex(kind=-1), mutex(owner=-1), mutex(owner=1 << 22), mutex()[:19], b""],
)
def test_what_is_no_mutex(data: bytes) -> None:
    assert pthread.read_mutex(memory_of(data), AT) is None


# -- read-write locks


@pytest.mark.parametrize("futex", [8, 12])
def test_a_read_write_lock_by_either_of_its_futexes(futex: int) -> None:
    found = pthread.read_rwlock(memory_of(rwlock()), AT + futex)
    assert found == pthread.RwLock(address=AT, writer=7)


@pytest.mark.parametrize(
    "data",
    [
        rwlock(readers=0),
        rwlock(phase=4),
        rwlock(second=8),
        rwlock(pad=1),
        rwlock(writer=-5),
        rwlock(shared=2),
        rwlock(elision=1),
        rwlock()[:32],
    ],
)
def test_what_is_no_read_write_lock(data: bytes) -> None:
    assert pthread.read_rwlock(memory_of(data), AT + 8) is None


# -- condition variables


@pytest.mark.parametrize(
    ("data", "futex"),
    [
        (old_condition(), 40),
        (old_condition(group=1), 44),
        (new_condition(), 32),
        (new_condition(), 36),
        (new_condition(started=2), 32),
    ],
)
def test_a_condition_variable(data: bytes, futex: int) -> None:
    assert pthread.condition_variable(memory_of(data), AT + futex, 2) == AT


@pytest.mark.parametrize(
    ("data", "futex", "threads"),
    [
        (old_condition(), 40, 1),
        (old_condition(wrefs=0), 40, 9),
        (old_condition(references=0), 40, 9),
        (old_condition(references=8), 40, 9),
        (old_condition(waited=2), 40, 9),
        (old_condition(started=6), 40, 9),
        (new_condition(wrefs=80), 32, 9),
        (new_condition(waited=0), 32, 9),
        (new_condition(), 34, 9),
        (new_condition()[:40], 32, 9),
    ],
)
def test_what_is_no_condition_variable(data: bytes, futex: int, threads: int) -> None:
    assert pthread.condition_variable(memory_of(data), AT + futex, threads) is None


# -- the rest


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ((0, 1, 0), True),
        ((0, 3, 128), True),
        ((1, 1, 0), False),
        ((0, 0, 0), False),
        ((0, 4, 0), False),
        ((0, 1, 5), False),
        ((0, 1), False),
    ],
)
def test_a_semaphore(fields: tuple[int, ...], found: bool) -> None:
    data = struct.pack(f"<{len(fields)}I", *fields)
    assert pthread.semaphore(memory_of(data), AT, 3) == found


def test_a_semaphore_is_aligned() -> None:
    assert not pthread.semaphore(memory_of(bytes(4) + struct.pack("<3I", 0, 1, 0)), AT + 4, 3)


def test_a_number() -> None:
    memory = memory_of(b"\x01\x02\0\0\xff")
    assert pthread.number(memory, AT) == 0x201
    assert pthread.number(memory, AT + 2) is None


def test_the_number_of_a_thread() -> None:
    memory = memory_of(w.words(AT) + bytes(0x2D0))
    assert pthread.is_thread_number(memory, AT + 0x2D0)
    assert not pthread.is_thread_number(memory, AT + 0x2D4)
    assert not pthread.is_thread_number(memory, 0x10)


@given(st.binary(max_size=96), st.integers(-64, 160), st.integers(0, 1 << 20))
@example(old_condition(), 40, 2)
@example(rwlock(), 8, 2)
def test_any_bytes_are_told_or_not(data: bytes, offset: int, threads: int) -> None:
    memory, at = memory_of(data), AT + offset
    found = pthread.read_mutex(memory, at)
    assert found is None or 0 <= found.owner < pthread.MAX_TID
    lock = pthread.read_rwlock(memory, at)
    assert lock is None or (at - 12 <= lock.address < at and lock.writer >= 0)
    condition = pthread.condition_variable(memory, at, threads)
    assert condition is None or at - 44 <= condition < at
    assert not pthread.semaphore(memory, at, 0)


@given(st.integers(0, (1 << 64) - 1))
@example(0)
@example((1 << 64) - 1)
def test_any_address_can_be_asked_for(address: int) -> None:
    memory = memory_of(bytes(64))
    assert pthread.read_mutex(memory, address) is None or address >= AT
    assert pthread.read_rwlock(memory, address) is None
    assert pthread.condition_variable(memory, address, 9) is None
    assert not pthread.semaphore(memory, address, 9)
