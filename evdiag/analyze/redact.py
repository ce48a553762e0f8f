"""Secrets in values: what is called like a secret, or looks like one, is not shown.

Reports are pasted into issues. Cores of charging software hold passwords of backends, keys of
certificates and tokens of people.
"""

import re

import msgspec

from evdiag.model.report import Variable

REDACTED = "<redacted>"

_NAME = r"[\w.]*(?:passw(?:or)?d|passphrase|secret|private_?key|auth(?:orization)?_?key|api_?key|psk|credential|bearer)\w*"  # noqa: E501
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
_MEMBER = re.compile(
    rf'(\b{_NAME}"?\]? ?[=:] ?)((?:0x[0-9a-f]+ )?(?:\\?"(?:[^"\\]|\\.)*\\?"|\{{[^{{}}]*\}}))',
    re.IGNORECASE,
)
_SHAPES = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*KEY-----|$)", re.DOTALL),
    re.compile(r"\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+"),  # a JSON web token (RFC 7519)
    re.compile(r"(?<=://)[^\s/:@\"]+:[^\s/@\"]+(?=@)"),  # user and password in a URL
)


def redacted(variable: Variable) -> Variable:
    """The variable without what must not be shown."""
    value = variable.value
    if value is None:
        return variable
    if _SECRET_NAME.fullmatch(variable.name.lstrip("*")) and _holds_text(value):
        return msgspec.structs.replace(variable, value=REDACTED)
    shown = _MEMBER.sub(lambda match: match[1] + REDACTED, value)
    for shape in _SHAPES:
        shown = shape.sub(REDACTED, shown)
    return variable if shown == value else msgspec.structs.replace(variable, value=shown)


def _holds_text(value: str) -> bool:
    """Whether there may be a secret in it: a null pointer is none, and worth seeing."""
    return '"' in value or "{" in value
