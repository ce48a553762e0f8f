"""What the container's environment says about the charger, checked.

Everything in it is hostile: a message shows a value as ASCII and shortened, and never a secret.
"""

import contextlib
import hashlib
import ipaddress
import math
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

VERSIONS = ("1.6", "2.0.1", "2.1")
PHASES, PHASE_VOLTAGE = 3, 230
"""What EVerest's energy manager calculates with, also for DC (its option nominal_ac_voltage)."""

CA_BYTES_MAX = 1 << 20

IDENTITY = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9*\-_=+|@.]{1,48}")
"""OCPP 2.0.1's identifierString without the colon, at which a name ends in HTTP Basic
authentication: libocpp refuses it in every version, and encodes nothing in the path."""

HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*\.?")
PATH = re.compile(r"([A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*")
PRINTABLE = re.compile(r"[ -~]+")


class Refused(Exception):
    """The environment, or a file, does not allow a configuration. Each argument is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says, checked."""

    version: str
    url: str
    identity: str
    password: str | None
    authority: bytes | None
    connectors: int
    power: int
    current: int

    @property
    def profile(self) -> int:
        """OCPP's security profile."""
        if self.password is None:
            return 0
        return 2 if self.url.startswith("wss:") else 1

    @property
    def grid_current(self) -> int:
        """The current of one phase that carries the power of one connector."""
        return math.ceil(self.power / (PHASES * PHASE_VOLTAGE))

    @property
    def name(self) -> str:
        """A name for the folder of this charger: nothing that is kept fits another one."""
        # Slow on purpose: nobody shall try passwords with the help of a folder's name.
        secret = hashlib.pbkdf2_hmac("sha256", (self.password or "").encode(), b"evdiag", 100_000)
        parts = (self.version, self.url, self.identity, str(self.profile))
        digest = hashlib.sha256("\0".join(parts).encode() + secret + (self.authority or b""))
        slug = re.sub(r"[^A-Za-z0-9.-]", "_", self.identity)
        return f"{self.version}-{slug}-{digest.hexdigest()[:8]}"


def settings_of(environment: Mapping[str, str]) -> Settings:
    """What the environment says. A variable that is empty counts as not set."""
    given = {name: value for name, value in environment.items() if value}
    problems: list[str] = []

    def number(name: str, low: int, high: int, default: int) -> int:
        text = given.get(name, str(default))
        if re.fullmatch(r"[0-9]{1,19}", text, re.ASCII) and low <= int(text) <= high:
            return int(text)
        problems.append(f"{name} is {shown(text)}: must be a whole number from {low} to {high}")
        return default

    def choice(name: str, allowed: tuple[str, ...]) -> str:
        text = given.get(name, allowed[0])
        if text not in allowed:
            problems.append(f"{name} is {shown(text)}: must be one of {', '.join(allowed)}")
        return text

    version = choice("OCPP_VERSION", VERSIONS)
    choice("EVDIAG_CAPTURE", ("on", "off"))
    choice("DASHBOARD_AUTH", ("all", "others"))
    identity = given.get("OCPP_ID", "CP1")
    if not IDENTITY.fullmatch(identity):
        problems.append(
            f"OCPP_ID is {shown(identity)}: must be 1 to 48 of the characters A-Z a-z 0-9 and "
            "* - _ = + | @ . (not only dots); it becomes the end of the address"
        )
    try:
        url = checked_url(given.get("OCPP_URL", "ws://localhost:9000"))
    except Refused as refused:
        problems.append(f"OCPP_URL {refused}")
        url = ""
    problems += password_problems(given.get("OCPP_PASSWORD"), version, url)
    authority, problem = authority_of(given.get("OCPP_CA_FILE"), url)
    problems += problem + mqtt_problems(given.get("MQTT_USER"), given.get("MQTT_PASSWORD"))
    problems += dashboard_password_problems(given.get("DASHBOARD_PASSWORD"))
    number("EVDIAG_CORES_MAX", 0, 1_000_000, 10)
    number("EVDIAG_CORES_MAX_BYTES", 0, (1 << 63) - 1, 2 << 30)
    number("EVDIAG_CAPTURE_SECONDS", 1, 3600, 60)
    settings = Settings(
        version=version,
        url=url,
        identity=identity,
        password=given.get("OCPP_PASSWORD"),
        authority=authority,
        connectors=number("NUM_CONNECTORS", 1, 16, 1),
        power=number("EVSE_MAX_POWER", 1_000, 1_000_000, 150_000),
        current=number("EVSE_MAX_CURRENT", 1, 1_000, 400),
    )
    if problems:
        raise Refused(*problems)
    return settings


def shown(text: str) -> str:
    """A value of the environment as one short line of ASCII, whatever is in it."""
    return ascii(text) if len(text) <= 60 else f"{text[:60]!a}... ({len(text)} characters)"


