"""Tar streams: of tarfile, of GNU and PAX, cut anywhere, and made to deceive."""

import io
import tarfile
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.parse.tar import (
    BLOCK,
    LONGEST_EXTENSION,
    MOST_EXTENSIONS,
    TarCut,
    TarDamaged,
    TarError,
    TarMember,
    read_tar,
)

END = bytes(2 * BLOCK)


def header(
    name: bytes = b"file", size: bytes | int = 0, flag: bytes = b"0", **more: bytes
) -> bytes:
    """One header with a checksum that is right; `at_N` puts bytes at a place."""
    head = bytearray(BLOCK)
    head[: len(name)] = name
    head[100:108], head[136:148] = b"0000644\0", b"00000000007\0"
    head[124:136] = size if isinstance(size, bytes) else b"%011o\0" % size
    head[156:157] = flag
    head[257:265] = b"ustar\x0000"
    for place, data in more.items():
        at = int(place.removeprefix("at_"))
        head[at : at + len(data)] = data
    head[148:156] = b"        "
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def record(key: str, value: bytes) -> bytes:
    """A PAX record, with the length that counts itself."""
    rest = b" " + key.encode() + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length += 1
    return str(length).encode() + rest


def pax(*records: bytes, flag: bytes = b"x") -> bytes:
    data = b"".join(records)
    return header(b"PaxHeaders/x", len(data), flag) + padded(data)


def read(*pieces: bytes) -> list[tuple[TarMember, bytes]]:
    found: list[tuple[TarMember, bytes]] = []
    for item in read_tar(pieces):
        if isinstance(item, TarMember):
            found.append((item, b""))
        else:
            assert item
            found[-1] = (found[-1][0], found[-1][1] + item)
    return found


def names(*pieces: bytes) -> list[tuple[str, str, bytes]]:
    return [(member.name, member.kind, content) for member, content in read(*pieces)]


# -- what honest programs write

LONG = "n" * 90 + "/" + "m" * 180


