"""A bad gdb: it plays one vice on stdin and stdout, for `--gdb "python fake_gdb.py VICE"`.

    fake_gdb.py VICE [pc=NUMBER] [size=MB] [note=FILE]

It speaks enough of the machine interface to be taken for a gdb until its vice shows. `pc` is
where its only frame is, `note` a file that its pid is written to once the vice begins. It uses
nothing of evdiag: what evdiag gets wrong, this must not get wrong in the same way.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

VALUE = "4711"
"""Of its only variable, `energy`."""
SLEEPER = ["sleep", "1000000"]
Vice = Callable[["Gdb", str], None]


def quoted(text: str) -> str:
    """As gdb writes strings."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def libraries() -> str:
    """Those that it was given, as if it had read them all."""
    found = (path for path in Path("root").rglob("*") if path.is_file())
    names = (str(path.relative_to("root")) for path in found)
    return ",".join(f'{{target-name="/{name}",symbols-loaded="1"}}' for name in names)


class Gdb:
    """A gdb as it should be; vices replace what it does at one command, or all of it."""

    def __init__(self, options: dict[str, str]) -> None:
        self.options = options
        self.pc = int(options.get("pc", "0"), 0)
        self.features = '["frozen-varobjs","python"]'
        self.at: dict[str, Vice] = {}
        """What to do at a command, in place of what is right."""
        self.any: Vice | None = None

    def write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def note(self) -> None:
        """Tell the test that the vice begins, once."""
        if name := self.options.pop("note", None):
            Path(name).write_text(f"{os.getpid()}\n")

    def serve(self) -> None:
        for line in sys.stdin:
            digits = len(line) - len(line.lstrip("0123456789"))
            token, command = line[:digits], line[digits:].strip()
            name = command.split(maxsplit=1)[0]
            act = self.any or self.at.get(name)
            if act is None:
                self.write(f"{token}{self.answer(name, command)}\n(gdb) \n")
            else:
                self.note()
                act(self, token)

    def answer(self, name: str, command: str) -> str:
        if name == "-gdb-version":
            self.write('~"GNU gdb (fake) 13.1\\n"\n')
        if name == "-evdiag-values":
            self.request = json.loads(bytes.fromhex(command.split()[1]))
            return f"^done,json={quoted(json.dumps(self.document()))}"
        return {
            "-list-features": f"^done,features={self.features}",
            "-target-select": "^connected",
            "-file-list-shared-libraries": f"^done,shared-libraries=[{libraries()}]",
            "-thread-info": f'^done,threads=[{{id="1",target-id="LWP {self.lwp}"}}]',
            "-stack-list-frames": f'^done,stack=[frame={{level="0",addr="{self.pc:#x}",func="f"}}]',
            "-stack-list-variables": '^done,variables=[{name="energy",type="int"}]',
            "-data-evaluate-expression": f'^done,value="{VALUE}"',
        }.get(name, "^done")

    @property
    def lwp(self) -> int:
        return int(self.options.get("lwp", "0"))

    def document(self) -> dict[str, Any]:
        frame = {"pc": self.pc, "locals": self.variables()}
        return {"threads": [{"lwp": self.request["lwps"][0], "frames": [frame]}]}

    def variables(self) -> list[list[str | None]]:
        return [["energy", "int", VALUE, None]]


# -- how it can go wrong


def hang(gdb: Gdb, token: str) -> NoReturn:
    gdb.note()
    while True:
        signal.pause()


