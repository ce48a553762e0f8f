"""Which file stands for a mapped module: folders by build-id, and what is never used."""

from pathlib import Path

from evdiag.adapters.images import Images, Search
from evdiag.analyze.mapped import symbols_place
from evdiag.parse.modules import MappedModule
from tests.support import elfwriter as w

ID = w.images.BUILD_ID.hex()
CODE = w.image()
PLAIN = w.image(build_id=None)


def module(path: str, code: bytes, build_id: str | None) -> MappedModule:
    return MappedModule(
        path=path, start=0, end=0x4000, head=0, build_id=build_id, first_bytes=code[:4096]
    )


def put(store: Path, of: MappedModule, code: bytes) -> Path:
    file = store / (symbols_place(of) or "")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(code)
    return file


def found(search: Search, of: MappedModule) -> str | None:
    image, _ = Images(search).open(of, is_executable=False)
    return image.path if image is not None else None


def test_a_bundle_goes_before_the_users_store_and_this_machine(tmp_path: Path) -> None:
    here = tmp_path / "libx.so"
    here.write_bytes(CODE)
    libx = module(str(here), CODE, ID)
    search = Search(stores=(tmp_path / "bundle",), store=tmp_path / "cache")
    assert found(search, libx) == str(here)
    own = put(tmp_path / "cache", libx, CODE)
    assert found(search, libx) == str(own)
    bundled = put(tmp_path / "bundle", libx, CODE)
    assert found(search, libx) == str(bundled)


def test_a_file_under_a_wrong_name_is_not_used(tmp_path: Path) -> None:
    libx = module("/none/libx.so", CODE, ID)
    put(tmp_path, libx, w.image(build_id=b"\1\2\3\4"))
    assert found(Search(stores=(tmp_path,)), libx) is None


def test_a_file_without_build_id_is_known_by_its_first_page(tmp_path: Path) -> None:
    libx = module("/none/libx.so", PLAIN, None)
    file = put(tmp_path, libx, PLAIN)
    assert found(Search(stores=(tmp_path,)), libx) == str(file)
    file.write_bytes(b"\x7fELF" + PLAIN[4:100] + b"changed" + PLAIN[107:])
    assert found(Search(stores=(tmp_path,)), libx) is None


def test_the_debug_file_of_a_bundle_belongs_to_its_file(tmp_path: Path) -> None:
    libx = module("/none/libx.so", CODE, ID)
    debug = w.image(sections=[w.Section(name=".debug_info", data=b"x")])
    file = put(tmp_path, libx, CODE)
    file.with_name(f"{file.name}.debug").write_bytes(debug)

    image, state = Images(Search(stores=(tmp_path,))).open(libx, is_executable=False)

    assert state.symbols == "full"
    assert image is not None
    assert image.companion is not None
    assert image.companion.path == f"{file}.debug"
