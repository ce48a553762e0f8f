"""What a triage asks the user's wishes about: values, secrets, how far it is, where reports go."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from evdiag.errors import OutputNotWritten

if TYPE_CHECKING:
    from evdiag.adapters.gdb.debugger import Debugger
    from evdiag.adapters.gdb.places import Place
    from evdiag.console import Redact
    from evdiag.model.report import Report
    from evdiag.model.triage import Crash
    from evdiag.triage.meter import Meter
    from evdiag.triage.origins import Origin

OFTEN, SELDOM = 0.1, 10.0
"""Seconds between two words about how far it is: on a terminal, and in the log of a CI."""
MAX_REMEMBERED = 4096
"""Texts of crashes without their secrets."""
GDB_SECONDS = 120.0
"""Time for gdb with one core."""


class Told:
    """How far it is, on stderr: in one line that changes, or in a line now and then."""

    def __init__(self) -> None:
        from evdiag.console import Progress, say

        self.live, self.say = Progress(), say
        self._is_terminal = sys.stderr.isatty()
        self._next = time.monotonic() + (0.0 if self._is_terminal else SELDOM)

    def __call__(self, meter: "Meter") -> None:
        """Show it, if it is time to."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (OFTEN if self._is_terminal else SELDOM)
        if self._is_terminal:
            self.live(meter.text())
        else:
            self.say(meter.text())


class Asked:
    """What the user decided: over values, over secrets, and where reports go."""

    def __init__(
        self,
        told: Told,
        *,
        gdb: str | None,
        values: bool,
        redact: bool,
        folder: "Folder | None",
    ) -> None:
        self.told, self._gdb, self._values, self._redact = told, gdb, values, redact
        self._folder = folder
        self._redactions: dict[int, Redact] = {}
        self._texts: dict[tuple[int, str, str, str | None, tuple[str, ...]], Report] = {}

    def debugger(self, origin: "Origin") -> "Debugger | None":
        """The gdb for cores of this origin; None if no values are wanted."""
        if not self._values:
            return None
        from evdiag.adapters.gdb.debugger import Debugger
        from evdiag.adapters.host import cache_directory
        from evdiag.commands._places import bundle_places

        places: tuple[Place, ...] = ()
        if self._gdb is None and origin.root is not None and origin.manifest is not None:
            places = bundle_places(origin.root, origin.manifest)
        return Debugger(self._gdb, cache_directory(), GDB_SECONDS, self.told.live, places)

    def crash(self, crash: "Crash", origin: "Origin") -> "Crash":
        """The crash without secrets. Many have the same texts."""
        if not self._redact:
            return crash
        from evdiag.analyze.triage.crash import texts, with_texts

        key = (id(origin.manifest), crash.title, crash.summary, crash.signature, crash.proto)
        told = self._texts.get(key)
        if told is None:
            if len(self._texts) >= MAX_REMEMBERED:
                self._texts.clear()
            told = self._texts[key] = self.report(texts(crash), origin)
        return with_texts(crash, told)

    def report(self, report: "Report", origin: "Origin") -> "Report":
        """The report without secrets."""
        if not self._redact:
            return report
        key = id(origin.manifest)
        redact = self._redactions.get(key)
        if redact is None:
            from evdiag.console import redaction_by

            redaction = origin.manifest.redaction if origin.manifest else None
            redact = self._redactions[key] = redaction_by(redaction)
        return redact(report)

    def keep(self, path: str, report: "Report") -> None:
        """Write the report on one core of many. Raises OutputNotWritten."""
        if self._folder is not None:
            self._folder.keep(path, report)

    def tell(self, meter: "Meter") -> None:
        """Show how far it is."""
        self.told(meter)


class Folder:
    """Where the reports on all cores go: beside the file of the triage, in the same format."""

    def __init__(self, target: Path, name: str) -> None:
        self.path = target.with_name(f"{target.name}.reports")
        self._name = name
        self.count = 0

    def keep(self, path: str, report: "Report") -> None:
        """Write one report. Raises OutputNotWritten."""
        from evdiag.adapters.files import write_text
        from evdiag.console import PIPED_WIDTH
        from evdiag.report import FORMATS, terminal

        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputNotWritten(f"{self.path} cannot be made: {error.strerror}") from None
        self.count += 1
        kept = "".join(c if c.isalnum() or c in "._-" else "_" for c in Path(path).name)[:80]
        listed = FORMATS[self._name]
        if self._name == "terminal":
            text = terminal.render(report, PIPED_WIDTH, False)
        else:
            text = listed.load().render(report)
        write_text(self.path / f"{self.count:05}-{kept}{listed.suffix}", text)
