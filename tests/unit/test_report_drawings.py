"""The drawings of a page: the circle of a deadlock, and the timeline."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from evdiag.model.report import Address, DeadlockMember, Frame, Report, Thread, TimelineEvent
from evdiag.model.report import WaitsFor as Wait
from evdiag.report.html import svg, timeline, waits
from evdiag.report.html.scale import Scale, bunches
from evdiag.report.neutral import neutralise
from tests.support import samples
from tests.support.random_nouns import nouns

ELEMENTS = {"div", "p", "ol", "li", "svg", "title", "desc", "g"} | {
    *("rect", "text", "path", "polygon", "circle")
}
ATTRIBUTES = {
    *("class", "role", "tabindex", "aria-label", "aria-hidden", "viewBox", "text-anchor"),
    *("x", "y", "width", "height", "rx", "cx", "cy", "r", "d", "points"),
}


def read(drawing: Markup) -> ET.Element:
    """A drawing as a tree; nothing is in it but shapes and words."""
    tree = ET.fromstring(f"<div>{drawing}</div>")
    for each in tree.iter():
        assert each.tag in ELEMENTS
        assert set(each.attrib) <= ATTRIBUTES
    return tree


def texts(tree: ET.Element, kind: str = "text") -> list[str]:
    return [each.text or "" for each in tree.iter(kind)]


def of_class(tree: ET.Element, name: str) -> list[ET.Element]:
    return [each for each in tree.iter() if name in each.get("class", "").split()]


# ---------------------------------------------------------------- the circle of a deadlock


def circle(members: int, besides: int = 0, kind: str | None = "mutex") -> Report:
    """Threads that wait for each other, and some that wait for the first one."""
    frame = Frame(level=3, function="Meter::read(int)", file="/src/m.cpp", line=7)
    threads = [
        Thread(
            number=i + 1,
            lwp=100 + i,
            role="meter",
            crashed=i == 0,
            waits_for=Wait(
                kind=kind, address=Address(0x4000 + i), owner_lwp=100 + (i + 1) % members
            ),
            frames=(frame,),
        )
        for i in range(members)
    ]
    waiting = Wait(kind="mutex", owner_lwp=100)
    others = [Thread(number=50 + i, lwp=500 + i, waits_for=waiting) for i in range(besides)]
    others += [Thread(number=90, lwp=900), Thread(number=91, lwp=901, waits_for=Wait())]
    return Report(
        threads=(*threads, *others),
        deadlock=tuple(
            DeadlockMember(thread=t.number, lwp=t.lwp, role=t.role, waits_for=t.waits_for, frame=3)
            for t in threads
        ),
    )


def test_without_a_deadlock_there_is_no_circle() -> None:
    assert waits.drawing(Report()) == Markup()


def test_two_threads_that_wait_for_each_other() -> None:
    tree = read(waits.drawing(circle(2, besides=3)))
    words = texts(tree)
    assert words.count("#1 meter") == words.count("#2 meter") == 1
    assert "LWP 100, and 3 more wait" in words
    assert "LWP 101" in words
    assert words.count("Meter::read(int)") == 2
    assert words.count("m.cpp:7") == 2
    assert [text for text in words if text.startswith("0x")] == ["0x4000", "0x4001"]
    assert texts(tree, "title")[0] == "2 threads that wait for each other"
    assert texts(tree, "desc") == [
        "#1 meter (LWP 100) waits for the mutex at 0x4000, held by #2 meter (LWP 101); "
        "#2 meter (LWP 101) waits for the mutex at 0x4001, held by #1 meter (LWP 100)"
    ]
    told = next(text for text in texts(tree, "title") if "wait for it" in text)
    assert told.endswith("; in Meter::read(int) /src/m.cpp:7; "
                         "and 3 more wait for it")  # fmt: skip
    assert len(of_class(tree, "g-node-crash")) == 1
    [drawn] = tree.iter("svg")
    assert drawn.get("role") == "img"


def ends(edge: ET.Element) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where a line begins, and where the tip of its arrow is."""
    [line] = edge.iter("path")
    [tip] = edge.iter("polygon")
    begin = [float(n) for n in re.findall(r"[\d.]+", line.get("d", ""))[:2]]
    end = [float(n) for n in tip.get("points", "").split()[0].split(",")]
    return (begin[0], begin[1]), (end[0], end[1])


