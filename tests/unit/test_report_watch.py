"""What is told of each crash."""

import json
import re

from evdiag.model.report import Frame, Report, Sibling, Signal, Signature, Thread, Verdict
from evdiag.model.watch import OUT_OF_MEMORY, Crash, Loop
from evdiag.report import watch
from evdiag.report.terminal import paint

LOOP = Loop(count=2, first=0.0, last=65.0, uncollected=17)
CRASH = Crash(
    time=1795406765.9, module="ocpp", pid=63, how="SIGSEGV",
    what="module ocpp (pid 63) died of SIGSEGV", taken_down=("auth", "api"),
)  # fmt: skip
FRAME = Frame(level=0, function="charge", file="/src/a.cpp", line=7, in_app=True)
REPORT = Report(
    title="ocpp: null-read in charge at a.cpp:7",
    verdict=Verdict(cls="null-read", summary="read from 0x8", frame=0),
    signature=Signature(hash="abc"),
    signal=Signal(name="SIGSEGV"),
    threads=(Thread(number=1, crashed=True, frames=(FRAME,)),),
    siblings=(
        Sibling(module_id="ocpp", role="first_fault"),
        *(Sibling(module_id=f"m{number}", role="taken_down") for number in range(8)),
        Sibling(role="taken_down"),
        Sibling(module_id="everest", role="taken_down"),
    ),
)


def text(lines: object, width: int = 80) -> str:
    return paint(lines, width, colour=False)  # type: ignore[arg-type]


def test_what_tells_one_crash_from_another() -> None:
    assert watch.identity(CRASH, None) == ("log", "ocpp", "SIGSEGV")
    assert watch.identity(CRASH, REPORT) == ("signature", "abc")
    for signature in (None, Signature()):
        unsigned = Report(verdict=REPORT.verdict, signature=signature)
        assert watch.identity(CRASH, unsigned) == ("verdict", "ocpp", "null-read", "SIGSEGV")


def test_a_crash_with_its_report() -> None:
    told = watch.told("mine", CRASH, REPORT, LOOP, bundle="b/my bundle")
    assert json.loads(watch.json_line(told)) == {
        "schema": "evdiag.watch/1", "container": "mine", "time": 1795406765.9,
        "class": "null-read", "title": "ocpp: null-read in charge at a.cpp:7",
        "summary": "read from 0x8", "signature": "abc", "module": "ocpp", "pid": 63,
        "signal": "SIGSEGV", "taken_down": [*(f"m{number}" for number in range(8)), "?"],
        "bundle": "b/my bundle", "problem": None,
        "loop": {"count": 2, "first": 0.0, "last": 65.0, "looping": False, "uncollected": 17},
    }  # fmt: skip
    assert watch.json_line(told).count("\n") == 1
    assert watch.plain(told, REPORT) == (
        "2026-11-23 04:06:05 UTC CRASH ocpp: null-read in charge at a.cpp:7\n"
        "    why: read from 0x8\n"
        "    where: /src/a.cpp:7 in charge\n"
        "    taken down: m0, m1, m2, m3, m4, m5 and 3 more\n"
        "    bundle: b/my bundle\n"
        "    next: evdiag backtrace 'b/my bundle'\n"
    )
    head = text(watch.head(told, 3, 80))
    assert re.fullmatch("── crash 3 of mine at 2026-11-23 04:06:05 UTC ─+\n", head)
    assert len(head) == 81
    assert text(watch.foot(told)) == (
        "bundle  b/my bundle\nnext    evdiag backtrace 'b/my bundle'\n"
    )


def test_a_crash_without_a_report() -> None:
    told = watch.told("mine", CRASH, None, LOOP, problem="the disk\x1b is full")
    assert (told.cls, told.signature, told.bundle) == ("unknown", None, None)
    assert watch.plain(told, None) == (
        "2026-11-23 04:06:05 UTC CRASH module ocpp (pid 63) died of SIGSEGV\n"
        "    taken down: auth, api\n"
        "    problem: the disk\\x1b is full\n"
        "    next: evdiag backtrace mine\n"
    )
    assert text(watch.without_report(told)) == (
        "module ocpp (pid 63) died of SIGSEGV\ntaken down with it: auth, api\n"
    )
    assert "problem the disk" in text(watch.foot(told))


def test_a_container_that_died() -> None:
    crash = Crash(how=OUT_OF_MEMORY, what="mine ran out of memory")
    told = watch.told("mine", crash, None, LOOP)
    assert (told.cls, told.module, told.signal, told.time) == ("oom-killed", None, None, None)
    assert watch.plain(told, None).startswith("at an unknown time CRASH mine ran out")
    assert text(watch.without_report(told)) == "mine ran out of memory\n"
    silent = Report(title="x")
    assert watch.told("mine", CRASH, silent, LOOP).signal == "SIGSEGV"
    assert "where" not in watch.plain(told, silent)


def test_what_a_hostile_container_says_is_harmless() -> None:
    crash = Crash(module="\x1b[31m", how="x", what="a\nb" * 400, taken_down=("\x07",))
    told = watch.told("mine", crash, None, LOOP)
    shown = watch.plain(told, None) + watch.loop_begins("\x1b", LOOP) + watch.loop_ends("\r", LOOP)
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", shown)
    assert shown.count("\n") == 3
    assert all(len(line) < 400 for line in shown.split("\n"))


def test_lines_between() -> None:
    assert watch.loop_begins("t", LOOP) == (
        "crash loop: t: 2 times from 1970-01-01 00:00:00 UTC to 1970-01-01 00:01:05 UTC; "
        "further ones are counted, not collected"
    )
    assert watch.loop_begins("t", LOOP, waits=5).startswith(
        "crash loop: EVerest ended 5 times soon after its start; t: 2 times"
    )
    assert watch.loop_ends("t", LOOP) == (
        "17 more of the same, the last at 1970-01-01 00:01:05 UTC: t"
    )
    assert watch.quiet("reset") == ("EVerest was restarted because a reset was asked for: no crash")
    assert watch.quiet("stopped") == ""
    assert watch.status_line("mine", 0, "3 s") == "watching mine for 3 s: no crash so far"
    assert watch.status_line("mine", 1, "3 s", state="away") == (
        "watching mine for 3 s: 1 crash so far, away"
    )
    assert watch.at_the_end("mine", 2000, "2 h") == "watched mine for 2 h: 2,000 crashes"
