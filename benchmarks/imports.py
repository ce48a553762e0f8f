"""Which packages a start of the program spends its time on."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Final

from benchmarks.measure import environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

IMPORT: Final = re.compile(r"^import time:\s*(\d+) \|\s*\d+ \|\s*([\w.]+)$", re.MULTILINE)
SHOWN: Final = 5


def heaviest_imports(command: Sequence[str], cache: Path) -> list[str]:
    """The packages that take the most time, their submodules included, as `-X importtime` says."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environment(cache) | {"PYTHONPROFILEIMPORTTIME": "1"},
        check=False,
    )
    spent: Counter[str] = Counter()
    for microseconds, module in IMPORT.findall(done.stderr):
        spent[module.partition(".")[0]] += int(microseconds)
    return [f"{package} {time / 1000:.1f} ms" for package, time in spent.most_common(SHOWN)]