@pytest.mark.parametrize("members", range(1, waits.MOST_DRAWN + 1))
def test_every_arrow_leads_from_a_thread_to_the_next_one(members: int) -> None:
    tree = read(waits.drawing(circle(members)))
    [drawn] = tree.iter("svg")
    groups = drawn.findall("g")
    edges, boxes = groups[:members], groups[members:]
    assert len(boxes) == members

    def touched(point: tuple[float, float]) -> list[int]:
        found = []
        for i, group in enumerate(boxes):
            [box] = group.iter("rect")
            x, y, width, height = (float(box.get(n, "")) for n in ("x", "y", "width", "height"))
            if x - 2 <= point[0] <= x + width + 2 and y - 2 <= point[1] <= y + height + 2:
                found.append(i)
        return found

    for i, edge in enumerate(edges):
        begin, end = ends(edge)
        assert touched(begin) == [i]
        assert touched(end) == [(i + 1) % members]
    assert len({tuple(box.find("rect").attrib.items()) for box in boxes}) == members  # type: ignore[union-attr]


def test_many_threads_are_a_list() -> None:
    tree = read(waits.drawing(circle(13)))
    assert len(texts(tree, "li")) == 13
    assert not list(tree.iter("svg"))
    most = read(waits.drawing(circle(waits.MOST_LISTED + 1)))
    assert texts(most, "li")[-1] == "… and 1 more thread"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("rwlock", "read-write lock"),
        ("join", "its end (join)"),
        (None, "lock"),
        ("newer lock", "newer lock"),
    ],
)
def test_what_they_wait_for(kind: str | None, words: str) -> None:
    assert texts(read(waits.drawing(circle(3, kind=kind)))).count(words) == 3


def test_threads_of_which_little_is_known() -> None:
    known = DeadlockMember(thread=1, lwp=7, waits_for=Wait(kind="mutex"), frame=0)
    report = Report(
        threads=(
            Thread(number=1, lwp=7, frames=(Frame(level=1),)),
            Thread(number=2, lwp=8, waits_for=Wait(owner_lwp=7)),
        ),
        deadlock=(DeadlockMember(), known, DeadlockMember(lwp=9)),
    )
    words = texts(read(waits.drawing(report)))
    assert words.count("a thread") == 2
    assert words.count("lock") == 2
    assert {"#1 ", "LWP 7, and 1 more waits", "LWP 9", "mutex"} <= set(words)


def test_long_names_keep_their_ends() -> None:
    role = "beginning" + "x" * 300 + "end"
    member = DeadlockMember(thread=1, lwp=7, role=role)
    tree = read(waits.drawing(Report(deadlock=(member,))))
    short = next(text for text in texts(tree) if text.startswith("#1"))
    assert "…" in short
    assert short.endswith("end")
    assert any(role in text for text in texts(tree, "title"))


# ---------------------------------------------------------------- words that fit


def test_how_wide_words_are() -> None:
    assert svg.width_of("ab", 10, 0.6) == pytest.approx(12)
    assert svg.width_of("a名", 10, 0.6) > 16


@pytest.mark.parametrize("shorten", [svg.fitted, svg.clipped])
@pytest.mark.parametrize("words", ["short", "x" * 500, "名" * 500, "名" * 9 + "x" * 9])
def test_words_are_made_to_fit(shorten: Callable[[str, float, float], str], words: str) -> None:
    for pixels in (30.0, 100.0, 250.0):
        assert svg.width_of(shorten(words, pixels, 12), 12) <= pixels
    assert shorten("short", 250, 12) == "short"


def test_nothing_of_an_element_is_markup() -> None:
    made = svg.element("text", "<b>&", class_='"><script>', aria_label="'", x=1.25, y=2.0)
    assert made == Markup(
        '<text class="&#34;&gt;&lt;script&gt;" aria-label="&#39;" x="1.2" y="2">'
        "&lt;b&gt;&amp;</text>"
    )


# ---------------------------------------------------------------- time


def test_a_scale_keeps_the_order_and_shortens_quiet_stretches() -> None:
    scale = Scale([-60.0, -59.9, -1.0, 0.0], 0, 100)
    places = [scale.place(moment) for moment in (-60, -59.95, -59.9, -30, -1, 0)]
    assert places == sorted(places)
    assert places[0] == 0
    assert places[-1] == pytest.approx(100)
    assert scale.place(-99) == 0
    assert scale.place(5) == pytest.approx(100)
    burst, quiet = scale.place(-59.9), scale.place(-1) - scale.place(-59.9)
    assert 0.1 < burst / quiet < 0.5


