"""Values for many reports: from gdb, or from what gdb said in an earlier run."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from evdiag.adapters.gdb.conversation import Answer
from evdiag.adapters.gdb.debugger import Debugger
from evdiag.adapters.value_cache import ValueCache
from evdiag.model.report import Report
from evdiag.triage.tasks import Reported
from evdiag.values import add_values_to_many


class _Counting(ValueCache):
    """A cache that knows how often it did not know."""

    misses = 0

    def find(self, key: str) -> Answer | None:
        """As the cache does."""
        found = super().find(key)
        self.misses += found is None
        return found


def with_values(
    reported: Sequence[Reported], contents: Sequence[str], debugger: Debugger, folder: Path | None
) -> Iterator[tuple[Report, bool]]:
    """Each report with values, and whether gdb was asked for them now.

    The answers come in the order of the reports; which of them gdb was asked for is told by their
    number, as gdb is asked about all cores of the same files at once.
    """
    cache = _Counting(folder) if folder is not None else None
    items = [(each.report, each.scene) for each in reported]
    counted = 0
    for report, _ in add_values_to_many(items, debugger, "crash", contents=contents, cache=cache):
        asked = report.provenance.gdb is not None
        if cache is not None:
            asked = asked and counted < cache.misses
        counted += asked
        yield report, asked
