"""Which files are never copied, because there is nothing but secrets in them."""

import re

_REASONS = (
    (
        re.compile(r"(?:^|/)certs/client/|(?:^|/)private/", re.IGNORECASE),
        "keys and certificates of the charger itself",
    ),
    (
        re.compile(
            r"\.(?:key|p12|pfx|jks|jceks|pkcs12|p8|ppk|keystore|kdbx)(?:\.\w+)?$"
            r"|(?:^|/)(?:id_(?:rsa|dsa|ecdsa|ed25519)|ssh_host_\w+_key)$",
            re.IGNORECASE,
        ),
        "a private key",
    ),
    (
        re.compile(
            r"(?:tls|ssl)[\w-]{0,40}key[\w-]{0,40}\.(?:txt|log)(?:\.\d+)?$|sslkeylog", re.IGNORECASE
        ),
        "a log of TLS keys, which opens recorded connections",
    ),
    (
        re.compile(r"\.(?:db|sqlite3?)(?:[.-][\w-]+)*$", re.IGNORECASE),
        "a database: it may hold secrets that cannot be taken out of it",
    ),
    (
        re.compile(
            r"(?:^|/)(?:(?:dashboard-)?passwords?|passwd|pwfile|shadow|\.netrc|\.pgpass)$",
            re.IGNORECASE,
        ),
        "a file of passwords",
    ),
)


def reason(path: str) -> str | None:
    """Why a file must not be copied, by its path; None if it may be."""
    return next((why for pattern, why in _REASONS if pattern.search(path)), None)
