"""What is called like a secret, what can be one, and what surely is none.

Names of OCPP 1.6 and 2.x, of EVerest's configuration and log lines, of environments and command
lines. Texts are bytes as characters (latin-1), and all patterns know ASCII only.
"""

import re
from functools import lru_cache

from evdiag.analyze.secrets.tokens import CONTRACT, ID_TOKEN, KEY, PASSWORD, TOKEN, VEHICLE

LONGEST_NAME = 200

_NAMES = re.compile(
    r"""
    (?P<password> (?i: passw(?:or)?d | passphrase | passcode | sim_?pin )
      | (?<=_)PASS$ | (?<![a-z])mqtt_pass$ )
  | (?P<key> (?i: secret(?!ar) | private[_-]?key | auth(?:orization)?[_-]?key | api[_-]?key
      | access[_-]?key | vpn[_-]?key | shared[_-]?key | signing[_-]?key | encryption[_-]?key
      | (?:access|refresh|auth|bearer|api|security|session|csrf|client)[_-]?tokens?$
      | credential | bearer(?![a-z]) )
      | (?<![a-zA-Z])(?:psk)+s?(?![a-z]) | (?<![A-Z])PSK(?![a-z]) | (?<=[a-z])Psk(?![a-z]) )
  | (?P<id> (?<![a-zA-Z])[iI]d[_-]?[tT](?:ag|oken)s?$ | (?<=[a-z])Id_?T(?:ag|oken)s?$
      | (?<![A-Z])ID[_-]?(?:TAG|TOKEN)S?$
      | (?i: (?<![a-z])master[_-]?pass[_-]?group[_-]?id$ ) )
  | (?P<vehicle> (?i: evcc_?-?id$ | mac_?-?addr(?:ess)?$ | (?<![a-z])mac$ ) | (?<=[a-z])Mac$
      | (?<![A-Z])VIN$ | (?<![a-zA-Z])vin$ )
  | (?P<contract> (?i: (?<![a-z])e_?maid(?:[-_][a-z0-9]+)?$ | contract_?-?id$ ) )
    """,
    re.VERBOSE | re.ASCII,
)
_KINDS = {
    "password": PASSWORD, "key": KEY, "id": ID_TOKEN, "vehicle": VEHICLE, "contract": CONTRACT,
}  # fmt: skip
_LAST_WORD = re.compile(r"[A-Z]?[a-z]+\d*$|[A-Z]+\d*$", re.ASCII)
_ABOUT_TEXT = """
    length len size count number min max minimum maximum expiry expires expiration expired ttl
    timeout policy hint type file path dir directory location url uri name index version status
    state info enabled required supported present valid changed algorithm format provider handler
    callback manager store validator consumer set at time date attempts retries reason error result
    request response label topic description field option length_min mode usage missing
"""
_ABOUT = frozenset(_ABOUT_TEXT.split())
"""Words behind the name of a secret that make it something about the secret."""

VALUE_NAMES = frozenset(("value", "Value", "attributeValue", "val", "default", "current_value"))
NAME_NAMES = frozenset(
    ("key", "Key", "name", "Name", "variable_name", "variableName", "config_key", "option", "field")
)

_NO_SECRET = re.compile(
    r"""
    [*.#-]* | [xX]{3,} | <[^<>]{0,80}> | \[redacted\].* | \(?(?:redacted|hidden|masked)\)?
  | \$\{.* | \$[A-Z_][A-Z0-9_]* | \{\{[^{}]*\}\} | \{[\w.:]*\} | %[-+\w]{0,9}[sdv]
  | (?i: null | nullptr | none | nil | true | false | yes | no | on | off | undefined | unknown
      | unset | n/?a | string | str | std | bytes | object | boolean | bool | integer | int
      | optional | required | empty )
    """,
    re.VERBOSE | re.ASCII,
)
_NO_BARE_SECRET = re.compile(
    r"""
    -?\d{1,3} | 0x0*[0-9a-fA-F]?
  | (?i: is | was | has | not | too | must | may | can | cannot | the | and | or | for | with
      | are | set | to | in | of | invalid | wrong | missing | expected | should | char | const
      | length | changed | accepted | rejected )
    """,
    re.VERBOSE | re.ASCII,
)
SHORTEST_LEARNED = 4
_COMMON_TEXT = """
    password passwd secret default admin administrator everest charger charging station user
    username guest root test tests testing local localhost public private account manager ocpp
    value values number status accepted rejected invalid valid available enabled disabled error
    central system server client module modules energy power start stop info debug warning
    certificate basic bearer authorization unknown evdiag docker mosquitto nodered http https
    anonymous rfid iso14443 iso15693 ocpp1.6 ocpp2.0.1 ocpp2.1 ocpp16 ocpp201 ocpp21
"""
_COMMON = frozenset(_COMMON_TEXT.split())
"""Words that stand in every log: a password that is one of them cannot be looked for."""
_DIGITS = re.compile(r"[\d.:/_-]*")


def kind_of(name: str) -> str | None:
    """The kind of secret that a name stands for: password, key, id-token, vehicle, contract."""
    return _kind_of(name if len(name) <= LONGEST_NAME else name[-LONGEST_NAME:])


@lru_cache(maxsize=8192)
def _kind_of(name: str) -> str | None:
    found = None
    for match in _NAMES.finditer(name):
        found = match
    if found is None:
        return None
    behind = _LAST_WORD.search(name, found.end())
    if behind and behind[0].lower().rstrip("s") in _ABOUT | {"statu"}:
        return None
    return _KINDS[str(found.lastgroup)]


def can_be_secret(value: str, kind: str, *, bare: bool) -> bool:
    """Whether a value can be the secret that its name promises.

    Without quotes around it, small numbers and words of a sentence are none.
    """
    if not value or TOKEN.search(value) or _NO_SECRET.fullmatch(value):
        return False
    if kind == VEHICLE and value[:1].isdigit() and len(value) < 10:
        return False
    return not (bare and _NO_BARE_SECRET.fullmatch(value))


def is_distinctive(value: str) -> bool:
    """Whether a secret may be looked for everywhere, without the name in front of it.

    Short ones, common words and short numbers stand in every log for something else.
    """
    if len(value) < SHORTEST_LEARNED or value.lower() in _COMMON or TOKEN.search(value):
        return False
    if _NO_SECRET.fullmatch(value) or _NO_BARE_SECRET.fullmatch(value):
        return False
    return len(value) >= 6 or not (_DIGITS.fullmatch(value) or value.isalpha())
