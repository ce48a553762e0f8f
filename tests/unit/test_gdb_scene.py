"""The folder that gdb works in: whatever names a core holds, nothing is made outside of it."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from evdiag.adapters.gdb.scene import LEAST_MEMORY, DebugFile, Scene, laid_out, settings
from evdiag.errors import GdbUnusable
from evdiag.model.machine import X86_64

BUILD_ID = "8c1f0a6f1f2b44d0"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files to link to; temporary folders are made in another one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("core", "program", "liba.so", "libb.so", "liba.debug"):
        (folder / name).write_text(name)
    return folder


def scene_of(files: Path, *paths: str, **more: object) -> Scene:
    """A scene with one library under each of these names."""
    scene = Scene(
        core=files / "core",
        machine=X86_64,
        program=files / "program",
        libraries=tuple((path, str(files / "liba.so")) for path in paths),
    )
    return msgspec.structs.replace(scene, **more)


def tree(folder: Path) -> dict[str, str]:
    """Links below a folder, and the names of the files that they lead to."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            found[str(path.relative_to(folder))] = path.readlink().name
    return found


def everything(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        yield from (Path(place, name) for name in (*folders, *names))


PLAIN = {"core": "core", "program": "program"}


# -- what is laid out


def test_core_program_and_libraries(files: Path) -> None:
    with laid_out(scene_of(files, "/opt/lib/liba.so", "libs/liba.so.1")) as folder:
        assert tree(folder) == {
            **PLAIN,
            "root/opt/lib/liba.so": "liba.so",
            "root/libs/liba.so.1": "liba.so",
            "libraries/liba.so": "liba.so",
            "libraries/liba.so.1": "liba.so",
        }
        assert (folder / "root/opt/lib/liba.so").read_text() == "liba.so"
        assert (folder / "debug").is_dir()


def test_a_program_that_is_not_here(files: Path) -> None:
    scene = scene_of(files, program=None)
    with laid_out(scene) as folder:
        assert tree(folder) == {"core": "core"}


def test_the_packed_debug_information_beside_the_program(files: Path) -> None:
    (files / "program.dwp").write_text("")
    with laid_out(scene_of(files)) as folder:
        assert tree(folder) == {**PLAIN, "program.dwp": "program.dwp"}


def test_relative_paths_lead_to_the_right_files(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    scene = Scene(core=Path("core"), machine=X86_64, program=Path("program"))
    with laid_out(scene) as folder:
        assert (folder / "core").read_text() == "core"
        assert (folder / "program").read_text() == "program"


def test_the_first_of_two_libraries_keeps_a_name(files: Path) -> None:
    libraries = (
        ("/a/lib.so", str(files / "liba.so")),
        ("/b/lib.so", str(files / "libb.so")),
        ("//a/./lib.so", str(files / "libb.so")),
    )
    with laid_out(scene_of(files, libraries=libraries)) as folder:
        assert tree(folder) == {
            **PLAIN,
            "root/a/lib.so": "liba.so",
            "root/b/lib.so": "libb.so",
            "libraries/lib.so": "liba.so",
        }


def test_files_that_are_missing_are_left_out(files: Path) -> None:
    gone = str(files / "gone.so")
    scene = scene_of(
        files,
        libraries=(
            ("/a/gone.so", gone),
            ("/a/nul.so", "a\0b"),
            ("/a/b.so", str(files / "libb.so")),
        ),
        debug_files=(DebugFile(file=gone, build_id=BUILD_ID, owner="", link="x.debug"),),
        core=files / "gone",
        program=files / "gone",
    )
    with laid_out(scene) as folder:
        assert tree(folder) == {"root/a/b.so": "libb.so", "libraries/b.so": "libb.so"}


# -- debug files


def debug_tree(files: Path, **more: object) -> dict[str, str]:
    """What a debug file adds."""
    base = DebugFile(file=str(files / "liba.debug"), build_id=None, owner="/opt/liba.so")
    scene = scene_of(files, debug_files=(msgspec.structs.replace(base, **more),))
    before = set(files.parent.rglob("*"))
    with laid_out(scene) as folder:
        found = tree(folder)
        assert {p for p in files.parent.rglob("*") if folder not in (p, *p.parents)} == before
    return {path: name for path, name in found.items() if path not in PLAIN}


def test_debug_files_are_found_by_build_id_and_by_link(files: Path) -> None:
    assert debug_tree(files, build_id=BUILD_ID, link="liba.debug") == {
        "debug/.build-id/8c/1f0a6f1f2b44d0.debug": "liba.debug",
        "root/opt/.debug/liba.debug": "liba.debug",
    }
    assert debug_tree(files, owner="", link="p.debug") == {".debug/p.debug": "liba.debug"}
    assert debug_tree(files) == {}


@pytest.mark.parametrize("build_id", [None, "", "8c", "../../../x", "8c/../../../x", "a\0b"])
def test_build_ids_that_are_none_are_not_linked(files: Path, build_id: str | None) -> None:
    assert debug_tree(files, build_id=build_id) == {}


@pytest.mark.parametrize("link", ["", "..", "../x", "/etc/x", "a\0b", "\ud800", "x" * 5000])
def test_links_of_hostile_names_lead_nowhere(files: Path, link: str) -> None:
    assert debug_tree(files, link=link) == {}


def test_a_link_of_no_name_stays_inside(files: Path) -> None:
    assert debug_tree(files, link=".") == {"root/opt/.debug": "liba.debug"}


def test_hostile_owners_stay_inside(files: Path) -> None:
    for owner in ("/", "..", "../../opt", "\0", "x" * 5000):
        found = debug_tree(files, owner=owner, link="x.debug")
        assert len(found) <= 1
        assert all(path.endswith(".debug/x.debug") for path in found)


# -- hostile names of libraries

HOSTILE = [
    "", "/", ".", "..", "../..", "/..", "../../../../../../etc/x.so", "/../../etc/x.so",
    "//etc//x.so", "/etc/x.so", "./a/../../b.so", "a/../../../tmp", "a\0b", "/a/\0/x.so",
    "x" * 300, "/x" * 5000, "/\udcff\udc80.so", "/\ud800.so", "/a b;'\"$(x)\n.so", "-x", "core",
    "/core", "../core", "../program", "/a/b\\..\\c", "~/x.so", "/é.so",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_nothing_is_made_outside_of_the_folder(files: Path, name: str) -> None:
    before = set(everything(files.parent))
    with laid_out(scene_of(files, name, "/opt/liba.so")) as folder:
        made = set(everything(files.parent)) - before - {folder}
        assert all(folder in path.parents for path in made)
        found = tree(folder)
        # the others are not disturbed
        assert found.items() >= PLAIN.items()
        assert found["root/opt/liba.so"] == "liba.so"
        strange = found.keys() - PLAIN.keys()
        assert all(path.startswith(("root/", "libraries/")) for path in strange)
        assert all(path.is_symlink() or path.is_dir() for path in everything(folder))
    assert set(everything(files.parent)) == before


def test_all_hostile_names_at_once(files: Path) -> None:
    before = set(everything(files.parent))
    with laid_out(scene_of(files, *HOSTILE, *HOSTILE)) as folder:
        found = tree(folder)
        assert found["root/etc/x.so"] == "liba.so"
        assert found["root/a/b.so"] == "liba.so"
        assert found["root/core"] == "liba.so"
        assert found["core"] == "core"
    assert set(everything(files.parent)) == before


def test_a_library_below_another_library_is_left_out(files: Path) -> None:
    with laid_out(scene_of(files, "/a/x.so", "/a/x.so/y.so")) as folder:
        assert "root/a/x.so/y.so" not in tree(folder)
    assert sorted(p.name for p in files.iterdir()) == [
        *("core", "liba.debug", "liba.so", "libb.so", "program"),
    ]


# -- the folder itself


def test_only_the_owner_may_look_into_the_folder(files: Path) -> None:
    with laid_out(scene_of(files)) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.name.startswith("evdiag-gdb-")


def test_the_folder_is_removed_and_the_files_stay(files: Path) -> None:
    with laid_out(scene_of(files, "/a.so")) as folder:
        (folder / "home").mkdir()
        (folder / "home" / "left behind").write_text("by gdb")
    assert not folder.exists()
    assert (files / "liba.so").read_text() == "liba.so"


def test_the_folder_is_removed_after_an_exception_too(files: Path) -> None:
    seen: list[Path] = []

    def fail() -> None:
        with laid_out(scene_of(files, "/a.so")) as folder:
            seen.append(folder)
            raise OSError("gdb has died")

    with pytest.raises(OSError, match="gdb has died"):
        fail()
    assert not seen[0].exists()
    assert list((files.parent / "tmp").iterdir()) == []


def test_two_at_a_time_have_their_own(files: Path) -> None:
    with laid_out(scene_of(files)) as first, laid_out(scene_of(files)) as second:
        assert first != second
    assert not first.exists()
    assert not second.exists()


def test_without_a_place_for_the_folder_gdb_is_not_used(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(files / "nowhere"))
    with pytest.raises(GdbUnusable, match="no folder for gdb can be made: No such file"):
        laid_out(scene_of(files)).__enter__()


# -- memory


def test_memory_grows_with_the_files(files: Path) -> None:
    assert scene_of(files, "/a.so").memory == LEAST_MEMORY
    for name in ("program", "liba.so", "liba.debug"):
        os.truncate(files / name, 1 << 30)
    debug = DebugFile(file=str(files / "liba.debug"), build_id=None, owner="")
    gone = DebugFile(file=str(files / "gone"), build_id=None, owner="")
    assert scene_of(files, "/a.so", debug_files=(debug, gone)).memory == 3 * (8 << 30)
    assert scene_of(files, program=None).memory == LEAST_MEMORY


# -- settings


def test_settings_name_the_folders(files: Path) -> None:
    assert settings(scene_of(files), Path("/tmp/x")) == [
        "set sysroot /tmp/x/root",
        "set solib-search-path /tmp/x/libraries",
        "set debug-file-directory /tmp/x/debug",
    ]


def test_further_folders_with_debug_information(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    roots = (Path("/usr/lib/debug"), Path("here"), Path("/with:colon"))
    assert settings(scene_of(files, debug_roots=roots), Path("/tmp/x"))[2] == (
        f"set debug-file-directory /tmp/x/debug:/usr/lib/debug:{files}/here"
    )


def unquoted(command: str) -> list[str]:
    """The words of a command as libiberty's buildargv splits them."""
    words, word, quoted = [], "", False
    for c in command:
        if quoted:
            word, quoted = word + c, False
        elif c == "\\":
            quoted = True
        elif c in " \t\n":
            words.append(word)
            word = ""
        else:
            assert c not in "'\""
            word += c
    return [*words, word]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/workspace", "/home/me/src"),
        ("/with space/a", "/two  spaces "),
        ("/it's", '/"quoted"'),
        ("/back\\slash", "/end\\"),
        ("/$HOME;x", "/`x`|y#z"),
        ("/größe/名前", "/tab"),
        ("-x", "--"),
    ],
)
def test_source_maps_are_two_words_whatever_is_in_them(files: Path, old: str, new: str) -> None:
    commands = settings(scene_of(files, source_maps=((old, new),)), Path("/tmp/x"))[3:]
    assert [unquoted(command) for command in commands] == [["set", "substitute-path", old, new]]


def test_source_maps_bring_no_further_command(files: Path) -> None:
    maps = (("/a\nshell x", "/b\r\x1b\0\udc80c"), ("/d", "/e"))
    commands = settings(scene_of(files, source_maps=maps), Path("/tmp/x"))[3:]
    assert all(command.isprintable() for command in commands)
    assert [unquoted(command)[2:] for command in commands] == [["/ashell x", "/bc"], ["/d", "/e"]]