def stubborn(gdb: Gdb, token: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    hang(gdb, token)


def end(status: int, words: str = "") -> Vice:
    def act(gdb: Gdb, token: str) -> None:
        sys.stderr.write(words)
        sys.exit(status)

    return act


def die_of(number: int) -> Vice:
    def act(gdb: Gdb, token: str) -> None:
        os.kill(os.getpid(), number)

    return act


def flood(text: str) -> Vice:
    def act(gdb: Gdb, token: str) -> None:
        gdb.note()
        while True:
            gdb.write(text * 1000)

    return act


def say(text: str, then: Vice | None = None) -> Vice:
    """Answer something else; `TOKEN` in it becomes the token."""

    def act(gdb: Gdb, token: str) -> None:
        gdb.write(text.replace("TOKEN", token))
        if then is not None:
            then(gdb, token)

    return act


def document(text: str) -> Vice:
    return say(f"TOKEN^done,json={quoted(text)}\n")


def orphan(gdb: Gdb, token: str) -> None:
    """Die, and leave somebody behind who holds the pipes."""
    subprocess.Popen(SLEEPER)
    sys.exit(1)


def complain(gdb: Gdb, token: str) -> None:
    gdb.write(f'{token}^error,msg="No symbol table is loaded.\\nUse the \\"file\\" command."\n')


def at(command: str, vice: Vice) -> Callable[[Gdb], None]:
    return lambda gdb: gdb.at.update({command: vice})


def always(vice: Vice) -> Callable[[Gdb], None]:
    def set_up(gdb: Gdb) -> None:
        gdb.any = vice

    return set_up


def at_once(vice: Vice) -> Callable[[Gdb], None]:
    """Before anything was asked."""
    return lambda gdb: vice(gdb, "")


def wordy(gdb: Gdb) -> None:
    sys.stderr.write("warning: a complaint of BFD\n" * 40_000)


def with_console(gdb: Gdb) -> None:
    """One console record of a megabyte before the answer."""

    def act(gdb: Gdb, token: str) -> None:
        gdb.write('~"' + '\\033[31m\\\\ \\"' * 100_000 + '\\n"\n')
        del gdb.at["-target-select"]
        gdb.write(f"{token}^connected\n")

    gdb.at["-target-select"] = act


def with_grandchild(gdb: Gdb) -> None:
    subprocess.Popen(SLEEPER, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def at_evil_cores(vice: Vice) -> Callable[[Gdb], None]:
    """Only where the core that it is given lies in a folder that says so."""

    def act(gdb: Gdb, token: str) -> None:
        if "evil" in Path("core").readlink().parts:
            gdb.note()
            vice(gdb, token)
        else:
            gdb.write(f"{token}^connected\n")

    return lambda gdb: gdb.at.update({"-target-select": act})


def interrupted(gdb: Gdb, token: str) -> None:
    """Work on a value until it is told to leave it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    gdb.write('~"~\\n"\n')
    signal.sigwait([signal.SIGINT])
    del gdb.at["-evdiag-values"]
    gdb.request = {"lwps": [gdb.lwp]}
    gdb.write(f"{token}^done,json={quoted(json.dumps(gdb.document()))}\n")


def large(gdb: Gdb) -> None:
    count = (int(gdb.options["size"]) << 20) // 1024
    filler = 'quoted " and \\ \n' * 60
    value = filler[: 1024 - 80]
    gdb.variables = lambda: [  # type: ignore[method-assign]
        *([f"v{i}", "std::string", value, None] for i in range(count)),
        ["energy", "int", VALUE, None],
    ]


def with_limits(gdb: Gdb) -> None:
    """Show the limits that it runs under as values."""
    wanted = {"Max core file size": "core", "Max address space": "memory"}

    def variables() -> list[list[str | None]]:
        limits = Path("/proc/self/limits").read_text().splitlines()
        rows = [(line[:26].strip(), line[26:].split()) for line in limits]
        return [[wanted[name], "", " ".join(row[:2]), None] for name, row in rows if name in wanted]

    gdb.variables = variables  # type: ignore[method-assign]


def with_odd_numbers(gdb: Gdb) -> None:
    """A stack that no machine can have."""
    frames = [
        {"pc": 1 << 70, "kind": "normal", "line": -5, "function": "\udc80\x1b[31m"},
        {"pc": -1, "kind": "no such kind", "locals": [["a", None, None, None]]},
    ]
    gdb.document = lambda: {  # type: ignore[method-assign]
        "threads": [{"lwp": gdb.request["lwps"][0], "frames": frames}]
    }


def slowly(gdb: Gdb) -> None:
    """Answer each command after a moment."""

    def act(gdb: Gdb, token: str) -> None:
        time.sleep(0.4)
        gdb.write(f"{token}^done\n")

    gdb.at["-interpreter-exec"] = act


def without_python(gdb: Gdb) -> None:
    gdb.features = '["frozen-varobjs"]'


HALF = 'TOKEN^done,stack=[frame={level="0"},'
GOOD: dict[str, Callable[[Gdb], None]] = {
    "none": lambda gdb: None,
    "stderr": wordy,
    "console": with_console,
    "grandchild": with_grandchild,
    "large": large,
    "limits": with_limits,
    "no-python": without_python,
    "no-command": at("-interpreter-exec", complain),
    "dies-of-evil-cores": at_evil_cores(die_of(signal.SIGSEGV)),
    "hangs-at-evil-cores": at_evil_cores(hang),
    "refuses-evil-cores": at_evil_cores(complain),
    "interrupted": at("-evdiag-values", interrupted),
    "dies-of-extractor": at("-evdiag-values", die_of(signal.SIGSEGV)),
}
"""It answers all the same."""

BAD: dict[str, Callable[[Gdb], None]] = {
    "exit": at_once(end(3, "fake: cannot open shared object file\n")),
    "silent": at_once(end(0)),
    "text": at_once(say("Usage: cat [OPTION]... [FILE]...\n", end(1))),
    "echo": always(say("what do you mean by TOKEN?\n")),
    "hang": at_once(hang),
    "hang-greeted": at("-target-select", hang),
    "hang-at-values": at("-evdiag-values", hang),
    "slow": slowly,
    "flood": at("-target-select", flood('~"warning: something\\n"\n')),
    "flood-beats": at("-evdiag-values", flood('~"~\\n"\n')),
    "endless": at("-target-select", flood("x" * 1024)),
    "stubborn": at("-target-select", stubborn),
    "dies": at("-target-select", end(1, "fake: BFD internal error\n")),
    "killed": at("-target-select", die_of(signal.SIGKILL)),
    "aborted": at("-target-select", die_of(signal.SIGABRT)),
    "orphan": at("-target-select", orphan),
    "half-hangs": at("-list-features", say(HALF, hang)),
    "half-line": at("-list-features", say(HALF + "\n")),
    "half-document": at("-evdiag-values", say('TOKEN^done,json="{\\"threads\\":[\n')),
    "half-exits": at("-target-select", say(HALF, end(0))),
    "token": at("-target-select", say("99999^done\n^done\n99999999999999999999^done\n")),
    "no-document": at("-evdiag-values", say("TOKEN^done\n")),
    "no-json": at("-evdiag-values", document("Traceback (most recent call last):")),
    "wrong-types": at("-evdiag-values", document('{"threads":[{"lwp":"x","frames":7}]}')),
    "deep-json": at("-evdiag-values", document('{"threads":' + "[" * 400 + "]" * 400 + "}")),
    "deeper-json": at("-evdiag-values", document('{"x":' + "[" * 200_000 + "]" * 200_000 + "}")),
    "deep-mi": at("-list-features", say("TOKEN^done,a=" + "[" * 400 + "]" * 400 + "\n")),
    "bad-escape": at("-list-features", say('TOKEN^done,features=["\\q\\400\\"]\n')),
    "bad-escape-in-document": at("-evdiag-values", say('TOKEN^done,json="\\q\\x1 \\777"\n')),
    "errors": always(complain),
    "odd-numbers": with_odd_numbers,
}
"""It gives no values."""


# -- commands for --gdb


def command(vice: str, **options: object) -> str:
    """The command that starts this program."""
    words = (f"{name}={value}" for name, value in options.items())
    return " ".join((sys.executable, str(Path(__file__).resolve()), vice, *words))


def scripts(folder: Path, **bodies: str) -> Path:
    """A folder with shell scripts, for PATH."""
    folder.mkdir()
    for name, body in bodies.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    return folder


def no_gdbs(folder: Path) -> dict[str, str]:
    """Commands that start no gdb at all, and what is said of them."""
    plain = folder / "plain"
    plain.write_text("no program\n")
    damaged = folder / "damaged"
    damaged.write_bytes(b"\x7fELF" + bytes(200))
    damaged.chmod(0o755)
    return {
        "/nonexistent": "--gdb /nonexistent is not a program",
        str(folder): "is not a program",
        str(plain): "is not a program",
        str(damaged): "cannot be started: Exec format error",
        "": "--gdb '' is not a command",
        '"': "is not a command",
        "sh -c 'exit 4'": "ended with status 4",
    }


def main(vice: str, *options: str) -> None:
    gdb = Gdb(dict(option.split("=", 1) for option in options if "=" in option))
    {**GOOD, **BAD}[vice](gdb)
    gdb.serve()


if __name__ == "__main__":
    try:
        main(sys.argv[1], *sys.argv[2:])
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(1)
