"""Secrets that are known by value: they are found wherever they stand, in whatever coding."""

import binascii
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from evdiag.analyze.secrets.names import is_distinctive
from evdiag.analyze.secrets.spans import Found
from evdiag.analyze.secrets.tokens import WORD, Ledger

MOST_LEARNED = 256
LONGEST_LEARNED = 8192
_PREFIX = 6
"""Characters by which a form is looked for; the rest is compared."""
_ALWAYS = 8
"""From so many characters on, a secret is looked for within words too."""
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{0,400}={0,2}", re.ASCII)
_BASE64_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-"
_MOST_BEFORE = 400
_WORDS = re.compile(r"[^\s\"'<>(){}\[\],;\\`]{4,256}", re.ASCII)
_PARTS = re.compile(r"[^\s\"'<>(){}\[\],;\\`:=&?/@|]{4,256}", re.ASCII)
_WORD_CHARACTER = re.compile(r"\w", re.ASCII)
_IN_BASE64, _IN_TEXT = True, False


class Learned:
    """A bounded set of secrets, and one pattern for all of their forms."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}
        self._never: set[str] = set()
        self._forms: dict[str, dict[str, tuple[str, bool]]] = {}
        self._pattern: re.Pattern[str] | None = None
        self._stale = False

    def __len__(self) -> int:
        return len(self._kinds)

    def never(self, value: str) -> None:
        """A value is no secret, although one may be the same: the charger's own name."""
        self._never.add(value)
        self._stale = self._kinds.pop(value, None) is not None or self._stale

    def excludes(self, value: str) -> bool:
        """Whether it was said of a value that it is no secret."""
        return value in self._never

    def add(self, secret: str, kind: str) -> None:
        """Look for a secret from now on, if it is one that can be looked for."""
        if secret in self._kinds or secret in self._never or len(self._kinds) >= MOST_LEARNED:
            return
        if len(secret) <= LONGEST_LEARNED and is_distinctive(secret):
            self._kinds[secret] = kind
            self._stale = True

    @property
    def pattern(self) -> re.Pattern[str] | None:
        """What finds each of them, and more."""
        if self._stale:
            self._build()
        return self._pattern

    def _build(self) -> None:
        self._stale = False
        self._forms = {}
        for secret in self._kinds:
            for form, coded in _forms(secret):
                self._forms.setdefault(form[:_PREFIX], {}).setdefault(form, (secret, coded))
        for prefix, forms in self._forms.items():  # the longest first
            ordered = sorted(forms.items(), key=lambda item: -len(item[0]))
            self._forms[prefix] = dict(ordered)
        self._pattern = _alternation(self._forms) if self._forms else None

    def find(self, text: str) -> Iterator[Found]:
        """Everything that is one of them."""
        pattern, at = self.pattern, 0
        if pattern is None:
            return
        while match := pattern.search(text, at):
            found = self._at(text, match.start())
            at = found.end if found else match.start() + 1
            if found:
                yield found

    def _at(self, text: str, start: int) -> Found | None:
        for prefix in {text[start : start + n] for n in range(4, _PREFIX + 1)}:
            for form, (secret, coded) in self._forms.get(prefix, {}).items():
                end = start + len(form)
                if not text.startswith(form, start):
                    continue
                if coded:
                    begin = start - _MOST_BEFORE if start > _MOST_BEFORE else 0
                    start = begin + len(text[begin:start].rstrip(_BASE64_CHARACTERS))
                    after = _BASE64.match(text, end)
                    return Found(start, after.end() if after else end, self._kinds[secret], secret)
                if _stands_alone(text, start, end, secret):
                    return Found(start, end, self._kinds[secret], secret)
        return None


def _stands_alone(text: str, start: int, end: int, secret: str) -> bool:
    """Whether a short or plain secret is a word of its own; a long one need not be."""
    is_plain = secret.isdigit() or (secret.isalpha() and secret.islower())
    if len(secret) >= _ALWAYS and not is_plain:
        return True
    before, after = text[start - 1 : start] if start else "", text[end : end + 1]
    if secret.isdigit() and "." in (before, after):
        return False
    return not (_WORD_CHARACTER.match(before) or _WORD_CHARACTER.match(after))


def _forms(secret: str) -> Iterator[tuple[str, bool]]:
    """A secret in all the ways in which it can stand in a text; (form, whether in base64)."""
    raw = secret.encode("latin-1", "replace")
    escaped = "".join(_JSON.get(c, c) for c in secret)
    texts = {
        secret,
        escaped,
        escaped.replace("/", "\\/"),
        "".join(_JSON.get(c, c) for c in escaped),
        "".join(_HTML.get(c, c) for c in secret),
        quote(raw, safe=""),
        quote(raw, safe="/"),
        quote(raw, safe="").replace("%20", "+"),
        secret.replace("'", "''"),
        _ascii(raw, secret),
        _ascii(raw, secret).replace("\\", "\\\\"),
    }
    texts |= {re.sub("%[0-9A-F]{2}", lambda m: m[0].lower(), text) for text in texts if "%" in text}
    for text in texts:
        yield text, _IN_TEXT
    if len(raw) >= 6:
        for shift in range(3):  # where a group of three bytes begins is not known
            first = -(-shift * 8 // 6)
            last = (shift + len(raw)) * 8 // 6
            coded = binascii.b2a_base64(b"\0" * shift + raw, newline=False)[first:last].decode()
            yield coded, _IN_BASE64
            if "+" in coded or "/" in coded:
                yield coded.replace("+", "-").replace("/", "_"), _IN_BASE64


_JSON = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"}


def _ascii(raw: bytes, secret: str) -> str:
    """As JSON writes it that knows ASCII only."""
    if secret.isascii():
        return secret
    text = raw.decode("utf-8", "replace")
    return "".join(
        _JSON.get(c, c) if ord(c) < 128 else "".join(f"\\u{unit:04x}" for unit in _units(c))
        for c in text
    )


def _units(character: str) -> Iterable[int]:
    coded = character.encode("utf-16-be")
    return [int.from_bytes(coded[i : i + 2]) for i in range(0, len(coded), 2)]


def _alternation(prefixes: Iterable[str]) -> re.Pattern[str]:
    """One pattern for all, by their first two characters: each place of a text is tried once."""
    heads: dict[str, set[str]] = {}
    for prefix in prefixes:
        heads.setdefault(prefix[:2], set()).add(prefix[2:])
    parts = [
        re.escape(head) + "(?:" + "|".join(map(re.escape, sorted(tails))) + ")"
        for head, tails in sorted(heads.items())
    ]
    return re.compile("|".join(parts))


def words(text: str, ledger: Ledger) -> Iterator[Found]:
    """Words whose token is known: secrets of a bundle, met without their names."""
    for whole in _WORDS.finditer(text):
        if found := _word(whole, ledger):
            yield found
            continue
        for part in _PARTS.finditer(text, *whole.span()):
            if part.span() != whole.span() and (found := _word(part, ledger)):
                yield found


def _word(match: re.Match[str], ledger: Ledger) -> Found | None:
    word = match[0].rstrip(".:!?")
    if not is_distinctive(word):
        return None
    kind = ledger.kind_of(word)
    end = match.start() + len(word)
    return Found(match.start(), end, kind or WORD, word) if kind else None
