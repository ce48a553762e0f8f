"""The password of the dashboard: where it comes from, who may read what is kept of it."""

import grp
import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from tests.support.charger_config import load

dashboard_auth = load("dashboard_auth")

GIVEN = "a: 100% $ecret"
GROUP = grp.getgrgid(os.getgid()).gr_name


def run(folder: Path, **variables: str) -> tuple[str, dict[str, str | int]]:
    """Run the program; return what it keeps of the password, and what Node-RED is to check."""
    kept, auth = folder / "password", folder / "auth.json"
    assert dashboard_auth.main([str(kept), str(auth), GROUP], variables) == 0
    return kept.read_text(), json.loads(auth.read_text())


def fits(password: str, record: dict[str, str | int]) -> bool:
    """Whether this is the password of the record, as Node-RED finds out."""
    cost = {name: int(record[name]) for name in ("n", "r", "p")}
    salt, key = (bytes.fromhex(str(record[name])) for name in ("salt", "key"))
    return hashlib.scrypt(password.encode(), salt=salt, dklen=len(key), **cost) == key


def test_a_new_password_stays(tmp_path: Path) -> None:
    first, record = run(tmp_path)
    again, changed = run(tmp_path, DASHBOARD_PASSWORD="")

    assert len(first) == 25
    assert first.endswith("\n")
    assert again == first
    assert changed["salt"] != record["salt"]
    for each in (record, changed):
        assert each.keys() == {"user", "salt", "key", "n", "r", "p"}
        assert each["user"] == "admin"
        assert fits(first.rstrip("\n"), each)
        assert not fits(first, each)


def test_two_containers_have_different_ones(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()

    one, two = (run(folder)[0] for folder in folders)

    assert one != two


def test_a_given_password_replaces_a_kept_one(tmp_path: Path) -> None:
    run(tmp_path)

    kept, record = run(tmp_path, DASHBOARD_PASSWORD=GIVEN)

    assert kept == f"{GIVEN}\n"
    assert fits(GIVEN, record)
    assert GIVEN not in json.dumps(record)


@pytest.mark.parametrize("kept", [b"", b"\n", b"short\n", b"two lines\nof it\n", b"\xff" * 9])
def test_what_is_no_password_is_not_kept(tmp_path: Path, kept: bytes) -> None:
    (tmp_path / "password").write_bytes(kept)

    assert len(run(tmp_path)[0]) == 25


def test_rights_are_as_narrow_as_they_can_be(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{GIVEN}\n")
    (tmp_path / "password").chmod(0o666)
    (tmp_path / "password.new").write_text("left by a start that was broken off")

    run(tmp_path)

    modes = {path.name: stat.filemode(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"password": "-rw-------", "auth.json": "-rw-r-----"}
    assert (tmp_path / "auth.json").group() == GROUP


def test_a_folder_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "none" / "password"

    assert dashboard_auth.main([str(kept), str(tmp_path / "auth.json"), GROUP], {}) == 1
    assert capsys.readouterr().err == (f"dashboard_auth: {kept}.new: No such file or directory\n")
