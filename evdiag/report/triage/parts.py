"""The words for groups of crashes that several formats share."""

import re
import shlex
from collections.abc import Iterable, Sequence

import msgspec

from evdiag.analyze import names
from evdiag.analyze.triage.groups import moment
from evdiag.model.report import Frame
from evdiag.model.triage import Failure, Group, Place, Triage
from evdiag.report import words

MOST_SIMILAR, MOST_GONE, MOST_FAILURES, MOST_NEXT = 10, 10, 8, 3
MOST_PATHS = 3
"""Files that are named where several have the same problem."""

_PLACE = re.compile(r" at [^ /]+:\d+$")
_TO_MINUTE, _TO_DAY, _YEAR = 16, 10, 5


def crashes_of(group: Group) -> str:
    """`1 crash`, `1,000 crashes`."""
    return "1 crash" if group.count == 1 else f"{group.count:,} crashes"


def crashes(number: int) -> str:
    """The same for any number."""
    return crashes_of(Group(count=number))


# -- one group


def what(group: Group, room: int = 10_000) -> str:
    """The title without the program and the line, which stand beside it: `null-write in f`."""
    if group.unsorted:
        return names.clip(f"{group.cls}; stacks are missing, perhaps several crashes", room)
    text = group.title
    at = text.find(f": {group.cls}")
    if at >= 0:
        text = _PLACE.sub("", text[at + 2 :])
    text = text or group.cls
    if len(text) <= room:
        return text
    kind, separator, function = text.rpartition(" in ")
    if not separator:
        return names.clip(text, room)
    kind = names.clip(kind, max(room // 2, room - len(separator) - len(function)))
    return kind + separator + names.function(function, room - len(kind) - len(separator))


def place(group: Group, room: int = 10_000, *, directories: bool = False) -> str:
    """Where most of its crashes happened."""
    if not group.lines:
        return ""
    return place_text(group.lines[0].place, room, directories=directories)


def place_text(place: Place, room: int = 10_000, *, directories: bool = False) -> str:
    """A line of source; where there is none, module and offset."""
    frame = Frame(
        level=0, file=place.file, line=place.line, module=place.module, offset=place.offset
    )
    return words.place_of(frame, room, directories)


def next_step(group: Group) -> str:
    """The command that shows a crash of the group in full."""
    path = group.representative or ""
    return f"evdiag backtrace {shlex.quote(path)}" if path else ""


def builds(group: Group) -> int:
    """How many builds of the program crashed, as far as they are known."""
    return len({build.build_id for build in group.builds if build.build_id})


class Times:
    """Times of a triage: to the minute, without the year where all are of the same one."""

    def __init__(self, triage: Triage) -> None:
        self.first, self.last = "", ""
        seen = [moment(t) for g in triage.groups for t in (g.first_seen, g.last_seen)]
        known = sorted(text for text in seen if text)
        if known:
            self.first, self.last = known[0], known[-1]
        self._from = _YEAR if self.first[:_YEAR] == self.last[:_YEAR] else 0

    def short(self, text: str | None) -> str:
        """`11-22 03:12`; empty where it is not known."""
        return moment(text)[self._from : _TO_MINUTE]

    def span(self, group: Group) -> str:
        """When it was seen first and last; once if that is the same minute."""
        first, last = self.short(group.first_seen), self.short(group.last_seen)
        if first == last:
            return last
        same_day = moment(group.first_seen)[:_TO_DAY] == moment(group.last_seen)[:_TO_DAY]
        return f"{first} to {last.rpartition(' ')[2] if same_day else last}"


# -- all groups


def sorted_out(triage: Triage) -> list[Group]:
    """The groups that are one crash each."""
    return [group for group in triage.groups if not group.unsorted]


def headline(triage: Triage) -> str:
    """How many crashes of how many kinds."""
    groups = sorted_out(triage)
    rest = sum(group.count for group in triage.groups if group.unsorted)
    if not triage.groups:
        return "No crash was found"
    total = sum(group.count for group in groups)
    text = f"{crashes(total)} in {words.count(len(groups), 'group')}"
    return f"{text}, {rest:,} more without a stack" if rest else text


def news(triage: Triage) -> tuple[str, str]:
    """What is new, and what else a comparison with the baseline says."""
    if triage.baseline is None:
        return "", ""
    new = sum(group.status == "new" for group in triage.groups)
    known = sum(group.status == "known" for group in triage.groups)
    gone = f", {len(triage.gone):,} gone" if triage.gone else ""
    return f"{new:,} new", f"{known:,} known{gone} since {triage.baseline}"


def scope(triage: Triage) -> list[str]:
    """Between when, how many programs and builds."""
    times = Times(triage)
    programs = {group.program for group in triage.groups if group.program}
    known = {build.build_id for group in triage.groups for build in group.builds if build.build_id}
    first, last = times.first[:_TO_MINUTE], times.last[:_TO_MINUTE]
    return [
        text
        for text in (
            f"{first} to {last} UTC" if first != last else f"{last} UTC" if last else "",
            words.count(len(programs), "program") if len(programs) > 1 else "",
            words.count(len(known), "build") if len(known) > 1 else "",
        )
        if text
    ]


def similar(triage: Triage) -> list[str]:
    """Groups that may be one defect, each with those after it: `#1 is like #3 (90 %)`."""
    numbers = {group.hash: i for i, group in enumerate(triage.groups, 1)}
    texts = []
    for number, group in enumerate(triage.groups, 1):
        others = [(numbers.get(other.hash, 0), other.distance) for other in group.similar]
        like = [
            f"#{other} ({100 * (1 - apart):.0f} %)" for other, apart in others if other > number
        ]
        if like:
            texts.append(f"#{number} is like {', '.join(like)}")
    return _some(texts, MOST_SIMILAR, "group")


def gone(triage: Triage) -> list[str]:
    """What did not come again."""
    texts = [
        f"{old.title or old.signature or old.hash} ({crashes(old.count)}"
        + (f", last seen {moment(old.last_seen)[:_TO_MINUTE]})" if moment(old.last_seen) else ")")
        for old in triage.gone
    ]
    return _some(texts, MOST_GONE, "group")


def failures(triage: Triage) -> list[str]:
    """Files that are of no use, those with the same problem together."""
    alike: dict[str, list[Failure]] = {}
    for failure in triage.failures:
        alike.setdefault(_without_path(failure), []).append(failure)
    texts = [
        f"{words.count(len(found), 'file')}: {message} ({_paths(found)})"
        for message, found in sorted(alike.items(), key=lambda item: -len(item[1]))
    ]
    return _some(texts, MOST_FAILURES, "reason")


def made(triage: Triage) -> list[str]:
    """How the triage was made, and what it took."""
    run = triage.run
    known = run.cores - run.analysed - len(triage.failures)
    version = f" {triage.tool.version}" if triage.tool.version else ""
    return [
        text
        for text in (
            f"{triage.tool.name}{version}",
            f"{words.count(run.analysed, 'core')} analysed" if run.cores else "",
            f"{known:,} known from earlier" if known > 0 else "",
            f"{run.debugged:,} with gdb" if run.debugged else "",
            f"{run.seconds:.1f} s, {run.cpu_seconds:.1f} s of CPU" if run.seconds else "",
            triage.created,
        )
        if text
    ]


def to_look_at(groups: Sequence[Group]) -> list[tuple[int, Group]]:
    """Which groups to look at first, with their numbers: new ones, then the most frequent ones."""
    listed = [(number, g) for number, g in enumerate(groups, 1) if next_step(g) and not g.unsorted]
    listed.sort(key=lambda item: item[1].status != "new")
    return listed[:MOST_NEXT]


def without_reports(triage: Triage) -> Triage:
    """What a table needs: reports are most of a triage."""
    bare = [msgspec.structs.replace(group, report=None, cores=()) for group in triage.groups]
    return msgspec.structs.replace(triage, groups=tuple(bare))


def _without_path(failure: Failure) -> str:
    """What is wrong, in words that are the same for all files with that problem."""
    message, path = failure.message, failure.path
    return message.removeprefix(f"{path}: ").replace(path, "it") if path else message


def _paths(found: Sequence[Failure]) -> str:
    named = ", ".join(names.path(failure.path, 40) for failure in found[:MOST_PATHS])
    more = len(found) - MOST_PATHS
    return f"{named} and {more:,} more" if more > 0 else named


def _some(texts: Iterable[str], most: int, noun: str) -> list[str]:
    listed = list(texts)
    if len(listed) <= most:
        return listed
    return [*listed[:most], f"{words.count(len(listed) - most, f'more {noun}')}"]
