"""Which files of a build context count, by its .dockerignore.

The builders read that file themselves, but not out of a context that comes through a pipe.
"""

import re

_ALWAYS = frozenset((".dockerignore", "Dockerfile"))
"""Sent in any case: the builder itself needs them."""


class Ignored:
    """The rules of a .dockerignore; the last one that matches a path, or a folder above, holds.

    Wildcards are those of docs.docker.com, "Build context": `*` and `?` within one name, `**` over
    any number of folders. Sets like `[a-z]` are not among what evdiag's own file uses: they match
    only themselves.
    """

    def __init__(self, text: str = "") -> None:
        self._rules: list[tuple[re.Pattern[str], bool]] = []
        self._wanted: list[str] = []
        for line in text.splitlines():
            pattern = line.strip()
            if not pattern or pattern.startswith("#"):
                continue
            wanted = pattern.startswith("!")
            pattern = pattern.removeprefix("!").strip().strip("/")
            self._rules.append((_expression(pattern), wanted))
            if wanted:
                self._wanted.append(pattern)

    def leaves_out(self, path: str) -> bool:
        """Whether a path, given from the context's folder on, is not sent."""
        if path in _ALWAYS:
            return False
        parts = path.split("/")
        prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        ignored = False
        for expression, wanted in self._rules:
            if ignored == wanted and any(expression.fullmatch(prefix) for prefix in prefixes):
                ignored = not wanted
        return ignored

    def may_want_below(self, folder: str) -> bool:
        """Whether something in a folder that is left out could be wanted after all."""
        return any(pattern.startswith((f"{folder}/", "*")) for pattern in self._wanted)


def _expression(pattern: str) -> re.Pattern[str]:
    """`**/` is any folders or none; every other wildcard stays within one name."""
    text = re.sub(r"\*{3,}", "**", pattern)
    text = re.sub(r"(?:\*\*/)+", "**/", text)  # the same, and quick to match
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", text)
    meanings = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meanings.get(part, re.escape(part)) for part in parts), re.DOTALL)
