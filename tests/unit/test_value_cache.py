"""Answers of gdb that are kept: whole or not at all, and never in the way."""

from pathlib import Path

import msgspec
import pytest

from evdiag.adapters.gdb.conversation import Answer
from evdiag.adapters.gdb.debugger import Debugger
from evdiag.adapters.gdb.scene import Scene
from evdiag.adapters.gdb.sets import FileMarks
from evdiag.adapters.value_cache import Remembered, ValueCache, is_final
from evdiag.errors import GdbTimeout
from evdiag.model.machine import X86_64
from evdiag.model.values import Document, ReadFrame, ReadThread, ReadVariable, Request

KEY = "0123456789abcdef"


def answer(text: str = "4711", **more: object) -> Answer:
    variable = ReadVariable("energy", "int", text)
    frame = ReadFrame(pc=0x1234, locals=(variable,))
    document = Document(threads=(ReadThread(lwp=7, frames=(frame,)),))
    return msgspec.structs.replace(Answer(document=document, gdb="13.1", python=True), **more)


@pytest.fixture
def cache(tmp_path: Path) -> ValueCache:
    return ValueCache(tmp_path)


def kept(cache: ValueCache) -> list[Path]:
    return sorted(cache.folder.iterdir()) if cache.folder.exists() else []


def test_what_is_kept_is_found(cache: ValueCache, tmp_path: Path) -> None:
    cache.keep(KEY, answer())

    assert ValueCache(tmp_path).find(KEY) == answer()
    assert cache.find("f" * 16) is None
    (file,) = kept(cache)
    assert file.stat().st_mode & 0o777 == 0o600
    assert cache.folder.stat().st_mode & 0o777 == 0o700


def test_each_damaged_byte_is_noticed(cache: ValueCache) -> None:
    cache.keep(KEY, answer())
    (file,) = kept(cache)
    whole = file.read_bytes()

    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        file.write_bytes(damaged)
        assert cache.find(KEY) is None
        file.write_bytes(whole[:at])
        assert cache.find(KEY) is None
    file.write_bytes(whole + b"x")
    assert cache.find(KEY) is None
    cache.keep(KEY, answer())
    assert cache.find(KEY) == answer()


def test_an_answer_under_another_key_is_none(cache: ValueCache) -> None:
    cache.keep(KEY, answer())
    kept(cache)[0].rename(cache.folder / "other")

    assert cache.find("other") is None


def test_what_cannot_be_written_is_not_kept(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    cache = ValueCache(blocked)

    cache.keep(KEY, answer())

    assert cache.find(KEY) is None


def test_a_name_that_is_no_text_is_not_kept(cache: ValueCache) -> None:
    cache.keep(KEY, answer(notes=("/opt/\udcff/gdb ended with status 1",)))

    assert kept(cache) == []


def test_a_link_is_not_followed(cache: ValueCache, tmp_path: Path) -> None:
    cache.keep(KEY, answer())
    (file,) = kept(cache)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")

    assert cache.find(KEY) is None


def test_the_folder_has_its_limit(tmp_path: Path) -> None:
    cache = ValueCache(tmp_path, limit=4000)
    for i in range(40):
        # what cannot be packed well
        cache.keep(
            f"{i:016}", answer("".join(chr(0x4E00 + (i * j * 7919) % 5000) for j in range(200)))
        )

    assert 0 < sum(file.stat().st_size for file in kept(cache)) <= 4000 + 4000 // 16 + 1000
    assert cache.find(f"{39:016}") is not None


def test_an_answer_that_is_too_long_is_not_kept(
    cache: ValueCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evdiag.adapters.value_cache.MAX_ENTRY", 1000)

    cache.keep(KEY, answer("x" * 2000))

    assert kept(cache) == []


# -- whether gdb would say the same again


def test_only_what_is_final_is_kept() -> None:
    document = answer().document
    late = msgspec.structs.replace(document, late=1)
    slow = msgspec.structs.replace(document, slow=1)

    assert is_final(answer())
    assert is_final(answer(notes=("another gdb failed",)))
    assert is_final(answer(python=False))
    assert not is_final(answer(python=False, notes=("gdb was ended by signal 11",)))
    assert not is_final(answer(document=late))
    assert is_final(answer(document=slow))


# -- what an answer depends on


class Speaking:
    """Says the same each time, and counts how often."""

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.asked = list(answers), 0

    def values(self, scene: Scene, request: Request) -> Answer:
        self.asked += 1
        if not self.answers:
            raise GdbTimeout("gdb did not answer")
        return self.answers[0]


def remembered(
    cache: ValueCache, gdb: Speaking, *, content: str = "digest", named: str = "/bin/sh"
) -> Remembered:
    debugger = Debugger(named, cache.folder.parent)
    return Remembered(cache, FileMarks(), content, debugger, gdb)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    (tmp_path / "program").write_text("program")
    return Scene(core=tmp_path / "core", machine=X86_64, program=tmp_path / "program")


def test_the_same_is_asked_once(cache: ValueCache, scene: Scene) -> None:
    gdb = Speaking(answer())

    assert remembered(cache, gdb).values(scene, Request()) == answer()
    elsewhere = msgspec.structs.replace(scene, core=Path("/other/core"))
    assert remembered(cache, gdb).values(elsewhere, Request()) == answer()

    assert gdb.asked == 1


def test_anything_else_is_asked_anew(cache: ValueCache, scene: Scene, tmp_path: Path) -> None:
    gdb = Speaking(answer())
    odd = msgspec.structs.replace(scene, libraries=(("/lib/\udcff.so", "/bin/sh"),))
    mapped = msgspec.structs.replace(scene, source_maps=(("/a", "/b"),))
    places = Request(places=True)

    asked = [
        (remembered(cache, gdb), scene, Request()),
        (remembered(cache, gdb, content="other"), scene, Request()),
        (remembered(cache, gdb, named="/bin/ls"), scene, Request()),
        (remembered(cache, gdb, named="/no/gdb"), scene, Request()),
        (remembered(cache, gdb), scene, Request(lwps=(1,))),
        (remembered(cache, gdb), odd, Request()),
        (remembered(cache, gdb), scene, places),
        (remembered(cache, gdb), mapped, places),
    ]
    for _ in range(2):
        for each, of, request in asked:
            each.values(of, request)

    assert gdb.asked == len(asked)
    remembered(cache, gdb).values(mapped, Request())  # no names of files are asked for
    assert gdb.asked == len(asked)
    (tmp_path / "program").write_text("another")
    remembered(cache, gdb).values(scene, Request())
    assert gdb.asked == len(asked) + 1


def test_a_failure_and_what_was_cut_short_are_asked_again(cache: ValueCache, scene: Scene) -> None:
    late = answer(document=msgspec.structs.replace(answer().document, late=3))
    gdb = Speaking(late)

    assert [remembered(cache, gdb).values(scene, Request()) for _ in range(2)] == [late, late]
    gdb.answers = []
    with pytest.raises(GdbTimeout):
        remembered(cache, gdb).values(scene, Request())

    assert gdb.asked == 3
    assert kept(cache) == []
