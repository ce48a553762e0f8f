"""What doctor checks: groups in the order of the report, and what they come to.

To add a check, put a rule into the group of its file; to add a group, write a file with a `GROUP`
and put it into `GROUPS`. Tests and documentation follow. Rules that can explain why no core came
(`captures`) are named in this order too: what is more likely comes first.
"""

import msgspec

from evdiag.analyze.checks import (
    core_pattern,
    crash,
    directory,
    engine,
    host,
    image,
    limits,
    processes,
    resources,
)
from evdiag.analyze.checks._words import PRELOAD
from evdiag.model.charger import NAME, Check
from evdiag.model.doctor import CheckGroup, CheckRule, Diagnosis, Examined, Facts

GROUPS: tuple[CheckGroup, ...] = (
    host.GROUP,
    engine.GROUP,
    image.GROUP,
    processes.GROUP,
    core_pattern.GROUP,
    directory.GROUP,
    limits.GROUP,
    resources.GROUP,
    crash.GROUP,
)
CHECKS: tuple[CheckRule, ...] = tuple(rule for group in GROUPS for rule in group.rules)

RUN_ANEW = "evdiag run --replace"
NOT_SEEN = "could not be looked at"
_CAUSES = frozenset(rule.id for rule in CHECKS if rule.captures)
_UNKNOWN = (
    "Look at the log of the engine's kernel (`dmesg`). "
    f"{PRELOAD} makes cores independent of the kernel."
)


def diagnose(facts: Facts) -> Diagnosis:
    """All checks, and the verdict."""
    groups = tuple(
        Examined(
            id=group.id,
            title=group.title,
            checks=tuple(_check(rule, facts) for rule in group.rules),
        )
        for group in GROUPS
    )
    groups = _explained(groups, facts)
    state, verdict = _verdict(facts, groups)
    return Diagnosis(
        groups=groups, state=state, verdict=verdict, subject=_subject(facts), facts=facts
    )


def _check(rule: CheckRule, facts: Facts) -> Check:
    found = rule.look(facts)
    if found is None:
        return Check(id=rule.id, title=rule.title, state="skip", reason=NOT_SEEN)
    fix = _fitting(found.fix, facts)
    return Check(id=rule.id, title=rule.title, state=found.state, reason=found.reason, fix=fix)


def _fitting(fix: str, facts: Facts) -> str:
    """Advice to start the charger anew, with its name; where there is none, to start one."""
    if facts.container is None or facts.throw_away:
        return fix.replace(RUN_ANEW, "evdiag run")
    if facts.container.name == NAME:
        return fix
    return fix.replace(RUN_ANEW, f"{RUN_ANEW} --name {facts.container.name}")


def _explained(groups: tuple[Examined, ...], facts: Facts) -> tuple[Examined, ...]:
    """The checks, and test crashes without a core of their own reason with the likely ones."""
    causes = [check for group in groups for check in group.checks if check.id in _CAUSES]
    likely = [check for state in ("fail", "warn") for check in causes if check.state == state]

    def told(check: Check) -> Check:
        if not check.failed or check.fix:
            return check
        if not likely:
            said = "; no other check says why"
            return msgspec.structs.replace(
                check, reason=check.reason + said, fix=_fitting(_UNKNOWN, facts)
            )
        names = ", then ".join(dict.fromkeys(f"{cause.title}" for cause in likely[:3]))
        reason = f"{check.reason}. Most likely because of: {names}"
        return msgspec.structs.replace(
            check, reason=reason, fix=likely[0].fix or _fitting(_UNKNOWN, facts)
        )

    return tuple(
        msgspec.structs.replace(group, checks=tuple(map(told, group.checks))) for group in groups
    )


def _verdict(facts: Facts, groups: tuple[Examined, ...]) -> tuple[str, str]:
    """(state, sentence)."""
    checks = [check for group in groups for check in group.checks]
    failed = [check for check in checks if check.failed]
    number = "1 check fails" if len(failed) == 1 else f"{len(failed)} checks fail"
    if facts.crashes is not None:
        tested = groups[-1].checks
        lost = [check for check in tested if check.failed]
        if lost:
            which = "" if len(lost) == len(tested) else f" of {lost[0].title}"
            return "fail", f"cores{which} will NOT be captured: {number}"
        if not failed:
            return "ok", "cores will be captured: a test crash proved it"
        return "fail", f"the test crash left its core, but {number}: {_titles(failed)}"
    if failed:
        unseen = facts.inside is None or facts.inside.error
        unknown = "whether cores are captured is not known: " if unseen else ""
        return "fail", f"{unknown}{number}: {_titles(failed)}"
    if facts.inside is None:
        return "skip", "whether cores are captured is not known: there was nothing to look at"
    return "warn", "nothing speaks against cores being captured; no test crash was made"


def _titles(failed: list[Check]) -> str:
    return ", ".join(check.title for check in failed[:4])


def _subject(facts: Facts) -> str:
    if facts.container is None:
        return ""
    if facts.throw_away:
        return f"a container made of {facts.image.name if facts.image else facts.container.image}"
    return f"the charger {facts.container.name}"
