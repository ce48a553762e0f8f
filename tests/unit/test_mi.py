"""Lines of gdb's machine interface: what is whole is read, what is not is refused, and it ends."""

import json
import logging

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pygdbmi import gdbmiparser

from evdiag.model.values import Document, ReadFrame, ReadThread, ReadVariable
from evdiag.parse.mi import (
    MAX_DEPTH,
    MiError,
    Result,
    check_record,
    read_document,
    read_result,
    stream_text,
)

logging.getLogger(gdbmiparser.__name__).setLevel(logging.CRITICAL)


def is_whole(line: bytes) -> bool:
    try:
        check_record(line)
    except MiError:
        return False
    return True


def parsed(line: bytes) -> object:
    """What pygdbmi makes of a line. Its refusals are good; a hang is stopped by pytest-timeout."""
    return gdbmiparser.parse_response(line.decode("utf-8", "replace"))["payload"]


# -- records


@pytest.mark.parametrize(
    ("line", "token", "cls"),
    [
        (b"1^done", 1, "done"),
        (b'12^done,value="1"', 12, "done"),
        (b"^running", None, "running"),
        (b"3^connected", 3, "connected"),
        (b'4^error,msg="No symbol"', 4, "error"),
        (b"5^exit", 5, "exit"),
        (b"999999999^done", 999_999_999, "done"),
        (b"1" * 5000 + b"^done", None, "done"),  # no number of ours
    ],
)
def test_result_records(line: bytes, token: int | None, cls: str) -> None:
    assert read_result(line) == Result(token, cls, line)
    assert read_result(line + b"\r\n") == Result(token, cls, line)


@pytest.mark.parametrize(
    "line",
    [
        b"", b"^", b"^done it", b"^donee", b"1^finished", b"1 ^done", b" 1^done", b"-1^done",
        b'~"^done"', b'=thread-created,id="1"', b"*stopped", b"(gdb) ", b"\xff\xfe", b"^done\rx",
        "\u0661^done".encode(),  # a digit of another script
    ],
)  # fmt: skip
def test_other_lines_are_no_result_records(line: bytes) -> None:
    assert read_result(line) is None
    with pytest.raises(MiError, match="not a result record"):
        check_record(line)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b'~"GNU gdb (Debian 13.1-3) 13.1\\n"', "GNU gdb (Debian 13.1-3) 13.1"),
        (b'&"warning: \\"core\\" \\\\ x\\n"\r\n', 'warning: "core" \\ x'),
        (b'@"out"', "out"),
        (b'~""', ""),
        (b'~"cut', "cut"),
        (b'~"\xff"', "\ufffd"),
        (b'~"' + b"x" * 5000 + b'"', "x" * 400),
        (b'1^done,a="b"', None),
        (b"~x", None),
        (b"", None),
    ],
)
def test_the_text_of_a_stream_record(line: bytes, text: str | None) -> None:
    assert stream_text(line) == text


# -- whole or not

WHOLE: dict[bytes, object] = {
    b"1^done": None,
    b"1^done,stack=[]": {"stack": []},
    b"1^done,a={}": {"a": {}},
    b'1^done,a=""': {"a": ""},
    b'1^done,a="x",b="y"': {"a": "x", "b": "y"},
    b'1^done,features=["python","thread-info"]': {"features": ["python", "thread-info"]},
    b'1^done,stack=[frame={level="0"},frame={level="1"}]': {
        "stack": [{"level": "0"}, {"level": "1"}]
    },
    b'1^done,variables=[{name="x",arg="1"},{name="y"}]': {
        "variables": [{"name": "x", "arg": "1"}, {"name": "y"}]
    },
    b'1^done,threads=[{id="1",frame={args=[],level="0"}}],current-thread-id="1"': {
        "threads": [{"id": "1", "frame": {"args": [], "level": "0"}}],
        "current-thread-id": "1",
    },
    b'1^error,msg="No symbol \\"x\\" in [{,}]=.\\n"': {"msg": 'No symbol "x" in [{,}]=.\n'},
    b'1^done,a="\\303\\244\\\\"': {"a": "\u00e4\\"},
    b'1^done,a=[[[]],[{}]],b="x"': {"a": [[[]], [{}]], "b": "x"},
}


@pytest.mark.parametrize("line", WHOLE)
def test_whole_records_are_accepted_and_parsed(line: bytes) -> None:
    check_record(line)
    assert parsed(line) == WHOLE[line]