def test_a_scale_of_one_moment() -> None:
    assert Scale([0.0], 10, 20).place(0.0) == 10
    assert Scale([0.0], 10, 20).ticks(5) == [(0.0, 10)]
    assert Scale([3.0, 4.5], 10, 20).ticks(5) == []


def test_moments_that_are_nearly_the_same() -> None:
    assert Scale([0.0, 2e-311], 10, 20).place(2e-311) == 10
    assert Scale([0.0, 1e-5, 1.0], 10, 20).place(1e-5) == pytest.approx(10, abs=0.01)


def test_the_ticks_of_a_scale() -> None:
    ticks = Scale([-60.0, -10.0, 0.0, 2.0], 0, 600).ticks(50)
    assert [moment for moment, _ in ticks] == sorted(moment for moment, _ in ticks)
    assert {-60.0, -10.0, 0.0, 1.0} <= {moment for moment, _ in ticks}
    places = [place for _, place in ticks]
    assert all(b - a >= 50 for a, b in pairwise(places))


@settings(max_examples=50)
@given(
    st.lists(st.floats(-1e8, 1e8), min_size=1, max_size=60),
    st.floats(1, 50),
)
def test_marks_do_not_touch(moments: list[float], apart: float) -> None:
    scale = Scale(moments, 0, 1000)
    found = bunches(sorted(moments), scale.place, apart)
    assert [moment for _, members in found for moment in members] == sorted(moments)
    places = [x for x, _ in found]
    assert all(-1e-6 <= x <= 1000 + 1e-6 for x in places)
    assert all(b - a >= apart - 1e-6 for a, b in pairwise(places))


# ---------------------------------------------------------------- the timeline

OWN = TimelineEvent(
    offset=0.0, kind="crash", text="ocpp crashed", current=True, time="2026-11-23 04:02:31.221 UTC"
)


def event(offset: float | None, kind: str | None, text: str = "it", way: str | None = None,
          count: int = 1) -> TimelineEvent:  # fmt: skip
    return TimelineEvent(offset=offset, kind=kind, text=text, direction=way, count=count)


def draw(*events: TimelineEvent) -> ET.Element:
    return read(timeline.drawing(Report(timeline=events)))


def marks(tree: ET.Element) -> list[str]:
    return [mark[0].text or "" for mark in of_class(tree, "g-mark")]


@pytest.mark.parametrize(
    "events",
    [
        (),
        (OWN,),
        (event(None, "session"), OWN),
        (event(float("nan"), "session"), event(float("inf"), "session"), OWN),
        (event(1e9, "session"), OWN),
    ],
)
def test_without_two_moments_there_is_no_timeline(events: tuple[TimelineEvent, ...]) -> None:
    assert timeline.drawing(Report(timeline=events)) == Markup()


def test_every_kind_has_its_lane() -> None:
    tree = draw(
        event(-50, "session"),
        event(-40, "v2g", way="from_car"),
        event(-30, "ocpp", way="to_csms"),
        event(-20, "OCPP"),
        event(-10, "mqtt"),
        event(-5, "error"),
        event(-4, "something of later"),
        event(-3, None),
        OWN,
        event(1, "module-exit", count=3),
    )
    lanes = [each.get("aria-label") for each in of_class(tree, "g-lane")]
    assert lanes == ["session", "car", "OCPP", "MQTT", "processes", "errors", "crash", "other"]
    assert len(list(tree.iter("polygon"))) == 2
    assert "-30.000 s · → CSMS · it" in marks(tree)
    assert "+1.000 s · manager · it ×3" in marks(tree)
    assert len(of_class(tree, "g-mark-crash")) == len(of_class(tree, "g-crash")) == 1
    assert {"crash", "−30 s", "−10 s", "+1 s"} <= set(texts(tree))
    [box] = of_class(tree, "g-timeline")
    assert box.get("aria-label") == "What led to the crash at 2026-11-23 04:02:31.221 UTC, drawn"


def test_long_times_on_the_axis() -> None:
    words = texts(draw(event(-4000, "session"), event(-90, "session"), OWN))
    assert {"−1 h", "−1 min"} <= set(words)


