"""What looks like a secret, whatever it is called: keys, tokens, headers, addresses."""

import binascii
import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from evdiag.analyze.secrets.names import can_be_secret, kind_of
from evdiag.analyze.secrets.spans import Found
from evdiag.analyze.secrets.tokens import KEY, PASSWORD, TOKEN, URL

LONGEST_PEM = 20_000
"""Characters of a private key with its line ends, and with headers of logs in front of them."""

PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----", re.ASCII)
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,40}KEY(?: BLOCK)?-----", re.ASCII)
_PEM_SPACE = re.compile(r"\s|\\+[nr]", re.ASCII)
# A JSON web token (RFC 7519); an escaped line end may stand in front of it.
_JWT = re.compile(
    r"(?<![\w-])(?=[\w-]*?(eyJ[\w-]{10}))[\w-]++\.[\w-]{10,}+(?:\.[\w-]*+)+", re.ASCII
)
_BASIC = re.compile(r"(?i:\bbasic)(?:[ \t]|%20|\+){1,4}([A-Za-z0-9+/_-]{4,}+={0,2})", re.ASCII)
_BEARER = re.compile(r"(?i:\bbearer)(?:[ \t]|%20){1,4}([A-Za-z0-9._~+/-]{8,}+=*+)", re.ASCII)
_HEADER = re.compile(
    r"(?i:(?:proxy-)?authorization|x-api-key|x-auth-token|set-cookie|cookie)"
    r"(?:\\*[\"'])?[ \t]{0,4}[:=][ \t]{0,4}(?:\\*[\"'])?"
    r"(?!(?i:basic|bearer)\b)(?:(?i:digest|token|apikey|negotiate|ntlm)[ \t]{1,4})?"
    r"([^\s\"'\\,;]{8,})",
    re.ASCII,
)
_AUTHORIZATION = re.compile(r"(?i:authorization|auth(?: header)?)\W{0,8}$", re.ASCII)
_SCHEME = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}:(?:\\?/){2}", re.ASCII)
_AUTHORITY_END = re.compile(r"[\s\"'<>\\`|]|$", re.ASCII)
_LONGEST_AUTHORITY = 2000
_QUERY = re.compile(
    r"(?:[?&]|&amp;)((?i:x-(?:amz|goog|oss|ms)-(?:signature|credential|security-token)|sig|signature|token"
    r"|access_token|key|api_?key|auth|pass|pwd|code|jwt|awsaccesskeyid|googleaccessid"
    r"|[\w-]*(?:passw|secret|token|credential)[\w-]*))="
    r"([^\s&;\"'<>\\#`]+)",
    re.ASCII,
)
_NO_TOKEN = re.compile(r"\d{1,3}|true|false|none|null|[a-z]{1,5}", re.IGNORECASE | re.ASCII)
_ELEMENT = re.compile(
    r"<(?:\w{1,40}:)?([\w-]{3,60})(?:[ ][^<>]{0,200})?>([^<>]{1,300})</", re.ASCII
)


def shapes(text: str) -> Iterator[Found]:
    """Everything in a text that looks like a secret."""
    yield from private_keys(text)
    if "eyJ" in text:
        for match in _JWT.finditer(text):
            start = match.start(1)
            yield Found(start, match.end(), KEY, text[start : match.end()])
    yield from _headers(text)
    if "://" in text or ":\\/" in text:
        yield from _userinfo(text)
    if "=" in text:
        yield from _queries(text)
    if "</" in text:
        for match in _ELEMENT.finditer(text):
            kind = kind_of(match[1])
            if kind and can_be_secret(match[2], kind, bare=True):
                yield Found(*match.span(2), kind, match[2])


def private_keys(text: str) -> Iterator[Found]:
    """Private keys, over several lines too; of one without an end, as much as a key may have."""
    at = 0
    while begin := PEM_BEGIN.search(text, at):
        limit = begin.end() + LONGEST_PEM
        end = _PEM_END.search(text, begin.end(), limit)
        at = end.end() if end else min(limit, len(text))
        yield Found(begin.start(), at, KEY, _PEM_SPACE.sub("", text[begin.start() : at]))


def _headers(text: str) -> Iterator[Found]:
    for match in _BASIC.finditer(text):
        start, end = match.span(1)
        decoded = _decoded(match[1])
        if b":" in decoded:
            password = decoded.partition(b":")[2].decode("latin-1")
            yield Found(start, end, PASSWORD, password or match[1])
        elif _AUTHORIZATION.search(text, max(0, match.start() - 40), match.start()):
            yield Found(start, end, PASSWORD, match[1])
    for match in _BEARER.finditer(text):
        named = _AUTHORIZATION.search(text, max(0, match.start() - 40), match.start())
        if named or (len(match[1]) >= 16 and any(c.isdigit() for c in match[1])):
            yield Found(*match.span(1), KEY, match[1])
    for match in _HEADER.finditer(text):
        if can_be_secret(match[1], KEY, bare=True) and any(c.isdigit() for c in match[1]):
            yield Found(*match.span(1), KEY, match[1])


def _decoded(word: str) -> bytes:
    """The printable bytes that a word stands for in base64; nothing if it does not."""
    plain = word.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        decoded = binascii.a2b_base64(plain + "=" * (-len(plain) % 4))
    except binascii.Error:
        return b""
    return decoded if all(32 <= byte != 127 for byte in decoded) else b""


def _userinfo(text: str) -> Iterator[Found]:
    """Name and password in an address: up to the last @ before the path."""
    at = word_end = 0
    while scheme := _SCHEME.search(text, at):
        begin = at = scheme.end()
        if begin >= word_end:
            stop = _AUTHORITY_END.search(text, begin)
            word_end = stop.start() if stop else len(text)
        end = min(word_end, begin + _LONGEST_AUTHORITY)
        following = text.find("://", begin, end)
        last = _last_at(text, begin, following if following >= 0 else end)
        if last < 0 or TOKEN.search(text, begin, last):
            continue
        at = last
        name, colon, password = text[begin:last].partition(":")
        if password:
            secret = unquote_to_bytes(password.encode("latin-1")).decode("latin-1")
            yield Found(begin, last, PASSWORD, secret)
        elif not colon and len(name) >= 16 and any(c.isdigit() for c in name):
            yield Found(begin, last, KEY, name)


def _last_at(text: str, begin: int, end: int) -> int:
    """Where the userinfo of an address ends; -1 if it has none.

    A password may hold an @, and an @ in a path is none of its business. A slash or a question
    mark that was not encoded may be part of a password too, if no @ is in front of it and one
    is behind it, and what is in front of it has a colon and is no host with a port.
    """
    path = min((i for i in (text.find(c, begin, end) for c in "/?#") if i >= 0), default=end)
    last = text.rfind("@", begin, path)
    if last >= 0 or path == end:
        return last
    name, colon, port = text[begin:path].partition(":")
    if not colon or not port or port.isdigit() or name.startswith("["):
        return -1
    return text.rfind("@", path, end)


def _queries(text: str) -> Iterator[Found]:
    for match in _QUERY.finditer(text):
        value = match[2]
        if can_be_secret(value, URL, bare=True) and not _NO_TOKEN.fullmatch(value):
            secret = unquote_to_bytes(value.encode("latin-1")).decode("latin-1")
            yield Found(*match.span(2), kind_of(match[1]) or URL, secret)
