"""What goes into a bundle, under which name: the decisions of `evdiag collect`."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze import collect_plan as plan
from evdiag.analyze.collect_plan import (
    CORE_ROOT,
    LOG_ROOT,
    Left,
    Place,
    Root,
    core_file,
    core_place,
    expected_size,
    is_core_name,
    is_note_name,
    part_of,
    place,
    read_size,
)

RUN = Root(path="/run/everest", use=plan.CONFIG, target="config/everest")
STATE = Root(path="/var/lib/everest", use=plan.STATE, target="config/state")
OTHER = Root(path="/data", use=plan.COREDIR, target="cores")


@pytest.mark.parametrize(
    ("root", "below", "path", "kind"),
    [
        (LOG_ROOT, "everest.log", "logs/everest.log", "log"),
        (LOG_ROOT, "everest.log.1", "logs/everest.log.1", "log"),
        (RUN, "config.yaml", "config/everest/config.yaml", "config"),
        (RUN, "device/standardized/A.json", "config/everest/device/standardized/A.json", "config"),
        (STATE, "1.6-CP1/user_config.json", "config/state/1.6-CP1/user_config.json", "config"),
        (CORE_ROOT, "core.a:A.1.2", "cores/core.a:A.1.2", "core"),
        (CORE_ROOT, "core", "cores/core", "core"),
        (CORE_ROOT, "core.a:A.1.2.json", "cores/core.a:A.1.2.json", "note"),
        (CORE_ROOT, ".core.a:A.1.2.part", "cores/core.a:A.1.2", "core"),
        (CORE_ROOT, ".core.a:A.1.2.json.part", "cores/core.a:A.1.2.json", "note"),
        (CORE_ROOT, "hs_err_pid1.log", "logs/hs_err_pid1.log", "log"),
        (CORE_ROOT, "ocpp/2026.log", "everest/ocpp/2026.log", "everest"),
        (CORE_ROOT, "sessions/x/eventlog.csv", "everest/sessions/x/eventlog.csv", "everest"),
        (OTHER, "core.9", "cores/data/core.9", "core"),
        (OTHER, "app.core", "cores/data/app.core", "core"),
        (OTHER, "x.log", "logs/data/x.log", "log"),
    ],
)
def test_where_files_go(root: Root, below: str, path: str, kind: str) -> None:
    found = place(root, below)
    assert isinstance(found, Place)
    assert (found.path, found.kind) == (path, kind)


def test_no_folder_with_the_password_of_the_dashboard_is_looked_at() -> None:
    roots = [root.path for root in (*plan.CONFIG_ROOTS, LOG_ROOT, CORE_ROOT)]

    for kept in ("/run/evdiag", "/run/nodered", "/opt/nodered/user"):
        assert not [root for root in roots if f"{kept}/".startswith(f"{root}/")], kept
        assert not [root for root in roots if root.startswith(kept)], kept
    assert isinstance(place(RUN, "dashboard-password"), Left)


@pytest.mark.parametrize(
    ("root", "below", "reason"),
    [
        (STATE, "1.6-CP1/certs/client/cso/SECC_LEAF.key", plan.CERTIFICATES),
        (STATE, "1.6-CP1/certs/ca/v2g/V2G_ROOT_CA.pem", plan.CERTIFICATES),
        (STATE, "1.6-CP1/CP1.db-wal", "a database: it may hold secrets that cannot be taken out"),
        (STATE, "firmware.bin", plan.NO_CONFIG),
        (CORE_ROOT, "ocpp/2026.html", plan.TWIN),
        (CORE_ROOT, "everest.db", "a database"),
        (RUN, "ocpp/client.key", "a private key"),
        (RUN, "pskfile", plan.PASSWORDS),
        (RUN, "aclfile.example", ""),
        (RUN, "certs/README", ""),
        (RUN, "README", ""),
    ],
)
def test_what_stays(root: Root, below: str, reason: str) -> None:
    found = place(root, below)
    assert isinstance(found, Left)
    assert found.reason.startswith(reason)
    assert bool(found.reason) == bool(reason)


@given(st.text(max_size=400), st.sampled_from((LOG_ROOT, RUN, STATE, CORE_ROOT, OTHER)))
def test_no_name_leads_out_of_the_bundle(below: str, root: Root) -> None:
    found = place(root, below)
    if isinstance(found, Place):
        parts = found.path.split("/")
        assert parts[0] in ("logs", "config", "cores", "everest")
        assert not {"", ".", ".."} & set(parts)
        assert found.path.isascii()
        assert found.path.isprintable()
        assert max(map(len, parts)) < 200


@given(st.text(min_size=1, max_size=300).filter(lambda name: "/" not in name))
def test_a_note_lies_beside_its_core(name: str) -> None:
    core = core_place(f"/tmp/everest-logs/core.{name}x")
    note = core_place(f"/tmp/everest-logs/core.{name}x.json")
    assert note.path == f"{core.path}.json"
    assert (core.kind, note.kind) == ("core", "note")


@pytest.mark.parametrize("name", ["core", "core.1", "core.a:A.1.2", "x.core", "core.\n"])
def test_names_of_cores(name: str) -> None:
    assert is_core_name(name)
    assert not is_note_name(name)


@pytest.mark.parametrize("name", ["core.a.1.2.json", "score", "cores", ".core.a.1.2.part", "a.log"])
def test_names_of_others(name: str) -> None:
    assert not is_core_name(name)


def test_names_of_what_is_being_written() -> None:
    assert part_of(".core.a:A.1.2.part") == "core.a:A.1.2"
    assert part_of(".core.a:A.1.2.json.part") == "core.a:A.1.2.json"
    assert part_of("core.a:A.1.2") is None


@pytest.mark.parametrize(
    ("pattern", "working", "found"),
    [
        ("core", "/srv", "/srv/core"),
        ("core", "", "/core"),
        ("/cores/one", "/srv", "/cores/one"),
        ("/cores/%e.%p", "/srv", None),
        ("|/usr/share/apport/apport %p", "/srv", None),
        ("@/run/cores.sock", "/srv", None),
        ("", "/srv", None),
        ("core", "/tmp/everest-logs", None),
    ],
)
def test_where_the_kernel_leaves_a_core(pattern: str, working: str, found: str | None) -> None:
    assert core_file(pattern, working) == found


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("1000", 1000),
        ("500M", 500 << 20),
        ("2g", 2 << 30),
        ("1.5 GiB", 3 << 29),
        (" 10kB ", 10 << 10),
        ("1T", 1 << 40),
        ("7b", 7),
    ],
)
def test_sizes_as_people_write_them(text: str, number: int) -> None:
    assert read_size(text) == number


@pytest.mark.parametrize("text", ["", "-1", "M", "1,5G", "2 P", "1e9", "٣", "9" * 16])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"^" + (text and ".")):
        read_size(text)


def head(count: int, *segments: tuple[int, int], kind: int = 4, bits: int = 64) -> bytes:
    """An ELF header and program headers with (offset, size)."""
    identity = b"\x7fELF" + bytes((bits // 32, 1, 1)) + bytes(9)
    start = struct.pack("<HHIQQQIHHHHHH", kind, 62, 1, 0, 64, 0, 0, 64, 56, count, 64, 0, 0)
    return (
        identity
        + start
        + b"".join(struct.pack("<IIQQQQQQ", 1, 4, at, 0, 0, size, size, 0) for at, size in segments)
    )


def test_how_large_a_core_has_to_be() -> None:
    assert expected_size(head(2, (4096, 100), (8192, 4096))) == 12_288
    assert expected_size(head(3, (4096, 100), (8192, 4096))) is None, "a header is missing"
    assert expected_size(head(0)) is None
    assert expected_size(head(1, (0, 1), kind=2)) is None, "a program"
    assert expected_size(b"\x7fELF") is None
    assert expected_size(b"") is None


@given(st.binary(max_size=300), st.integers(0, 65_535))
def test_no_begin_of_a_core_breaks_it(more: bytes, count: int) -> None:
    assert (expected_size(head(count) + more) or 0) >= 0
    assert expected_size(more) is None
