"""Secrets with a name in front of them, in lines of logs, command lines and simple files."""

import re
from collections.abc import Iterator

from evdiag.analyze.secrets.names import VALUE_NAMES, can_be_secret, kind_of
from evdiag.analyze.secrets.spans import Found, plain
from evdiag.analyze.secrets.tokens import CONTRACT, ID_TOKEN, PASSWORD

_NAMED = re.compile(
    r"""
    (?<![\w-])([\w-]++)
    (\\*+["']{1,2}|&quot;)?\]?[ \t]{0,8}
    (?:=>|[=:](?![=:]))[ \t]{0,8}
    """,
    re.VERBOSE | re.ASCII,
)
"""A name in front of its value, however often its quotes were escaped."""
_QUOTE = re.compile(r"""\\{0,15}["'](?:(?<=")"(?=[^\s,;:}\])"]))?|&quot;""", re.ASCII)
_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*+)("?)', re.ASCII)
_WORD_END = re.compile(r"""[\s,;&"'\\)\]}<>|`]|$""", re.ASCII)
_OPTION = re.compile(r"(?<![\w-])--?([A-Za-z][\w-]{1,60})[ \t]{1,4}(?![-=:])(?=[^\s])", re.ASCII)
_MOSQUITTO = re.compile(r"\bmosquitto_(?:pub|sub|rr)\b")
_SHORT_PASSWORD = re.compile(r"(?<!\S)(?:-P|--pw)(?:[ \t]{1,4}|(?=\S))(?=\S)", re.ASCII)
_USER_AND_PASSWORD = re.compile(
    r"(?<!\S)(?:-u|--user|--proxy-user)[ \t=]{1,4}[\"']?([^\s:\"']{1,100}):([^\s\"']{1,200})",
    re.ASCII,
)
_SENTENCES = (
    # libocpp: charge_point_impl.cpp, database_handler.cpp
    re.compile(r"\b[Ff]ound (?:valid )?id_?(?:tag|token):? (\S{1,64})", re.ASCII),
    re.compile(r"\bfor id_?[tT](?:oken|ag):? (\S{1,64})", re.ASCII),
    re.compile(r"\bIdTag (\S{1,64}) in auth", re.ASCII),
    # EVerest: AuthHandler.cpp, token validators; newer ones write a hash instead
    re.compile(
        r"\b(?:[Rr]equest|[Rr]esult|[Rr]esponse) for token:? (\S{1,64}?)(?=:?(?:\s|$))", re.ASCII
    ),
    re.compile(r"\b(?:[Rr]eceived|[Nn]ew|[Pp]ublishing|[Vv]alidate) token:? (\S{1,64})", re.ASCII),
)
_EMAID_SENTENCE = re.compile(r"\be(?:MAID|maid) ([A-Z]{2}-?\w{3}-?\w{6,10}(?:-?\w)?)\b", re.ASCII)
_SENTENCE_HINT = re.compile(r"[tT]ag |oken |oken: |(?:MA|ma)ID |emaid ", re.ASCII)
_LINE = re.compile(
    r"""
    ^[ \t]*(?:-[ \t]+)?(?:export[ \t]+)?["']?([\w.-]{2,120})["']?[ \t]{0,20}(?:=|:(?=[ \t]|$))
    [ \t]*(\S[^\n]*)?$
    """,
    re.VERBOSE | re.ASCII | re.MULTILINE,
)
_COMMENT = re.compile(r"[ \t]+#[^\n]*$")
_BLOCK = re.compile(r"[|>][-+0-9]{0,3}(?:[ \t]+#.*)?")


def named(text: str) -> Iterator[Found]:
    """Values behind names, options of command lines, and sentences that EVerest logs."""
    seen = 0
    for match in _NAMED.finditer(text):
        kind = kind_of(match[1]) if match.start() >= seen else None
        if kind is not None and not (match[2] is None and _is_last(text, match)):
            seen, found = value_at(text, match.end(), kind)
            if found is not None:
                yield found
    if "-" in text:
        yield from _options(text)
    if _SENTENCE_HINT.search(text):
        for sentence in _SENTENCES:
            for match in sentence.finditer(text):
                word = match[1].rstrip(".,;:")
                if can_be_secret(word, ID_TOKEN, bare=True) and not word.startswith(("[", "{")):
                    yield Found(match.start(1), match.start(1) + len(word), ID_TOKEN, word)
        for match in _EMAID_SENTENCE.finditer(text):
            yield Found(*match.span(1), CONTRACT, match[1])


def _is_last(text: str, match: re.Match[str]) -> bool:
    """Whether a string ends behind the sign: `"password="`."""
    before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
    return after == before and after in ('"', "'")


def value_at(text: str, at: int, kind: str) -> tuple[int, Found | None]:
    """Where the value ends that begins at a place, in quotes or not, and the secret in it."""
    quote = _QUOTE.match(text, at)
    if quote is None:
        if text[at : at + 1] in ("{", "["):
            return at, None
        stop = _WORD_END.search(text, at)
        end = stop.start() if stop else len(text)
        value = text[at:end]
        return end, Found(at, end, kind, value) if can_be_secret(value, kind, bare=True) else None
    start, mark = quote.end(), quote[0]
    if mark == '"':
        string = _STRING.match(text, at)
        end = string.end(1) if string else start
        value = plain(text, start, end)
    else:
        end = _closing(text, start, mark)
        value = text[start:end]
        # `\\"` is one string in another: two times escaped
        for _ in range(len(mark).bit_length() if mark[0] == "\\" else 0):
            value = plain(value, 0, len(value))
    return end, Found(start, end, kind, value) if can_be_secret(value, kind, bare=False) else None


def _closing(text: str, start: int, mark: str) -> int:
    """Where a string ends: at the same quote, or with its line."""
    line = text.find("\n", start)
    limit = len(text) if line < 0 else line
    end = text.find(mark, start, limit)
    while end > 0 and text[end - 1] == "\\" and mark[0] != "&":
        end = text.find(mark, end + 1, limit)
    return limit if end < 0 else end


def _options(text: str) -> Iterator[Found]:
    for match in _OPTION.finditer(text):
        kind = kind_of(match[1])
        _, found = value_at(text, match.end(), kind) if kind else (0, None)
        if found is not None:
            yield found
    done = 0
    for match in _MOSQUITTO.finditer(text):
        if match.start() < done:
            continue
        line = text.find("\n", match.end())
        done = len(text) if line < 0 else line
        for option in _SHORT_PASSWORD.finditer(text, match.end(), done):
            _, found = value_at(text, option.end(), PASSWORD)
            if found is not None:
                yield found
    for match in _USER_AND_PASSWORD.finditer(text):
        if can_be_secret(match[2], PASSWORD, bare=True):
            yield Found(*match.span(2), PASSWORD, match[2])


def lines(text: str) -> Iterator[Found]:
    """Values of files with one `name = value` or `name: value` a line: they go on to its end."""
    waiting: tuple[str, int] | None = None
    values: list[tuple[int, Found]] = []
    seen = 0
    for number, match in enumerate(_LINE.finditer(text)):
        name, value = match[1], match[2]
        if value is None or match.start(2) < seen:
            continue
        kind = kind_of(name)
        if kind is not None:
            for found in _line_value(text, match.start(2), match.end(2), kind):
                seen = found.end
                yield found
        elif name in ("key", "name", "variable_name", "option"):
            kind = kind_of(value.strip("\"' \t\r"))
            waiting = (kind, number) if kind else None
            values = [one for one in values if kind and number - one[0] == 1]
            for _, found in values:
                yield found._replace(kind=kind or PASSWORD)
            values = []
        elif name in VALUE_NAMES:
            near = waiting is not None and number - waiting[1] <= 3
            kind = waiting[0] if waiting and near else PASSWORD
            found_here = list(_line_value(text, match.start(2), match.end(2), kind))
            if near:
                yield from found_here
            else:
                values = [(number, found) for found in found_here]


def _line_value(text: str, start: int, end: int, kind: str) -> Iterator[Found]:
    if _BLOCK.fullmatch(text, start, end):
        yield from _block(text, start, end, kind)
        return
    if text[start] in "\"'":
        mark = text[start]
        string = _STRING.match(text, start, end) if mark == '"' else None
        close = string.end(1) if string else text.rfind(mark, start + 1, end)
        if close > start:
            value = text[start + 1 : close]
            value = plain(value, 0, len(value)) if string else value.replace("''", "'")
            if can_be_secret(value, kind, bare=False):
                yield Found(start + 1, close, kind, value)
            return
    if text[start] in "{[&!":  # structures of YAML, anchors and tags
        return
    comment = _COMMENT.search(text, start, end)
    value = text[start : comment.start() if comment else end].rstrip()
    if can_be_secret(value, kind, bare=True):
        yield Found(start, start + len(value), kind, value)


def _block(text: str, start: int, end: int, kind: str) -> Iterator[Found]:
    """The lines of a block of YAML: those that are indented deeper than its name."""
    line = text.rfind("\n", 0, start) + 1
    indent = len(text[line:start]) - len(text[line:start].lstrip(" -"))
    body = re.compile(rf"\n(?:[ ]{{{indent + 1},}}[^\n]*|[ ]*(?=\n))").match
    at = end
    while more := body(text, at):
        at = more.end()
    value = text[end:at].strip()
    if can_be_secret(value, kind, bare=False):
        yield Found(at - len(text[end:at].lstrip()), at, kind, value)
