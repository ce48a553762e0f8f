"""`evdiag.yaml`: options of the commands, written down once for a folder.

    name: charger-1          every command that has --name
    run:                     `evdiag run` alone
      ocpp-version: 2.0.1
      env: {EVSE_MAX_POWER: 50000}

What may stand there follows from the commands' own options. All values are read as text and
converted by the option, as if they stood on the command line: `1.10` stays `1.10`, and `yes` `yes`.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from evdiag.errors import UsageError

if TYPE_CHECKING:
    import typer.core
    import yaml

NAME = "evdiag.yaml"
VARIABLE = "EVDIAG_CONFIG"
LARGEST = 65_536
"""Bytes of the file. Real ones have a few hundred; what a parser does with them takes time."""
ON_REQUEST = {
    "set-core-pattern": "it changes the whole machine, so it is said each time",
    "force": "it throws away what cannot be got back",
}
"""Options that stand on the command line or nowhere."""
NAMED_FILE = {
    "gdb": "it names a program that is run",
    "output": "it names a file that is overwritten",
}
"""Options that a file does not give just because it lies in the folder: that may be a crash from
elsewhere with such a file in it. One that the user named by EVDIAG_CONFIG does."""

Options = dict[str, "typer.core.TyperOption"]
"""Of one command, by key."""


class Defaults(msgspec.Struct, frozen=True):
    """What the file says for one command."""

    path: str
    values: dict[str, Any]
    """For click's default_map: by the name of the parameter, strings or lists of strings."""
    keys: tuple[str, ...]
    """As the user wrote them."""


class Entry(msgspec.Struct, frozen=True):
    """One key of the file with its value."""

    key: str
    value: "yaml.Node"
    line: int


# -- what may stand there


def options(command: Any) -> Options:  # noqa: ANN401 - a command of Typer's own click
    """The options of a command that a file may give, by their long names."""
    return {
        name.removeprefix("--"): parameter
        for parameter in command.params
        if parameter.param_type_name == "option" and not parameter.is_eager
        for name in parameter.opts
        if name.startswith("--") and name.removeprefix("--") not in ON_REQUEST
    }


def known(group: Any) -> dict[str, Options]:  # noqa: ANN401
    """The options of every command, by the command's name."""
    return {name: options(command) for name, command in group.commands.items()}


# -- reading


def find(environment: Mapping[str, str]) -> tuple[str, bytes] | None:
    """The file that counts, and its content. Raises UsageError.

    That in the current directory counts only if nobody else could have put it there.
    """
    named = environment.get(VARIABLE, "")
    path = named or NAME
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        if not named:
            return None
        raise UsageError(
            f"{VARIABLE} names a file that does not exist: {path}",
            advice=f"Unset {VARIABLE}, or correct it.",
        ) from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no name of a file"
        raise UsageError(f"{path} cannot be read: {why}", advice=_elsewhere(path)) from None
    found = os.fstat(number)
    if not stat.S_ISREG(found.st_mode) and path != os.devnull:
        os.close(number)
        raise UsageError(f"{path} is not a regular file", advice=_elsewhere(path))
    with os.fdopen(number, "rb") as file:
        foreign = found.st_uid not in _trusted(environment)
        if not named and (foreign or found.st_mode & stat.S_IWOTH):
            whose = "belongs to somebody else" if foreign else "can be written by everybody"
            raise UsageError(
                f"{path} in this folder {whose}, so it is not used",
                advice=f"If you trust it: {VARIABLE}={path}. Without it: {VARIABLE}=/dev/null.",
            )
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise UsageError(
            f"{path} is larger than {LARGEST >> 10} kB, which is too much",
            advice="It holds options of evdiag only: see docs/reference/evdiag-yaml.md.",
        )
    return path, content


def _trusted(environment: Mapping[str, str]) -> set[int]:
    """Whose files count: the user's, root's, and of who became root by sudo."""
    own = os.geteuid()
    before = environment.get("SUDO_UID", "")
    return {0, own, int(before) if own == 0 and before.isdecimal() else own}


def _elsewhere(path: str) -> str:
    return f"Correct {path}, or go without it: {VARIABLE}=/dev/null."


