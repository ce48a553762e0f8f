"""Options that several commands have: where the files of the crashed system are, which gdb."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evdiag.errors import UsageError

if TYPE_CHECKING:
    from evdiag.engine import Options

ExeOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The program that crashed, if it lies elsewhere now."),
]
SysrootOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="A copy of the files of the system that crashed."),
]
SourceMapOption = Annotated[
    list[str] | None,
    typer.Option(metavar="FROM=TO", help="Where source files of FROM lie here; repeatable."),
]
GdbOption = Annotated[
    str | None,
    typer.Option(
        metavar="CMD",
        envvar="EVDIAG_GDB",
        show_envvar=False,
        help="The gdb to use; default: gdb on PATH, else that of evdiag[gdb].",
    ),
]

NoRedactOption = Annotated[
    bool, typer.Option("--no-redact", help="Leave passwords and keys as they are.")
]


def file_options(exe: Path | None, sysroot: Path | None, source_map: list[str] | None) -> "Options":
    """What the engine needs to know of the options. Raises UsageError."""
    from evdiag.engine import Options

    return Options(
        executable=existing(exe, "--exe", folder=False),
        sysroot=existing(sysroot, "--sysroot", folder=True),
        source_maps=tuple(parse_source_map(text) for text in source_map or ()),
    )


def parse_source_map(text: str) -> tuple[str, str]:
    """Split `FROM=TO`. Raises UsageError."""
    old, separator, new = text.partition("=")
    if not separator or not old:
        raise UsageError(
            f"--source-map {text!r} is not FROM=TO",
            advice="For example: --source-map /workspace=/home/me/everest",
        )
    return old, new


def existing(path: Path | None, option: str, *, folder: bool) -> Path | None:
    """The path of an option, if it names what it should. Raises UsageError."""
    if path is None:
        return None
    if folder and not path.is_dir():
        raise UsageError(f"{option} {path} is not a directory")
    if not folder and not path.is_file():
        raise UsageError(f"{option} {path} is not a file")
    return path
