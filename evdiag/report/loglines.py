"""Lines of logs for people: on a terminal in columns and colours, in a pipe plain.

On a terminal one column tells who writes: the module for EVerest, else the service. In a pipe each
line stands for itself, with the date, the service and the name of its severity. Whatever comes from
the container is made harmless, and its own colours were taken out before.
"""

from collections.abc import Iterable
from functools import lru_cache

from evdiag.analyze import names
from evdiag.model.loglines import ALERT, EVEREST, MORE, PROCESS, LogLine
from evdiag.report.neutral import clean

LONGEST = 1 << 17
"""Characters of a line; the parser keeps half of that, and escapes are longer than what they
stand for."""
WHO = PROCESS
CLOCK = 12
"""Columns of `00:48:58.593`."""

_RESET = "\x1b[0m"
_DIM, _BOLD, _RED, _ALERT = "\x1b[2m", "\x1b[1m", "\x1b[31m", "\x1b[1;97;41m"
_OF_SERVICE = {
    **{"everest": "\x1b[36m", "mosquitto": "\x1b[32m", "nodered": "\x1b[35m"},
    **{"supervisord": "\x1b[34m", "container": "\x1b[37m"},
}
_OF_SEVERITY = {
    **{"VERB": _DIM, "DEBG": _DIM, "WARN": "\x1b[33m", "ERRO": _RED, "CRIT": "\x1b[1;31m"},
}


class LineWriter:
    """Makes text of lines; it remembers the date that it has told."""

    def __init__(self, *, terminal: bool, colour: bool = False, width: int = 80) -> None:
        self.terminal, self.colour, self.width = terminal, colour, width
        self._date = ""

    def text(self, lines: Iterable[LogLine]) -> str:
        """All of them, each with a line end."""
        out: list[str] = []
        write = self._on_terminal if self.terminal else _plain
        for line in lines:
            write(out, line)
        if not out:
            return ""
        out.append("")
        return "\n".join(out)

    def _on_terminal(self, out: list[str], line: LogLine) -> None:
        if line.form == ALERT:
            self._alert(out, line)
            return
        if line.time and line.time[:10] != self._date:
            self._date = line.time[:10]
            out.append(self._paint(_BOLD, f"-- {safe(self._date)} --"))
        who = (line.module if line.service == EVEREST and line.module else line.service)[:WHO]
        letter = line.severity[:1] or " "
        indent = " " * (CLOCK + WHO + 4)
        texts = _texts(line)
        style = _OF_SEVERITY.get(line.severity, "")
        if line.form != MORE:
            head = f"{line.time[11:23]:{CLOCK}} {letter} {who:{WHO}} "
            if self.colour:
                head = self._head(line, who, letter)
            elif not (head.isascii() and head.isprintable()):
                head = safe(head)
            out.append(head + self._paint(style, texts[0] if texts else ""))
            del texts[:1]
        out.extend(indent + self._paint(style, text) for text in texts)

    def _head(self, line: LogLine, who: str, letter: str) -> str:
        severity = _OF_SEVERITY.get(line.severity, "")
        time = safe(f"{line.time[11:23]:{CLOCK}}")
        service, who = _OF_SERVICE.get(line.service, ""), safe(who)
        return f"{_DIM}{time}{_RESET} {severity}{letter}{_RESET} {service}{who:{WHO}}{_RESET} "

    def _paint(self, style: str, text: str) -> str:
        return f"{style}{text}{_RESET}" if self.colour and style and text else text

    def _alert(self, out: list[str], line: LogLine) -> None:
        """Lines that are seen in a stream of others: a bar, what, where the core is, what next."""
        room = max(20, min(self.width, 100))
        title = f" CRASH {safe(line.text)} "
        if self.colour:
            out.append(f"{_ALERT}{title:{room}}{_RESET}")
        else:
            out.append(f"{'=' * room}\n{title.strip()}")
        out += [f"  {self._paint(_BOLD, safe(text))}" for text in line.more or ()]
        if not self.colour:
            out.append("=" * room)


def _plain(out: list[str], line: LogLine) -> None:
    if line.form == ALERT:
        out.append(f"{line.time[:23]} CRASH {safe(line.text)}")
        out.extend(f"    {safe(text)}" for text in line.more or ())
        return
    texts = _texts(line)
    if line.form != MORE:
        words = [line.time[:23], line.service, line.severity, line.module]
        head = " ".join([word for word in words if word])
        if not head.isascii() or not head.isprintable():
            head = safe(head)
        out.append(f"{head}: {texts[0]}" if texts and texts[0] else f"{head}:")
        del texts[:1]
    out.extend(f"    {text}" for text in texts)


def _texts(line: LogLine) -> list[str]:
    """Its lines, made harmless; empty ones tell nothing and are left out."""
    text = line.text
    if not (text.isascii() and text.isprintable()):
        text = safe(text)
    texts = [text]
    if line.more:
        texts += [safe(part) for part in line.more]
    if len(texts) > 1 or line.form == MORE:
        texts = [part for part in texts if part.strip()]
    if line.where and texts:
        texts[0] += f"  ({short(line.where)})"
    return texts


def safe(text: str) -> str:
    """A text without anything that a terminal would obey."""
    if text.isascii() and text.isprintable():
        return text
    return clean(text.replace("\t", "    "), LONGEST)


@lru_cache(maxsize=512)
def short(where: str) -> str:
    """A C++ function by its name and scope alone."""
    return clean(names.clip(names.qualified(where).removeprefix("module::"), 60))
