"""What an image builder says, as events: the classic builder's messages, buildx's plain lines.

Most of it is the output of programs that the build runs: it can look like the builder's own words.
Then progress is shown wrongly for a while; what came out is never decided by such text.
"""

import re
from collections.abc import Mapping

import msgspec

LONGEST_LINE = 20_000
"""Characters of one line of output that are kept."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One instruction of the Dockerfile."""

    key: str
    """Tells it apart from steps that run at the same time."""
    stage: str
    """Name of its stage, with the platform if there are several."""
    number: int
    total: int
    text: str


class Began(msgspec.Struct, frozen=True):
    """A step starts, or goes on after another one was heard."""

    step: Step


class Cached(msgspec.Struct, frozen=True):
    """Nothing had to be done for a step."""

    key: str


class Said(msgspec.Struct, frozen=True):
    """A step prints a line; without colours, otherwise as it came."""

    key: str
    line: str


class Ended(msgspec.Struct, frozen=True):
    """A step is over."""

    key: str


class StageOver(msgspec.Struct, frozen=True):
    """The last step of a stage is over."""

    stage: str


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The build is over, without an image."""

    message: str
    key: str | None = None
    """The step, if it was one."""
    code: int | None = None
    """Exit code of the step's program."""


class Made(msgspec.Struct, frozen=True):
    """The builder made the image."""

    image: str


class Noted(msgspec.Struct, frozen=True):
    """The builder is at something that is no step: it fetches a base image."""

    text: str


Event = Began | Cached | Said | Ended | StageOver | Failed | Made | Noted

_STEP = re.compile(r"Step (\d{1,4})/(\d{1,4}) : (.+)", re.DOTALL)
_FROM = re.compile(r"FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_OWN_WORDS = re.compile(
    r" ---> (?:[0-9a-f]{12}|Using cache|Running in [0-9a-f]{12}"
    r"|Removed intermediate container [0-9a-f]{12})"  # since Docker 25
    r"|Removing intermediate container [0-9a-f]{12}"
    r"|Successfully (?:built|tagged) \S+"
)
_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_CODE = re.compile(r"(?:non-zero code|exit code): (\d{1,3})")


class ClassicReader:
    """Reads the messages of `POST /build`; one step runs at a time, in the order of the file."""

    def __init__(self) -> None:
        self._number = self._total = 0
        self._stage = ""
        self._stages = 0
        self._rest = ""
        """Of a line whose end has not come."""

    def feed(self, message: object) -> list[Event]:
        """The events of one message."""
        if not isinstance(message, Mapping):
            return []
        if "error" in message or "errorDetail" in message:
            return [*self._end_of_line(), self._failure(message)]
        aux = message.get("aux")
        if isinstance(aux, Mapping) and isinstance(aux.get("ID"), str):
            # each stage is an image; only the last one is the product
            return [Made(aux["ID"])] if self._number == self._total else []
        if isinstance(message.get("status"), str):
            parts = (message.get(name) for name in ("id", "status", "progress"))
            return [Noted(" ".join(part for part in parts if isinstance(part, str)))]
        text = message.get("stream")
        return self._stream(text) if isinstance(text, str) else []

    def _failure(self, message: Mapping[str, object]) -> Failed:
        detail = message.get("errorDetail")
        found = detail if isinstance(detail, Mapping) else {}
        text = found.get("message") or message.get("error")
        code = found.get("code")
        return Failed(
            message=str(text or "the builder does not say why"),
            key=str(self._number) if self._number else None,
            code=code if type(code) is int else None,
        )

    def _stream(self, text: str) -> list[Event]:
        match = _STEP.fullmatch(text)
        # a program may print such a line too; the builder's own come in order
        if match and self._number <= int(match[1]) <= self._number + 1:
            return [*self._end_of_line(), *self._begin(match)]
        events: list[Event] = []
        *lines, rest = re.split(r"\r\n|\r|\n", self._rest + text)
        for line in lines:
            events += self._line(line)
        self._rest = rest[-LONGEST_LINE:]
        return events

    def _begin(self, match: re.Match[str]) -> list[Event]:
        events: list[Event] = [Ended(str(self._number))] if self._number else []
        self._number, self._total = int(match[1]), int(match[2])
        text = " ".join(match[3].split())
        if origin := _FROM.fullmatch(text):
            if self._stages:
                events.append(StageOver(self._stage))
            self._stage = origin[2] or f"stage {self._stages}"
            self._stages += 1
        step = Step(
            key=match[1], stage=self._stage, number=self._number, total=self._total, text=text
        )
        return [*events, Began(step)]

    def _line(self, raw: str) -> list[Event]:
        line = _plain(raw)[:LONGEST_LINE]
        if line == " ---> Using cache":
            return [Cached(str(self._number))]
        if not line.strip() or _OWN_WORDS.fullmatch(line):
            return []
        return [Said(str(self._number), line)]

    def _end_of_line(self) -> list[Event]:
        rest, self._rest = self._rest, ""
        return self._line(rest) if rest else []


