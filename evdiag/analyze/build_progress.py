"""How far a build is: what is worth a line, what is shown live, what the failing step said."""

from collections import deque
from collections.abc import Iterable

from evdiag.parse.build_output import (
    Began,
    Cached,
    Ended,
    Event,
    Failed,
    Made,
    Noted,
    Said,
    StageOver,
    Step,
)

LONG_STEP = 10.0
"""Seconds from which on a step gets a line of its own."""
TAIL = 30
"""Lines of the failing step that are repeated."""
_TITLE = 36
"""Characters of a step's name on the live line, which has 76."""


class _Running:
    def __init__(self, step: Step, now: float) -> None:
        self.step, self.begun = step, now
        self.cached = False
        self.lines: deque[str] = deque(maxlen=TAIL)


class _Stage:
    def __init__(self, now: float) -> None:
        self.begun = now
        self.steps = self.cached = 0


class BuildProgress:
    """Takes the builder's events in order, each with the time at which it came."""

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}
        self._stages: dict[str, _Stage] = {}
        self._current: _Running | None = None
        self._note = ""
        self.steps = 0
        self.cached = 0

    def take(self, event: Event, now: float) -> list[str]:
        """What is worth a line now: a stage that is over, a step that took long."""
        match event:
            case Began(step):
                self._begin(step, now)
            case Said(key, line):
                if running := self._running.get(key):
                    running.lines.append(line)
                    self._current = running
            case Cached(key):
                if running := self._running.get(key):
                    running.cached = True
            case Ended(key):
                return self._end(key, now)
            case StageOver(name):
                return self._close(name, now)
            case Noted(text):
                self._note = text
            case _:
                pass
        return []

    def finish(self, now: float) -> list[str]:
        """The same for what is still open when the build has succeeded."""
        lines = [line for key in list(self._running) for line in self._end(key, now)]
        return [*lines, *(line for name in list(self._stages) for line in self._close(name, now))]

    def live(self, now: float) -> str:
        """What is being done, for one line of a terminal."""
        if self._current is None:
            return self._note or "waiting for the builder"
        at = self._current
        title = _shortened(_title(at.step), _TITLE)
        tail = at.lines[-1].strip() if at.lines else self._note
        return f"{title} ({duration(now - at.begun)}) {tail}".rstrip()

    def step(self, key: str | None) -> Step | None:
        """A step that is not over."""
        running = self._running.get(key or "")
        return running.step if running else None

    def tail(self, key: str | None) -> list[str]:
        """The last lines of a step that is not over."""
        running = self._running.get(key or "")
        return list(running.lines) if running else []

    def _begin(self, step: Step, now: float) -> None:
        self._note = ""
        known = self._running.get(step.key)
        if known is None:
            known = self._running[step.key] = _Running(step, now)
            self.steps += 1
            if step.stage:
                self._stages.setdefault(step.stage, _Stage(now)).steps += 1
        self._current = known

    def _end(self, key: str, now: float) -> list[str]:
        running = self._running.pop(key, None)
        if running is None:
            return []
        if self._current is running:
            self._current = next(reversed(self._running.values()), None)
        step, stage = running.step, self._stages.get(running.step.stage)
        if running.cached:
            self.cached += 1
            if stage:
                stage.cached += 1
        lines = []
        if now - running.begun >= LONG_STEP:
            lines.append(f"{_shortened(_title(step), 76)}  ({duration(now - running.begun)})")
        return lines

    def _close(self, name: str, now: float) -> list[str]:
        stage = self._stages.pop(name, None)
        if stage is None:
            return []
        cached = f", {stage.cached} from the cache" if stage.cached else ""
        steps = "1 step" if stage.steps == 1 else f"{stage.steps} steps"
        took = f"  ({duration(now - stage.begun)})" if now - stage.begun >= 1 else ""
        return [f"{name}: {steps}{cached}{took}"]


def duration(seconds: float) -> str:
    """A time span in words: `9 s`, `3 min 20 s`, `1 h 2 min`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def failed_text(failed: Failed, step: Step | None) -> str:
    """What failed, in one sentence."""
    if step is None:
        return f"the image could not be built: {_shortened(failed.message, 400)}"
    where = f" (stage {step.stage}, step {step.number} of {step.total})" if step.stage else ""
    text = _shortened(step.text, 200)
    if failed.code is not None:
        return f"`{text}` failed with exit code {failed.code}{where}"
    return f"`{text}` failed{where}: {_shortened(failed.message, 400)}"


def log_line(event: Event) -> str:
    """An event as a line of the log; empty for what is not worth one."""
    match event:
        case Began(step):
            return f"[{step.key}] {_title(step)}"
        case Said(key, line):
            return f"[{key}] {line}"
        case Cached(key):
            return f"[{key}] from the cache"
        case Failed():
            return f"failed: {event.message}"
        case Made(image):
            return f"made {image}"
        case _:
            return ""


def indented(lines: Iterable[str]) -> list[str]:
    """Lines of a program, so that nobody takes them for evdiag's own."""
    return [f"  | {line}" for line in lines]


def _title(step: Step) -> str:
    stage = f"{step.stage}: " if step.stage else ""
    return f"{step.number}/{step.total} {stage}{' '.join(step.text.split())}"


def _shortened(text: str, length: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else f"{flat[: length - 1]}…"
