"""Draw docs/report.svg, the picture in the README, from the report of the demo.

python -m docs.picture
"""

import io
import re
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from evdiag.adapters.demo_data import unpack_demo
from evdiag.engine import Engine, Options
from evdiag.report.terminal import render

TARGET = Path(__file__).parent / "report.svg"
WIDTH, ROWS = 96, 38


def draw() -> str:
    """The first screen of the demo's report, as SVG without any foreign reference."""
    with tempfile.TemporaryDirectory() as folder:
        core = unpack_demo("x86-64", Path(folder))
        report = Engine(Options(sysroot=Path(folder) / "root")).report(core)
        text = render(report, width=WIDTH, colour=True).replace(f"{folder}/", "evdiag-demo/")
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    first_screen = "\n".join(text.splitlines()[:ROWS])
    console.print(Text.from_ansi(first_screen), soft_wrap=True)
    svg = console.export_svg(title="evdiag demo", unique_id="evdiag")
    # Rich names a font on a foreign server: a picture must not ask for anything
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    TARGET.write_text(draw())
    sys.stdout.write(f"wrote {TARGET}\n")
