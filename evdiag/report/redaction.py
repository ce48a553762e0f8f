"""What a report says of the secrets that were taken out of it."""

from evdiag.model.report import Redacted

_KINDS = {
    "password": ("password", "passwords"),
    "key": ("key", "keys"),
    "account": ("account", "accounts"),
    "id-token": ("id token", "id tokens"),
    "vehicle": ("vehicle id", "vehicle ids"),
    "contract": ("contract id", "contract ids"),
    "url": ("part of a URL", "parts of URLs"),
    "word": ("other", "others"),
}


def replaced(redaction: Redacted | None) -> str:
    """`7 secrets replaced: 4 passwords, 3 id tokens`; empty if there were none."""
    counts = redaction.secrets if redaction else {}
    total = sum(counts.values())
    if not total:
        return ""
    kinds = (
        f"{count} {_KINDS.get(kind, (kind, kind))[count != 1]}"
        for kind, count in sorted(counts.items(), key=lambda item: -item[1])
    )
    return f"{total} secret{'s' * (total > 1)} replaced: {', '.join(kinds)}"