def _compose(path: str, content: bytes) -> "yaml.Node | None":
    import yaml  # noqa: PLC0415 - 15 ms, and most folders have no such file

    advice = "Lines look like `name: everest`; see docs/reference/evdiag-yaml.md."
    try:
        # Only nodes: nothing is constructed, whatever tags the file has.
        node: yaml.Node | None = yaml.compose(content.decode("utf-8-sig"), Loader=yaml.BaseLoader)
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text", advice=advice) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        why = error.problem or error.context
        raise UsageError(f"{path}{line} is not YAML: {why}", advice=advice) from None
    except (yaml.YAMLError, ValueError) as error:
        why = " ".join(str(error).split())
        raise UsageError(f"{path} is not YAML: {why}", advice=advice) from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deeply", advice=advice) from None
    return node


def _entries(path: str, node: "yaml.Node", what: str) -> Iterator[Entry]:
    """The keys of a map, each once. Raises UsageError."""
    import yaml  # noqa: PLC0415

    if not isinstance(node, yaml.MappingNode):
        raise UsageError(
            f"{_place(path, node)}: {what} is no map of keys and values",
            advice="Lines look like `name: everest`; see docs/reference/evdiag-yaml.md.",
        )
    seen: dict[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise UsageError(f"{_place(path, key)}: a key is a word, not a list or a map")
        line = key.start_mark.line + 1
        if key.value in seen:
            raise UsageError(
                f"{_place(path, key)}: {key.value!r} is there twice, in line {seen[key.value]} too",
                advice="Keep one of them.",
            )
        seen[key.value] = line
        yield Entry(key.value, value, line)


def _place(path: str, node: "yaml.Node") -> str:
    return f"{path}, line {node.start_mark.line + 1}"


def _unset(node: "yaml.Node") -> bool:
    """`name:` and `name: null`: a key without a value."""
    plain = getattr(node, "style", "") is None and isinstance(node.value, str)
    return plain and node.value in ("", "~", "null", "Null", "NULL")


# -- for one command


def defaults(group: Any, command: str, environment: Mapping[str, str]) -> Defaults | None:  # noqa: ANN401
    """What the file says for a command; None without a file. Raises UsageError.

    Keys are checked for all commands, values for this one.
    """
    found = find(environment)
    if found is None:
        return None
    path, content = found
    root = _compose(path, content)
    if root is None or _unset(root):
        return Defaults(path, {}, ())
    allowed = known(group)
    common, own = _sorted_out(path, root, allowed, command)
    reader = _Reader(path, group.commands[command], command, named=bool(environment.get(VARIABLE)))
    wanted = {entry.key: entry for entry in (*common, *own)}
    values, keys = {}, []
    for entry in wanted.values():
        option = allowed[command].get(entry.key)
        if option is not None and option.name is not None and not _unset(entry.value):
            values[option.name] = reader.value(entry, option)
            keys.append(entry.key)
    return Defaults(path, values, tuple(keys))


def _sorted_out(
    path: str, root: "yaml.Node", allowed: Mapping[str, Options], command: str
) -> tuple[list[Entry], list[Entry]]:
    """Entries for all commands, and those for this one. Raises UsageError for unknown keys."""
    import yaml  # noqa: PLC0415

    everywhere = {key for keys in allowed.values() for key in keys}
    common: list[Entry] = []
    own: list[Entry] = []
    for entry in _entries(path, root, "the file"):
        # `gdb` is an option and a command: a map is the section of the command
        is_map = isinstance(entry.value, yaml.MappingNode)
        if entry.key in allowed and (is_map or entry.key not in everywhere):
            if not _unset(entry.value):
                for inner in _entries(path, entry.value, f"`{entry.key}`"):
                    if inner.key not in allowed[entry.key]:
                        raise _unknown(path, inner, allowed[entry.key], f"`evdiag {entry.key}`")
                    if entry.key == command:
                        own.append(inner)
        elif entry.key in everywhere:
            common.append(entry)
        else:
            raise _unknown(path, entry, everywhere | set(allowed), "evdiag")
    return common, own


def _unknown(path: str, entry: Entry, there: Any, whose: str) -> UsageError:  # noqa: ANN401
    import difflib  # noqa: PLC0415 - for mistakes only

    place = f"{path}, line {entry.line}"
    key = entry.key.removeprefix("--")
    if key in ON_REQUEST:
        return UsageError(
            f"{place}: `{key}` cannot stand in a file: {ON_REQUEST[key]}",
            advice=f"Remove the line, and use --{key} where you want it.",
        )
    near = difflib.get_close_matches(key.replace("_", "-"), sorted(there), n=1)
    if near:
        advice = f"Did you mean `{near[0]}`?"
    elif there and whose != "evdiag":
        advice = f"There are: {', '.join(sorted(there))}."
    else:
        advice = "docs/reference/evdiag-yaml.md lists what there is."
    return UsageError(f"{place}: {whose} has no option `{entry.key}`", advice=advice)


class _Reader:
    """Turns nodes into what the options of one command take."""

    def __init__(self, path: str, command: Any, name: str, *, named: bool) -> None:  # noqa: ANN401
        import typer  # noqa: PLC0415

        self._path, self._named = path, named
        self._context = typer.Context(command, info_name=name)

    def value(self, entry: Entry, option: "typer.core.TyperOption") -> str | list[str]:
        """The value as text, checked by the option itself. Raises UsageError."""
        import typer  # noqa: PLC0415

        place = f"{self._path}, line {entry.line}: `{entry.key}`"
        if entry.key in NAMED_FILE and not self._named:
            raise UsageError(
                f"{place} does not count in a file that just lies here: {NAMED_FILE[entry.key]}",
                advice=f"If you trust it: {VARIABLE}={self._path}.",
            )
        found = self._several(entry, place) if option.multiple else self._single(entry, place)
        try:
            option.type_cast_value(self._context, found)
        except typer.BadParameter as error:
            raise UsageError(f"{place}: {error.message}", advice=_help(self._context)) from None
        return found

    def _single(self, entry: Entry, place: str) -> str:
        import yaml  # noqa: PLC0415

        if isinstance(entry.value, yaml.ScalarNode):
            return str(entry.value.value)
        kind = "map" if isinstance(entry.value, yaml.MappingNode) else "list"
        raise UsageError(f"{place} takes one value, not a {kind}", advice=_help(self._context))

    def _several(self, entry: Entry, place: str) -> list[str]:
        """A list, one value alone, or a map, which stands for `KEY=VALUE`."""
        import yaml  # noqa: PLC0415

        node = entry.value
        inner: list[tuple[str, yaml.Node]]
        if isinstance(node, yaml.MappingNode):
            inner = [(e.key + "=", e.value) for e in _entries(self._path, node, f"`{entry.key}`")]
        elif isinstance(node, yaml.SequenceNode):
            inner = [("", item) for item in node.value]
        else:
            inner = [("", node)]
        for key, item in inner:
            if not isinstance(item, yaml.ScalarNode):
                what = f"{place}: {key[:-1]}" if key else place
                raise UsageError(
                    f"{what} is a list or a map, where a value is due", advice=_help(self._context)
                )
        return [key + item.value for key, item in inner]


def _help(context: Any) -> str:  # noqa: ANN401
    return f"`evdiag {context.info_name} --help` says what it takes."


# -- maps that the command line adds to


def merge(group: Any, command: str, found: Defaults) -> None:  # noqa: ANN401
    """Let `-e K=V` add to the file's `env:`, and go before the same key of it.

    Without this, one option of the command line would replace the whole map.
    """
    for option in group.commands[command].params:
        below = found.values.get(option.name)
        if isinstance(below, list) and below and all("=" in text for text in below):
            option.callback = _merging(below, option.callback)


def _merging(below: list[str], before: Any) -> Any:  # noqa: ANN401
    def callback(context: Any, option: Any, value: Any) -> Any:  # noqa: ANN401
        if context.get_parameter_source(option.name).name == "COMMANDLINE":
            given = {text.partition("=")[0] for text in value}
            value = (*(text for text in below if text.partition("=")[0] not in given), *value)
        return before(context, option, value) if before is not None else value

    return callback