@pytest.mark.parametrize("line", WHOLE)
def test_a_record_is_refused_wherever_it_is_cut(line: bytes) -> None:
    # pygdbmi loops for ever on most of these: they must not get there
    for size in range(len(b"1^done"), len(line)):
        torn = line[:size]
        if is_whole(torn):  # between two results
            assert line[size : size + 1] == b","
            parsed(torn)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'1^done,stack=[frame={level="0"},', "cut"),
        (b'1^done,stack=[frame={level="0"', "cut"),
        (b"1^done,stack=[", "cut"),
        (b"1^done,stack=", "cut"),
        (b"1^done,", "cut"),
        (b'1^done,a="x', "damaged after 9 bytes"),
        (b'1^done,a="x\\"', "damaged after 9 bytes"),
        (b"1^done,stack", "damaged after 7 bytes"),
        (b'1^done,a="x"b="y"', "damaged"),
        (b'1^done,a="x"]', "damaged"),
        (b'1^done,a=["x"}', "damaged"),
        (b'1^done,a={b="x"]', "damaged"),
        (b'1^done,a={"x"}', "damaged"),
        (b"1^done,a=[b=]", "damaged"),
        (b'1^done,a=b="x"', "damaged"),
        (b"1^done,,", "damaged"),
        (b'1^done,"x"', "damaged"),
        (b"1^done,{}", "damaged"),
        (b'1^done,a=x"y"', "damaged"),
        (b'1^done,a="x" ', "damaged"),
        (b'1^done,a=["x="', "cut"),
        (b'1^done,\xff="x"', "damaged"),
        (b'1^done,1="x"', "damaged"),
    ],
)
def test_damaged_records_are_refused(line: bytes, why: str) -> None:
    with pytest.raises(MiError, match=why):
        check_record(line)


def test_a_comma_too_many_does_no_harm() -> None:
    line = b'1^done,a=["x",],b={c="y",}'
    check_record(line)
    assert parsed(line) == {"a": ["x"], "b": {"c": "y"}}


def nested(depth: int) -> bytes:
    return b"1^done,a=" + b"[" * depth + b"]" * depth


def test_records_are_accepted_up_to_a_depth() -> None:
    tuples = b"1^done,a=" + b"{a=" * (MAX_DEPTH - 1) + b"{}" + b"}" * (MAX_DEPTH - 1)
    for line in (nested(MAX_DEPTH), tuples):
        check_record(line)
        parsed(line)
    check_record(b"1^done,a=[" + b"[]," * 400 + b"[]]")  # side by side


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 400, 100_000])
def test_deeply_nested_records_are_refused(depth: int) -> None:
    with pytest.raises(MiError, match="nested too deeply"):
        check_record(nested(depth))
    with pytest.raises(MiError, match="nested too deeply"):
        check_record(b"1^done,a=" + b"{a=" * depth)


# -- whatever comes

NAMES = st.from_regex(rb"[A-Za-z_][A-Za-z0-9_.-]{0,6}", fullmatch=True)
CHARACTERS = st.one_of(
    st.characters(exclude_characters='"\\\n').map(lambda c: c.encode("utf-8", "surrogatepass")),
    st.sampled_from([b"\\" + bytes([c]) for c in b"\\\"'abefnrt0"]),
    st.integers(0, 255).map(lambda n: b"\\%03o" % n),
    st.sampled_from([b"\xff", b"\xc3", b"\\999", b"\\777", b"\\x", b"\r"]),
    st.sampled_from([b"[", b"]", b"{", b"}", b",", b"=", b"^", b" "]),
)
STRINGS = st.lists(CHARACTERS, max_size=8).map(lambda parts: b'"' + b"".join(parts) + b'"')


