"""`evdiag backtrace` as its users run it, on the real core that ships with evdiag."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from evdiag.report.schema import schema
from tests.cli.conftest import Evdiag

EXE = "root/opt/everest/libexec/everest/modules/EvseManager/EvseManager"


def test_the_terminal_report(evdiag: Evdiag, core: Path, demo: Path) -> None:
    code, out, err = evdiag("backtrace", core, "--sysroot", demo / "root")

    assert code == 0
    assert err == ""
    first_screen = "\n".join(out.splitlines()[:40])
    assert out.startswith(
        "evse_manager (EvseManager): null-write in charging::Session::book_energy "
        "at charging.hpp:29\n"
    )
    assert "SIGSEGV, address not mapped (SEGV_MAPERR) at 0x18" in first_screen
    assert "→ 29          energy_wh = value;" in first_screen
    assert "charging::Session::book_energy(double) inlined" in first_screen
    assert "evdiag gdb" in first_screen
    assert "15 other threads" in out
    assert "\x1b" not in out


def test_the_json_report_fits_its_schema(evdiag: Evdiag, core: Path, demo: Path) -> None:
    code, out, _ = evdiag("backtrace", core, "--sysroot", demo / "root", "--format", "json")

    assert code == 0
    document = json.loads(out)
    jsonschema.Draft202012Validator(json.loads(schema())).validate(document)
    assert document["schema"] == "evdiag.report/1"
    assert document["verdict"]["class"] == "null-write"
    assert document["signal"]["fault_address"] == "0x18"
    assert document["process"]["module_id"] == "evse_manager"
    assert document["process"]["argv"][0] == "evse_manager:EvseManager"
    assert len(document["threads"]) == 16
    assert all(thread["ended"] is None for thread in document["threads"])
    assert document["provenance"]["rung"] == "native"


def test_without_any_file_module_and_offset_are_shown(evdiag: Evdiag, core: Path) -> None:
    code, out, _ = evdiag("backtrace", core, "--format", "json")

    assert code == 0
    document = json.loads(out)
    frame = document["threads"][0]["frames"][0]
    assert frame["function"] is None
    assert frame["module"] == "/opt/everest/libexec/everest/modules/EvseManager/EvseManager"
    assert frame["offset"].startswith("0x")
    messages = [error["message"] for error in document["soft_errors"]]
    assert any("EvseManager is not on this machine" in message for message in messages)
    # the bytes of the instruction are not in the core: no guess about read or write
    assert document["verdict"]["class"] == "null-access"


def test_the_program_alone_names_its_own_frames(evdiag: Evdiag, core: Path, demo: Path) -> None:
    _, out, _ = evdiag("backtrace", core, "--exe", demo / EXE, "--format", "json")

    frames = json.loads(out)["threads"][0]["frames"]
    assert frames[0]["function"] == "charging::Session::book_energy(double)"


def test_sources_from_elsewhere(evdiag: Evdiag, core: Path, demo: Path, tmp_path: Path) -> None:
    (tmp_path / "charging.hpp").write_text("\n" * 28 + "here it is\n")

    _, out, _ = evdiag(
        *("backtrace", core, "--exe", demo / EXE),
        *("--source-map", f"/workspace/charger={tmp_path}"),
    )

    assert "→ 29  here it is" in out


def test_several_cores_one_of_them_bad(
    evdiag: Evdiag, core: Path, demo: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad"
    bad.write_bytes(b"")

    code, out, err = evdiag(
        "backtrace", core, bad, core, "--sysroot", demo / "root", "--format", "json"
    )

    assert code == 8
    assert [report["title"][:12] for report in json.loads(out)] == ["evse_manager"] * 2
    assert "the file is empty" in err


def test_output_to_a_file_by_its_suffix(
    evdiag: Evdiag, core: Path, demo: Path, tmp_path: Path
) -> None:
    target = tmp_path / "report.md"

    code, out, err = evdiag("backtrace", core, "--sysroot", demo / "root", "-o", target)

    assert code == 0
    assert out == ""
    assert f"wrote {target}" in err
    assert target.read_text().startswith("#")
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_crash_found_has_its_own_exit_code_when_asked(evdiag: Evdiag, core: Path) -> None:
    assert evdiag("backtrace", core, "--exit-code").code == 20
    assert evdiag("backtrace", core).code == 0


def test_the_width_of_the_terminal(
    evdiag: Evdiag, core: Path, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for width in (80, 160):
        monkeypatch.setenv("COLUMNS", str(width))
        _, out, _ = evdiag("backtrace", core, "--sysroot", demo / "root")
        longest = max(len(line) for line in out.splitlines())
        assert width * 0.8 < longest <= width


def test_a_closed_pipe_is_no_error(core: Path) -> None:
    command = f"{sys.executable} -m evdiag backtrace {core} | head -1"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_the_signature_explained(evdiag: Evdiag, core: Path, demo: Path) -> None:
    root = demo / "root"
    outcome = evdiag("backtrace", core, "--sysroot", root, "--explain-signature", "--exit-code")

    assert outcome.code == 20
    assert outcome.out.startswith(f"Signature of {core}\n")
    assert "  sig:v1: EvseManager | null-write | charging::Session::book_energy | " in outcome.out
    assert "  #0 in the signature: charging::Session::book_energy\n" in outcome.out
    assert outcome.err == ""

    report = evdiag("backtrace", core, "--sysroot", root, "--format", "json", "--no-values")
    signature = json.loads(report.out)["signature"]
    assert f"  {signature['text']}\n" in outcome.out
    assert f"  hash {signature['hash']}," in outcome.out


@pytest.mark.parametrize("more", [("--format", "json"), ("-o", "a.md")])
def test_the_explanation_is_no_report(evdiag: Evdiag, core: Path, more: tuple[str, ...]) -> None:
    outcome = evdiag("backtrace", core, "--explain-signature", *more)
    assert outcome.code == 2
    assert "signature.inputs" in outcome.err