def honest(format: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for name, kind, content in (
            ("logs/", tarfile.DIRTYPE, b""),
            ("logs/a.log", tarfile.REGTYPE, b"a" * 1000),
            ("logs/link", tarfile.SYMTYPE, b""),
            ("logs/hard", tarfile.LNKTYPE, b""),
            (LONG, tarfile.REGTYPE, b"long"),
            ("logs/empty", tarfile.REGTYPE, b""),
            ("logs/pipe", tarfile.FIFOTYPE, b""),
            ("logs/null", tarfile.CHRTYPE, b""),
            ("logs/old", tarfile.AREGTYPE, b"b" * BLOCK),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.size, member.mtime = kind, len(content), 5.25
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                member.linkname = "/etc/" + "p" * 150
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


WANTED = [
    ("logs", "folder", b""),
    ("logs/a.log", "file", b"a" * 1000),
    ("logs/link", "link", b""),
    ("logs/hard", "link", b""),
    (LONG, "file", b"long"),
    ("logs/empty", "file", b""),
    ("logs/pipe", "other", b""),
    ("logs/null", "other", b""),
    ("logs/old", "file", b"b" * BLOCK),
]
PAX, GNU = honest(tarfile.PAX_FORMAT), honest(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("data", [PAX, GNU])
def test_members_of_every_kind(data: bytes) -> None:
    found = read(data)

    assert [(member.name.rstrip("/"), member.kind, content) for member, content in found] == WANTED
    assert [member.size for member, _ in found] == [len(content) for _, _, content in WANTED]
    assert {member.link for member, _ in found if member.kind == "link"} == {"/etc/" + "p" * 150}
    assert {member.link for member, _ in found if member.kind != "link"} == {""}
    assert {member.mode for member, _ in found} == {0o644}
    assert {member.modified for member, _ in found} == {5.25 if data is PAX else 5.0}


@given(st.sampled_from([PAX, GNU]), st.lists(st.integers(0, len(PAX)), max_size=8))
def test_pieces_may_end_anywhere(data: bytes, cuts: list[int]) -> None:
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    assert read(*(data[a:b] for a, b in pairwise(places))) == read(data)


def test_pieces_pass_through_as_they_are() -> None:
    inside = bytes(range(256)) * 16
    pieces = [header(size=3 * len(inside)), inside, b"", inside, inside, END]
    assert [item for item in read_tar(pieces) if item is inside] == [inside] * 3


def test_what_follows_the_end_is_not_read() -> None:
    def pieces() -> Iterator[bytes]:
        yield header(size=3) + padded(b"abc") + END
        raise AssertionError("asked for more")

    assert len(list(read_tar(pieces()))) == 2


def test_the_name_of_a_posix_header_has_two_parts() -> None:
    assert names(header(at_345=b"some/folder") + END) == [("some/folder/file", "file", b"")]
    gnu = header(at_345=b"123456", at_257=b"ustar  \0")
    assert names(gnu + END) == [("file", "file", b"")]


def test_a_folder_of_the_time_before_folders_had_a_type() -> None:
    assert names(header(b"logs/", 3, b"\0") + padded(b"abc") + END) == [("logs/", "folder", b"")]


# -- cut


@given(st.sampled_from([PAX, GNU]), st.data())
def test_a_stream_that_ends_early_is_never_whole(data: bytes, draw: st.DataObject) -> None:
    end = -(-len(data.rstrip(b"\0")) // BLOCK) * BLOCK  # tarfile adds more zeros than two blocks
    cut = draw.draw(st.integers(0, end))
    with pytest.raises(TarCut):
        read(data[:cut])


def test_what_was_cut_is_named() -> None:
    with pytest.raises(TarCut, match="in 'file', with 100 of 1000 bytes"):
        read(header(size=1000) + b"x" * 100)
    with pytest.raises(TarCut, match="after 'file'"):
        read(header(size=1000) + b"x" * 1000)
    with pytest.raises(TarCut, match="between two members"):
        read(header())
    with pytest.raises(TarCut, match="in a header"):
        read(header(size=100, flag=b"L") + b"x" * 50)
    with pytest.raises(TarCut, match="in a header"):
        read(header(size=100, flag=b"L") + b"x" * 100)
    with pytest.raises(TarCut, match="in a header"):
        read(header(flag=b"S", at_482=b"\1"))


def test_one_block_of_zeros_is_enough_at_the_end_of_a_stream() -> None:
    assert len(read(header() + bytes(BLOCK))) == 1


# -- numbers


@pytest.mark.parametrize(
    ("field", "size"),
    [
        (b"00000000003\0", 3),
        (b"         3 \0", 3),
        (b"3\0" + bytes(10), 3),
        (b"000000000003", 3),
        (bytes(12), 0),
        (b"\x80" + (3).to_bytes(11, "big"), 3),
    ],
)
def test_sizes(field: bytes, size: int) -> None:
    [(member, content)] = read(header(size=field) + padded(b"abc"[:size]) + END)
    assert (member.size, content) == (size, b"abc"[:size])


@pytest.mark.parametrize(
    "field",
    [
        b"not a number",
        b"-0000000003\0",
        b"0x000000003\0",
        b"00000000009\0",
        b"1 1\0" + bytes(8),
        b"\xff" * 12,
        b"\x80\xff" + bytes(10),
        b"\x81" + bytes(11),
    ],
)
def test_sizes_that_are_none(field: bytes) -> None:
    with pytest.raises(TarDamaged, match="a size"):
        read(header(size=field) + END)


def test_a_size_that_lies_takes_what_there_is() -> None:
    large = header(size=b"\x80" + (1 << 40).to_bytes(11, "big"))
    taken: list[TarMember | bytes] = []
    with pytest.raises(TarCut, match="with 4096 of 1099511627776 bytes"):
        taken.extend(read_tar([large + bytes(4096)]))
    assert taken[1:] == [bytes(4096)]


@pytest.mark.parametrize("flag", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_links_folders_and_devices_have_no_content(flag: bytes) -> None:
    found = names(header(b"first", 1 << 30, flag) + header(b"second", 3) + padded(b"abc") + END)
    assert found[1] == ("second", "file", b"abc")


@pytest.mark.parametrize("flag", [b"V", b"M", b"N", b"D", b"Z", b"\xff"])
def test_unknown_members_are_skipped_with_their_content(flag: bytes) -> None:
    data = header(b"what", 700, flag) + padded(b"x" * 700) + header(b"file", 3) + padded(b"abc")
    assert names(data + END) == [("what", "other", b""), ("file", "file", b"abc")]


@pytest.mark.parametrize(
    ("field", "modified"),
    [
        (b"00000000007\0", 7.0),
        (b"nonsense\0\0\0\0", 0.0),
        (b"\xff" * 11 + b"\xfb", -5.0),
        (b"\x80" + b"\xff" * 11, 0.0),
    ],
)
def test_times(field: bytes, modified: float) -> None:
    [(member, _)] = read(header(at_136=field) + END)
    assert member.modified == modified


# -- checksums


def test_a_damaged_header_is_noticed() -> None:
    for at in (0, 100, 124, 156, 300, 511):
        head = bytearray(header(size=3))
        head[at] ^= 0x15
        with pytest.raises(TarDamaged, match="damaged"):
            read(bytes(head) + padded(b"abc") + END)


def test_a_checksum_of_signed_bytes() -> None:
    head = bytearray(header("ä".encode()))
    head[148:156] = b"        "
    head[148:156] = b"%06o\0 " % sum(byte - 256 if byte > 127 else byte for byte in head)
    assert names(bytes(head) + END) == [("ä", "file", b"")]


def test_something_else_than_a_tar() -> None:
    with pytest.raises(TarDamaged, match="no tar"):
        read(b"\x7fELF" + bytes(5000))
    with pytest.raises(TarDamaged, match="after a block of zeros"):
        read(header() + bytes(BLOCK) + header() + END)


# -- PAX and GNU extensions


def test_pax_says_what_a_header_cannot() -> None:
    data = pax(
        record("path", b"other/name"),
        record("size", b"3"),
        record("mtime", b"12.5"),
        record("linkpath", b"/not/shown"),
        record("SCHILY.xattr.user.x", b"\0\xff\n1 a=b\n"),
    )
    [(member, content)] = read(data + header(b"file", 700) + padded(b"abc") + END)
    assert (member.name, member.size, member.modified, member.link) == ("other/name", 3, 12.5, "")
    assert content == b"abc"


def test_pax_is_for_one_member_only() -> None:
    data = pax(record("path", b"first")) + header() + header(b"second") + END
    assert [name for name, _, _ in names(data)] == ["first", "second"]


def test_pax_for_the_whole_archive_changes_nothing() -> None:
    data = pax(record("path", b"everything"), record("size", b"9"), flag=b"g")
    assert names(data + header() + END) == [("file", "file", b"")]


def test_later_records_go_first_and_pax_goes_before_gnu() -> None:
    gnu = header(size=4, flag=b"L") + padded(b"gnu\0")
    one, two = pax(record("path", b"one")), pax(record("path", b"two"), flag=b"X")
    assert names(one + two + gnu + header() + END)[0][0] == "two"
    assert names(gnu + header() + END)[0][0] == "gnu"
    assert names(pax(record("path", b"")) + header() + END)[0][0] == "file"


@pytest.mark.parametrize("text", [b"nan", b"inf", b"1e400", b"9" * 30, b"soon"])
def test_pax_times_that_are_none(text: bytes) -> None:
    [(member, _)] = read(pax(record("mtime", text)) + header() + END)
    assert member.modified == 0.0


@pytest.mark.parametrize("text", [b"-1", b"", b"x", b"9" * 19, b"9" * 30, "٣".encode(), b"1.5"])
def test_pax_sizes_that_are_none(text: bytes) -> None:
    with pytest.raises(TarDamaged, match="a size"):
        read(pax(record("size", text)) + header() + END)


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense",
        b"12 path=file",
        b"7 path=x\n",
        b"900 path=x\n",
        b"5 abc\n",
        b"6 abc\n",
        b" path=x\n",
        b"-9 path=x\n",
        b"1 \n",
        b"0 path=x\n",
        b"1" * 25 + b" path=x\n",
        b"9 path=x\n\0\0",
    ],
)
def test_pax_records_that_are_none(data: bytes) -> None:
    with pytest.raises(TarDamaged, match="PAX"):
        read(header(size=len(data), flag=b"x") + padded(data) + header() + END)


def test_extensions_are_bounded() -> None:
    for flag in (b"x", b"L", b"K", b"g"):
        with pytest.raises(TarDamaged, match="a header of"):
            read(header(size=LONGEST_EXTENSION + 1, flag=flag))
    endless = (header(size=1, flag=b"L") + padded(b"x") for _ in iter(int, 1))
    with pytest.raises(TarDamaged, match="without a member"):
        list(read_tar(endless))
    most = (header(size=1, flag=b"L") + padded(b"x")) * (MOST_EXTENSIONS - 1)
    assert names(most + header() + END)[0][0] == "x"


def test_many_small_records_take_no_long_time() -> None:
    data = b"8 a=bcd\n" * (LONGEST_EXTENSION // 8)
    assert names(header(size=len(data), flag=b"x") + data + header() + END)[0][0] == "file"


# -- sparse members: nobody asks for them, and what is stored is not what the file has


def test_sparse_files_of_gnus_old_format() -> None:
    more = bytearray(BLOCK)
    more[504] = 1
    head = header(b"core", 512, b"S", at_482=b"\1")
    data = head + bytes(more) + bytes(BLOCK) + b"x" * 512 + header(b"file", 3) + padded(b"abc")
    assert names(data + END) == [("core", "other", b""), ("file", "file", b"abc")]


def test_sparse_files_of_pax() -> None:
    data = pax(record("GNU.sparse.major", b"1"), record("GNU.sparse.name", b"core"))
    data += header(b"GNUSparseFile.0/core", 512) + b"x" * 512 + header(b"file", 3) + padded(b"abc")
    found = names(data + END)
    assert [(name, kind) for name, kind, _ in found] == [
        ("GNUSparseFile.0/core", "other"),
        ("file", "file"),
    ]
    assert found[0][2] == b""


# -- names that nobody should write to


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"../../etc/passwd", "../../etc/passwd"),
        (b"/etc/passwd", "/etc/passwd"),
        (b"a\nb\x1b[31m", "a\nb\x1b[31m"),
        (b"caf\xe9", "caf\\xe9"),
        (b"a" * 300, "a" * 300),
        (b"a/" * 5000 + b"b", "a/" * 5000 + "b"),
    ],
)
def test_names_come_as_they_are(raw: bytes, name: str) -> None:
    for data in (pax(record("path", raw)), header(size=len(raw), flag=b"L") + padded(raw)):
        assert names(data + header() + END)[0][0] == name


def test_names_end_at_nul_and_may_be_empty() -> None:
    assert names(header(b"file\0more") + END)[0][0] == "file"
    assert names(pax(record("path", b"file\0more")) + header() + END)[0][0] == "file\\x00more"
    assert names(header(b"") + END)[0][0] == ""


# -- anything


def walk(pieces: Iterable[bytes]) -> int:
    """How many bytes of content come out until it ends, one way or the other."""
    found = 0
    try:
        for item in read_tar(pieces):
            if isinstance(item, bytes):
                found += len(item)
    except TarError:
        pass
    return found


@given(st.lists(st.binary(max_size=2000), max_size=5))
def test_any_bytes_are_read_to_their_end(pieces: list[bytes]) -> None:
    assert walk(pieces) <= sum(map(len, pieces))


KINDS = st.sampled_from([bytes((code,)) for code in b"0123456789xgLKSX\0"])
BLOCKS = st.one_of(
    st.binary(max_size=BLOCK).map(padded),
    st.builds(header, st.binary(max_size=100), st.integers(0, 3000), KINDS),
    st.builds(header, st.just(b"x"), st.binary(min_size=12, max_size=12), KINDS),
    st.just(bytes(BLOCK)),
    st.binary(max_size=300).map(lambda value: pax(record("path", value))),
    st.integers(-5, 5000).map(lambda value: pax(record("size", str(value).encode()))),
)


@given(st.lists(BLOCKS, max_size=8), st.integers(1, 3000))
def test_any_blocks_are_read_to_their_end(blocks: list[bytes], step: int) -> None:
    data = b"".join(blocks)
    assert walk(data[at : at + step] for at in range(0, len(data), step)) <= len(data)