def results(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.builds(lambda name, value: name + b"=" + value, NAMES, values)


def joined(parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(parts, max_size=4).map(b",".join)


def brackets(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Lists of values, lists of results, and tuples."""
    lists = st.one_of(joined(values), joined(results(values)))
    return st.one_of(
        lists.map(lambda inner: b"[" + inner + b"]"),
        joined(results(values)).map(lambda inner: b"{" + inner + b"}"),
    )


VALUES = st.recursive(STRINGS, brackets, max_leaves=12)
RECORDS = st.builds(
    lambda token, cls, parts: b"".join((token, b"^", cls, *(b"," + part for part in parts))),
    st.sampled_from([b"", b"1", b"42"]),
    st.sampled_from([b"done", b"error", b"running", b"exit", b"connected"]),
    st.lists(results(VALUES), max_size=4),
)
BITS = st.one_of(
    st.sampled_from([bytes([c]) for c in b'[]{},="\\^ \r\n\0a0']),
    st.sampled_from([b'a="', b'"}', b"[a=", b'",', b"\\\\", b"\xff", b'{"', *WHOLE]),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A record with bits inserted, removed and replaced, and maybe cut."""
    line = bytearray(draw(RECORDS))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(line)))
        line[at : at + draw(st.integers(0, 3))] = draw(st.one_of(st.just(b""), BITS))
    return bytes(line[: draw(st.integers(0, len(line)))]) if draw(st.booleans()) else bytes(line)


@given(RECORDS)
def test_every_record_by_the_grammar_is_accepted(line: bytes) -> None:
    check_record(line)


@given(
    st.one_of(RECORDS, mutated(), st.lists(BITS, max_size=12).map(b"".join).map(b"^done".__add__))
)
@example(b'1^done,a="\\')
@example(b'1^done,a="\\\n"')
@example(b'1^done,a="\n\\"",b="')
@example(b'1^done,a="\\1"')
@example(b'1^done,a="\\999"')
@example(b'1^done,a=["x",b="y",{}]')
def test_what_is_accepted_is_parsed_to_an_end(line: bytes) -> None:
    if not is_whole(line):
        return
    try:
        payload = parsed(line)
    except (ValueError, IndexError):
        return  # an escape that gdb does not write
    assert payload is None or isinstance(payload, dict | str)


@given(st.one_of(st.binary(max_size=80), mutated(), BITS.map(b"1^done,a=".__add__)))
def test_whatever_the_line_is_nothing_but_its_own_error_comes(line: bytes) -> None:
    result = read_result(line)
    text = stream_text(line)
    assert result is None or text is None
    if result is None:
        return
    assert result.line in line
    is_whole(line)
    for whole in (line, result.line + b',json="{}"', b'^done,json="' + line + b'"'):
        try:
            document(whole)
        except MiError:
            continue


# -- documents

DOCUMENT = Document(
    version="13.1",
    threads=(
        ReadThread(
            lwp=17,
            frames=(
                ReadFrame(
                    pc=0x7F00_0000_1234,
                    function='operator"" _x',
                    args=(ReadVariable("name", "char *", '0x5 "\u00e4\\n\U0001f50c\\""', None),),
                ),
            ),
            more=True,
        ),
    ),
    late=3,
)


def record(text: str, before: str = "") -> bytes:
    """The record in which the extractor sends a text: everything beyond ASCII is escaped."""
    return f"7^done{before},json={json.dumps(text)}".encode()


def document(line: bytes) -> Document:
    result = read_result(line)
    assert result is not None
    return read_document(result)


def ascii_json(value: object) -> str:
    return json.dumps(msgspec.to_builtins(value))


def test_a_document_is_read() -> None:
    assert document(record(ascii_json(DOCUMENT))) == DOCUMENT
    assert document(record(msgspec.json.encode(DOCUMENT).decode())) == DOCUMENT
    assert document(record(ascii_json(DOCUMENT)) + b"\r\n") == DOCUMENT
    assert document(record("{}")) == Document()


def test_a_document_stands_behind_other_results() -> None:
    before = ',note=",json=\\"{}\\""'
    assert document(record(ascii_json(DOCUMENT), before)) == DOCUMENT


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"7^done", "no document"),
        (b'7^done,value="1"', "no document"),
        (b'7^error,msg="Undefined command"', "no document"),
        (b'7^done,json="{}', "cannot be read"),
        (b'7^done,json="{}",more="x"', "cannot be read"),
        (b'7^done,json="\\303\\244"', "cannot be read"),
        (b'7^done,json="\xff"', "cannot be read"),
        (b'7^done,json=""', "cannot be read"),
        (b'7^done,json="[]"', "cannot be read"),
        (b'7^done,json="{\\"threads\\": [{\\"frames\\": []}]}"', "lwp"),
        (b'7^done,json="{\\"threads\\": 5}"', "threads"),
        (record('{"version": "\\ud800"}'), "cannot be read"),
        (record("\ud800"), "cannot be read"),
    ],
)
def test_what_is_no_document_is_refused(line: bytes, why: str) -> None:
    with pytest.raises(MiError, match=why):
        document(line)


def test_a_deeply_nested_document_is_refused() -> None:
    deep = '{"unknown": ' + "[" * 100_000 + "]" * 100_000 + "}"
    with pytest.raises(MiError, match="nested too deeply"):
        document(record(deep))


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=6)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["threads", "lwp", "frames", "pc", "args", "late", "kind", "x"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=10,
)


@given(
    st.one_of(JSON.map(ascii_json), st.text(st.characters(exclude_categories=()), max_size=30)),
    st.binary(max_size=4),
)
@example("1" * 5000, b"")
@example('{"late": ' + "9" * 5000 + "}", b"")
@example('{"threads": [{"lwp": 1e999}]}', b"")
def test_any_document_is_read_or_refused(text: str, garbage: bytes) -> None:
    for line in (record(text), record(text) + garbage):
        try:
            found = document(line)
        except MiError:
            continue
        assert isinstance(found, Document)


def test_a_large_document_is_read_at_once() -> None:
    long = ReadVariable("x", None, 'quoted \\"\u00e4' * 400_000, None)
    large = Document(threads=(ReadThread(lwp=1, frames=(ReadFrame(pc=1, locals=(long,)),)),))
    line = record(ascii_json(large))
    assert len(line) > 5_000_000
    check_record(line)
    assert document(line) == large
    # the rest of a string that was cut is not looked for again and again
    with pytest.raises(MiError):
        check_record(line[:-1])
    with pytest.raises(MiError):
        document(line[:-1])
