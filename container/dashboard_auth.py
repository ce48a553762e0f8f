#!/usr/bin/env python3
"""Keeps the password of the dashboard: to be read by root, and to be checked by Node-RED.

    dashboard_auth.py PASSWORD_FILE AUTH_FILE GROUP

It is DASHBOARD_PASSWORD or, without that, a new one that stays as long as PASSWORD_FILE does.
AUTH_FILE, which GROUP may read, does not tell it.
"""

import grp
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from environment import dashboard_password_problems

USER = "admin"
COST = {"n": 1 << 14, "r": 8, "p": 1}
"""Of scrypt: 16 MB and some 50 ms for each try."""


def password_of(environment: Mapping[str, str], kept: Path) -> str:
    """The password that is given, or was kept, or a new one."""
    given = environment.get("DASHBOARD_PASSWORD")
    if given:
        return given
    try:
        password = kept.read_text("ascii").removesuffix("\n")
    except (FileNotFoundError, UnicodeDecodeError):
        password = ""
    # what is no password any more would be none that anybody can enter
    return secrets.token_urlsafe(18) if dashboard_password_problems(password) else password


def record(password: str) -> dict[str, str | int]:
    """What it takes to recognise a password."""
    salt = secrets.token_bytes(16)
    key = hashlib.scrypt(password.encode("ascii"), salt=salt, dklen=32, **COST)
    return {"user": USER, "salt": salt.hex(), "key": key.hex(), **COST}


def write(path: Path, text: str, group: int | None = None) -> None:
    """Replace a file by one that its owner may read and, if one is named, a group."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        if group is not None:
            os.fchown(descriptor, -1, group)
            os.fchmod(descriptor, 0o640)
        file.write(text)
    fresh.replace(path)


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run the command; the exit status is 1 if a file cannot be written."""
    kept, auth = Path(arguments[0]), Path(arguments[1])
    try:
        password = password_of(environment, kept)
        write(kept, f"{password}\n")
        write(auth, f"{json.dumps(record(password))}\n", grp.getgrnam(arguments[2]).gr_gid)
    except OSError as error:
        print(f"dashboard_auth: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
