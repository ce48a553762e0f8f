"""Reports lose their secrets on the way out, whatever the format, with a key that stays."""

import re
import stat
from pathlib import Path

import pytest

from evdiag.adapters import host
from evdiag.adapters.redaction_key import NAME, own_key, secrets_of
from evdiag.console import Output, redaction_by
from evdiag.model.bundle import Redaction, Token
from evdiag.model.report import Process, Report
from tests.cli.conftest import Evdiag

REPORT = Report(title="password=hunter2", process=Process(argv=("x", "--psk", "hunter3")))
MARK = re.compile(r"<redacted-[0-9a-f]{8}>")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("EVDIAG_CACHE", str(folder))
    assert host.cache_directory() == folder
    return folder


@pytest.mark.parametrize("name", ["terminal", "markdown", "json"])
@pytest.mark.parametrize("to_file", [True, False])
def test_no_format_has_secrets(
    name: str, to_file: bool, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "report" if to_file else None
    out = Output.choose(name, target)
    out.begin(REPORT)
    out.add(REPORT)
    out.add(REPORT)
    out.finish()
    shown = target.read_text() if target else capsys.readouterr().out
    assert "hunter" not in shown
    plain = shown.replace("\\", "").replace("&lt;", "<").replace("&gt;", ">")
    assert "redacted" in plain
    assert stat.S_IMODE((cache / NAME).stat().st_mode) == 0o600


def test_they_stay_on_request(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = Output.choose("json", None, redact=False)
    out.add(REPORT)
    out.finish()
    shown = capsys.readouterr().out
    assert "hunter2" in shown
    assert "hunter3" in shown
    assert not cache.exists()


def test_a_bundle_brings_its_own_tokens(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = "ab" * 32
    expected = redaction_by(Redaction(key=key))(REPORT).title
    known = Token(token=expected.removeprefix("password="), kind="id-token")
    redaction = Redaction(key=key, tokens=(known,))
    out = Output.choose("json", None)
    out.use(redaction)
    out.add(Report(title="say hunter2"))
    out.finish()
    assert f'"title": "say {known.token}"' in capsys.readouterr().out
    assert not cache.exists()


@pytest.mark.parametrize("key", [None, "", "no hex"])
def test_a_bundle_without_a_key(key: str | None, cache: Path) -> None:
    known = Token(token="<redacted-1a2b3c4d>", kind="password")
    secrets = secrets_of(Redaction(key=key, tokens=(known,)))
    assert secrets.tokens() == ()
    assert (cache / NAME).exists()


def test_the_same_user_has_the_same_tokens(cache: Path) -> None:
    assert redaction_by()(REPORT) == redaction_by()(REPORT)
    first = own_key(cache)
    assert len(first) == 32
    assert own_key(cache) == first
    (cache / NAME).chmod(0o644)
    assert own_key(cache) == first
    assert stat.S_IMODE((cache / NAME).stat().st_mode) == 0o600
    assert [path.name for path in cache.iterdir()] == [NAME]


def test_a_key_that_cannot_be_kept_is_random(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", Path("/proc/nowhere")):
        assert own_key(folder) != own_key(folder)
    (tmp_path / NAME).symlink_to("/etc/passwd")
    assert own_key(tmp_path) != own_key(tmp_path)
    short = tmp_path / "short"
    short.mkdir()
    (short / NAME).write_bytes(b"x" * 31)
    assert own_key(short) != own_key(short)
    odd = tmp_path / "odd"
    (odd / NAME).mkdir(parents=True)
    assert len(own_key(odd)) == 32


def test_the_command_says_what_it_replaced(
    evdiag: Evdiag, core: Path, cache: Path, tmp_path: Path
) -> None:
    log = tmp_path / "everest.log"
    log.write_text("x\n")
    code, out, _ = evdiag("backtrace", core, "--format", "json")
    assert code == 0
    assert '"redaction": {' in out