def test_the_crash_is_drawn_among_others_at_its_moment() -> None:
    tree = draw(event(-60, "session"), event(-0.0001, "terminate"), OWN, event(0.1, "core-written"))
    [mark] = of_class(tree, "g-mark-crash")
    [line] = of_class(tree, "g-crash")
    assert "crash · ocpp crashed" in (mark[0].text or "")
    [number] = of_class(mark, "g-number")
    assert number.get("x") == line.get("d", "").split()[0].removeprefix("M")


def test_many_events_are_few_marks() -> None:
    kinds = ("session", "v2g", "error", "mqtt")
    tree = draw(*(event(n - 100.0, kind, f"event {n}") for n in range(100) for kind in kinds), OWN)
    assert 30 < len(marks(tree)) <= timeline.MOST_MARKS
    numbers = [int(each.text or 0) for each in of_class(tree, "g-number")]
    assert sum(numbers) + len(marks(tree)) - len(numbers) == 401


def test_a_mark_of_many_events_tells_some() -> None:
    told = [event(-0.5, "session", f"event {n}") for n in range(20)]
    mark = of_class(draw(*told, OWN), "g-mark")[0]
    lines = (mark[0].text or "").split("\n")
    assert lines[0] == "-0.500 s · session · event 0"
    assert lines[timeline.MOST_TOLD :] == ["and 8 more events"]
    [below] = of_class(mark, "g-read")
    assert len(texts(below)) == 5
    assert texts(below)[-1] == "and 16 more"


def test_a_long_event_is_read_in_lines() -> None:
    tree = draw(event(-9, "session", "word " * 80), OWN)
    [below] = of_class(of_class(tree, "g-mark")[0], "g-read")
    assert len(texts(below)) == 5
    assert all(line.startswith(("word", "-9")) for line in texts(below))


def labels(*events: TimelineEvent) -> dict[str, str | None]:
    """The words beside marks, and on which side they stand."""
    return {each.text or "": each.get("text-anchor") for each in of_class(draw(*events), "g-label")}


def test_words_stand_beside_marks_where_there_is_room() -> None:
    assert labels(event(-50, "session", "left"), OWN, event(2, "v2g", "at the right")) == {
        "left": "start",
        "at the right": "end",
        "ocpp crashed": "start",
    }
    crowd = labels(*(event(-2.0 * n, "session", f"crowd {n}") for n in range(40, 0, -1)), OWN)
    assert len(crowd) < 5


def test_long_words_are_cut_on_the_side_with_more_room() -> None:
    found = labels(event(-50, "v2g", "x" * 300), event(-0.5, "session", "y" * 300), OWN)
    assert {text[0]: side for text, side in found.items()} == {"x": "start", "y": "end", "o": "end"}
    assert all(text.endswith("…") for text in found if text[0] in "xy")


# ---------------------------------------------------------------- whatever comes


def test_hostile_text_is_text() -> None:
    hostile = neutralise(
        Report(
            timeline=tuple(
                TimelineEvent(offset=-float(n), kind=samples.HOSTILE, text=samples.HOSTILE)
                for n in range(9)
            ),
            threads=(samples.hostile_thread(),),
            deadlock=(
                DeadlockMember(thread=1, lwp=1, role=samples.HOSTILE),
                DeadlockMember(thread=2, lwp=2, waits_for=Wait(kind=samples.HOSTILE)),
            ),
        )
    )
    for drawing in (timeline.drawing(hostile), waits.drawing(hostile)):
        read(drawing)
        assert "<script" not in drawing
        assert not {"\x1b", "\u202e"} & set(drawing)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(nouns(TimelineEvent), max_size=9),
    st.lists(nouns(Thread), max_size=2),
    st.lists(nouns(DeadlockMember), max_size=14),
)
def test_any_report_can_be_drawn(
    events: list[TimelineEvent], threads: list[Thread], circle: list[DeadlockMember]
) -> None:
    members = [DeadlockMember(thread=t.number, lwp=t.lwp, frame=0) for t in threads]
    neutral = neutralise(
        Report(timeline=tuple(events), threads=tuple(threads), deadlock=(*members, *circle))
    )
    assert (timeline.drawing(neutral) == "") == (sum(e.offset is not None for e in events) < 2)
    assert (waits.drawing(neutral) == "") == (not members and not circle)
    read(timeline.drawing(neutral))
    read(waits.drawing(neutral))