def _plain(text: str) -> str:
    """The builder itself colours what goes to stderr."""
    return _COLOUR.sub("", text)


_NUMBERED = re.compile(r"#(\d{1,6}) (.*)")
_VERTEX = re.compile(r"\[(?:(\S+/\S+) )?(?:(\S+) +)?(\d{1,4})/(\d{1,4})\] (.+)")
_TIMED = re.compile(r"\d+\.\d+ (.*)")
_DONE = re.compile(r"(.*?)(?:#(\d{1,6}) )?DONE \d+(?:\.\d+)?s")
_DIGEST = re.compile(
    r"(?:writing image|exporting (?:manifest list|manifest|config)) (sha256:\w{64})"
)
_REASON = re.compile(r"ERROR: (?:failed to (?:solve|build): )*(.+)")


class BuildxReader:
    """Reads `docker buildx build --progress=plain`, where steps run at the same time."""

    def __init__(self) -> None:
        self._steps: dict[str, Step] = {}
        self._others: dict[str, str] = {}
        """What is no step: loading, exporting."""
        self._failed: str | None = None
        self._last = ""
        self.reason = ""
        """The last words, if the build failed."""

    def feed(self, line: str) -> list[Event]:
        """The events of one line."""
        text = _plain(line.rstrip("\r\n"))[:LONGEST_LINE]
        match = _NUMBERED.fullmatch(text)
        if match is None:
            if found := _REASON.fullmatch(text):
                self.reason = found[1]
            elif text.strip():
                self._last = text
            return []
        key, rest = match[1], match[2]
        if key in self._steps:
            return self._of_step(key, rest)
        if vertex := _VERTEX.fullmatch(rest):
            return self._begin(key, vertex)
        if found := _DIGEST.match(rest):
            return [Made(found[1])]
        if rest.startswith("ERROR: "):
            self.reason = rest.removeprefix("ERROR: ")
            return []
        title = self._others.setdefault(key, rest)
        return [Noted(title if rest == title else f"{title}: {rest}")]

    def failure(self) -> Failed:
        """Why the build failed, once its program has ended with an error."""
        message = self.reason or self._last or "buildx does not say why"
        code = _CODE.search(message)
        return Failed(message=message, key=self._failed, code=int(code[1]) if code else None)

    def _begin(self, key: str, match: re.Match[str]) -> list[Event]:
        platform, stage, number, total, text = match.groups()
        name = " ".join(part for part in (platform, stage) if part)
        step = Step(key=key, stage=name, number=int(number), total=int(total), text=text)
        self._steps[key] = step
        return [Began(step)]

    def _of_step(self, key: str, rest: str) -> list[Event]:
        if rest == "CACHED":
            return [Cached(key), *self._over(key)]
        if rest.startswith("ERROR: "):
            self._failed, self.reason = key, rest.removeprefix("ERROR: ")
            return []
        said = _TIMED.fullmatch(rest)
        # a last line without its end has the builder's next words behind it
        over = _DONE.fullmatch(rest)
        if over and (over[2] == key if said else not over[1]):
            tail = _TIMED.fullmatch(over[1])
            return [*([Said(key, tail[1])] if tail else []), *self._over(key)]
        if said:
            return [Said(key, said[1])] if said[1].strip() else []
        if rest.startswith("["):
            return [Began(self._steps[key])]
        return []

    def _over(self, key: str) -> list[Event]:
        step = self._steps[key]
        last = [StageOver(step.stage)] if step.number == step.total else []
        return [Ended(key), *last]
