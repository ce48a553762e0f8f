"""What memory a core has: that of the kernel's, no more and no less."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from evdiag.adapters.files import load_core
from evdiag.parse.memory import Memory
from tests.capture.conftest import RunIt, analyse, functions
from tests.conftest import need
from tests.support.capture import UNLIMITED, Run, signal_of
from tests.support.core_files import CannotMakeCores, check_cores_possible, take_core

pytestmark = pytest.mark.native

ABSENT = None


def places(run: Run) -> dict[str, int]:
    """The addresses that the program has printed."""
    lines = [line.split() for line in run.stdout.splitlines()]
    return {name: int(address, 16) for name, address in lines}


def texts(core: Path, addresses: dict[str, int]) -> dict[str, bytes | None]:
    """What a core has at addresses, up to a zero; None where it has nothing."""
    data, facts = load_core(core)
    memory = Memory(data, facts)
    found: dict[str, bytes | None] = {}
    for name, address in addresses.items():
        held = memory.in_core(address, 16)
        found[name] = held.split(b"\0")[0] if len(held) == 16 else ABSENT
    return found


def test_twenty_thousand_mappings(run: RunIt) -> None:
    ended = run("memory", "mappings")

    assert signal_of(ended).name == "SIGSEGV"
    facts = load_core(ended.core)[1]
    assert len(facts.regions) > 20_000
    assert facts.damage == ()
    memory = Memory(load_core(ended.core)[0], facts)
    at = places(ended)
    assert int.from_bytes(memory.read(at["last"], 8), "little") == 20_000 - 2
    assert functions(analyse(ended.core))[:2] == ["crash", "main"]


def test_a_mapping_of_sixty_four_gigabytes(run: RunIt) -> None:
    ended = run("memory", "sparse")

    at = places(ended)
    assert texts(ended.core, at) == {name: name.encode() for name in at}
    status = ended.core.stat()
    assert status.st_size > 64 << 30
    assert status.st_blocks * 512 < 8 << 20
    assert ended.sidecar.bytes == status.st_size
    assert ended.sidecar.bytes_on_disk is not None
    assert ended.sidecar.bytes_on_disk < 8 << 20
    assert not ended.sidecar.truncated
    assert ended.seconds < 20


@pytest.mark.parametrize(
    ("case", "wanted"),
    [
        ("advice", {"hidden": ABSENT, "shown": b"shown"}),
        (
            "shared",
            {"anonymous": b"anonymous", "of-file": ABSENT, "changed": b"changed",
             "of-memory": b"of memory"},
        ),
    ],
)  # fmt: skip
def test_memory_of_every_kind_as_in_the_kernels_core(
    case: str,
    wanted: dict[str, bytes | None],
    run: RunIt,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    ended = run("memory", case)
    kernels_run, kernels_core = under_the_kernel(run, case, tmp_path, request)

    ours = texts(ended.core, places(ended))
    theirs = texts(kernels_core, places(kernels_run))

    assert {name: ours[name] for name in wanted} == wanted
    relro = [found.pop("relro", b"") for found in (ours, theirs)]
    assert ours == theirs
    # written by the linker, then made read-only: an address, so another one in each run
    assert [found is ABSENT for found in relro] == [False, False]


@pytest.mark.parametrize("bits", ["0", "0x3f", "0x02", "0x7f"])
@pytest.mark.parametrize("case", ["advice", "shared"])
def test_the_filter_of_the_process_counts(
    case: str, bits: str, run: RunIt, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """/proc/PID/coredump_filter, see core(5): somebody may have set it on purpose."""
    wrapper = ("sh", "-c", f'echo {bits} >/proc/self/coredump_filter; exec "$@"', "sh")
    ended = run("memory", case, wrapper=wrapper)
    kernels_run, kernels_core = under_the_kernel(run, case, tmp_path, request, wrapper)

    ours = texts(ended.core, places(ended))
    theirs = texts(kernels_core, places(kernels_run))

    relro = [found.pop("relro", b"") for found in (ours, theirs)]
    assert ours == theirs
    assert (relro[0] is ABSENT) == (relro[1] is ABSENT)


def under_the_kernel(
    run: RunIt,
    case: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    wrapper: Sequence[str] = (),
) -> tuple[Run, Path]:
    """The same crash without the layer, and the kernel's core of it."""
    try:
        check_cores_possible()
        cwd = tmp_path / "kernel"
        cwd.mkdir()
        ended = run("memory", case, preload=False, core_limit=UNLIMITED, cwd=cwd, wrapper=wrapper)
        return ended, take_core(ended.pid, cwd, 0.0, tmp_path / "kernels-core")
    except CannotMakeCores as reason:
        need(request, "native", str(reason))


@pytest.mark.parametrize(
    ("case", "signal", "frames"),
    [
        ("malloc", "SIGSEGV", {"in_malloc", "_int_malloc"}),
        ("linker", "SIGSEGV", {"crash", "crash_in_callback", "in_linker"}),
        ("stdio", "SIGSEGV", {"crash", "in_stdio"}),
    ],
)
def test_a_crash_with_a_lock_held(case: str, signal: str, frames: set[str], run: RunIt) -> None:
    ended = run("memory", case)

    assert signal_of(ended).name == signal
    assert frames <= set(functions(analyse(ended.core)))
    assert not ended.sidecar.truncated