def checked_url(text: str) -> str:
    """The CSMS's address as libocpp wants it."""
    # What looks like the start of a path may be part of a password: nothing with an @ is shown.
    what = "(not shown: there is an @ in it)" if "@" in text else f"is {shown(text)}"
    form = "must be ws://HOST[:PORT][/PATH] or wss://HOST[:PORT][/PATH]"
    if "@" in text.partition("://")[2].partition("/")[0]:
        raise Refused(
            f"{what}: must not hold a name or password; the password is OCPP_PASSWORD, the name "
            "is OCPP_ID"
        )
    if "?" in text or "#" in text:
        raise Refused(f"{what}: must not have a query (?) or fragment (#)")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Refused(f"{what}: {form}, with a port from 1 to 65535") from None
    host = parts.hostname or ""
    literal = parts.netloc.startswith("[")
    name = f"[{host}]" if literal else host
    url = f"{parts.scheme}://{name}{'' if port is None else f':{port}'}{parts.path}"
    # urlsplit is lenient: what it leaves out, such as a line end, is missing here
    if parts.scheme not in ("ws", "wss") or url.lower() != text.lower():
        raise Refused(f"{what}: {form}")
    if not (is_ipv6(host) if literal else HOST.fullmatch(host)) or port == 0:
        raise Refused(f"{what}: {form}, with a valid host and port")
    if len(text) > 1000 or not PATH.fullmatch(parts.path):
        raise Refused(f"{what}: {form}, percent-encoded, with at most 1000 characters")
    return url


def is_ipv6(text: str) -> bool:
    """Whether this is an IPv6 address. One with a zone (%eth0) is none that libocpp can use."""
    with contextlib.suppress(ValueError):
        return "%" not in text and bool(ipaddress.IPv6Address(text))
    return False


def password_problems(password: str | None, version: str, url: str) -> list[str]:
    """What is wrong with the password, which is shown nowhere."""
    if password is None:
        missing = "OCPP_PASSWORD is not set: wss:// needs one (security profile 2)"
        return [missing] if url.startswith("wss:") else []
    # libocpp: AuthorizationKey of v16/profile_schemas/Security.json, which has no upper limit, so
    # that of the security whitepaper (20 bytes as hexadecimal digits); BasicAuthPassword of
    # SecurityCtrlr.json.
    low = 8 if version == "1.6" else 16
    if low <= len(password) <= 40 and PRINTABLE.fullmatch(password):
        return []
    return [
        f"OCPP_PASSWORD has {len(password)} characters: must be {low} to 40 printable ASCII "
        f"characters for OCPP {version if version in VERSIONS else '1.6'}"
    ]


def authority_of(name: str | None, url: str) -> tuple[bytes | None, list[str]]:
    """The certificates that the CSMS's one is checked against, or what is wrong with them."""
    if name is None:
        return None, []
    what = f"OCPP_CA_FILE is {shown(name)}"
    if url.startswith("ws:"):
        return None, [f"{what}: is for wss://, but OCPP_URL begins with ws:// (no encryption)"]
    try:
        path = Path(name)
        if not path.is_file():
            return None, [f"{what}: is no file in the container; mount it with -v"]
        with path.open("rb") as file:
            content = file.read(CA_BYTES_MAX + 1)
        if len(content) > CA_BYTES_MAX:
            return None, [f"{what}: is larger than {CA_BYTES_MAX} bytes"]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=content.decode("ascii"))
    except OSError as error:  # also what ssl says
        return None, [f"{what}: cannot be read or holds no certificate ({error.strerror or error})"]
    except ValueError:
        return None, [f"{what}: must be a text file with certificates (PEM)"]
    return content, []


def mqtt_problems(user: str | None, password: str | None) -> list[str]:
    """What is wrong with the account for the broker, which goes into a file with one per line."""
    if (user is None) != (password is None):
        return ["MQTT_USER and MQTT_PASSWORD must be set both, or none of them"]
    problems = []
    if user is not None and not re.fullmatch(r"[A-Za-z0-9_.@-]{1,64}", user):
        problems.append(f"MQTT_USER is {shown(user)}: must be 1 to 64 of A-Z a-z 0-9 and _ . @ -")
    # mosquitto_passwd -U takes a line's second field, and colons part fields
    fits = password is None or (PRINTABLE.fullmatch(password) and ":" not in password)
    if not fits or len(password or "") > 128:
        problems.append("MQTT_PASSWORD must be 1 to 128 printable ASCII characters, but no colon")
    return problems


def dashboard_password_problems(password: str | None) -> list[str]:
    """What is wrong with the password of the dashboard. None means that one is to be made."""
    if password is None or (8 <= len(password) <= 128 and PRINTABLE.fullmatch(password)):
        return []
    return [
        f"DASHBOARD_PASSWORD has {len(password)} characters: must be 8 to 128 printable ASCII "
        "characters"
    ]
