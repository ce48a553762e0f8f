"""Our few lines of ctypes against capstone's own Python module."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evdiag.parse import capstone_c
from evdiag.parse.instruction import MODES, Disassembler, PythonEngine, _engine

LIBRARY = capstone_c.load()


def described(engine: Disassembler, code: bytes) -> list[object]:
    """Everything that is used of the instructions in some bytes."""
    found: list[object] = []
    for one in engine.disasm(code, 0x1000, 0):
        row: list[object] = [one.address, one.size, one.mnemonic, one.op_str]
        if engine.detail:
            for operand in one.operands:
                row += [operand.type, operand.size]
                if operand.type == 1:
                    row.append(one.reg_name(operand.reg))
                if operand.type == 3:
                    mem = operand.mem
                    row += [one.reg_name(part) for part in (mem.segment, mem.base, mem.index)]
                    row += [mem.scale, mem.disp]
        found.append(row)
    return found


@pytest.mark.parametrize("name", MODES)
@given(code=st.binary(max_size=64))
@example(code=bytes.fromhex("c740182a000000"))
@example(code=bytes.fromhex("64488b042528000000"))
@example(code=bytes.fromhex("c4e2f990049d00000000"))
@example(code=bytes.fromhex("0180c0f9"))
def test_both_ways_decode_the_same(name: str, code: bytes) -> None:
    assert LIBRARY is not None
    ours = capstone_c.Engine(LIBRARY, *MODES[name])
    theirs = PythonEngine(*MODES[name])

    assert ours.detail == theirs.detail
    assert described(ours, code) == described(theirs, code)
    assert ours.last(code, 0, 3) == theirs.last(code, 0, 3)


def test_a_library_that_is_not_there() -> None:
    assert capstone_c.load(("libother.so",)) is None


def test_another_major_version_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capstone_c, "MAJOR", 6)
    assert capstone_c.load() is None


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    assert capstone_c.load() is None


def test_a_processor_that_does_not_exist() -> None:
    assert LIBRARY is not None
    with pytest.raises(OSError, match="without processor 99"):
        capstone_c.Engine(LIBRARY, 99, 0)


def test_the_python_module_is_used_where_the_library_is_not_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    PythonEngine(*MODES["x86-64"])  # loads the module: only the search for the library shall fail
    monkeypatch.setattr("sys.path", [])
    _engine.cache_clear()
    try:
        assert isinstance(_engine("x86-64", False), PythonEngine)
    finally:
        _engine.cache_clear()
