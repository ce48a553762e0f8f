"""Secrets are not shown, everything else is; values out of broken memory do not take long."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evdiag.analyze.redact import redacted
from evdiag.analyze.secrets import Secrets
from evdiag.analyze.secrets.tokens import PLAIN as REDACTED
from evdiag.analyze.secrets.tokens import TOKEN as MARK
from evdiag.model.report import Variable


def hidden(variable: Variable) -> Variable:
    """The variable without secrets, as seen by somebody who knows none."""
    return redacted(variable, Secrets(b"k" * 32))


def value_of(name: str, value: str) -> str | None:
    """What is left of a value, whatever the tokens are."""
    return MARK.sub(REDACTED, hidden(Variable(name=name, value=value)).value or "")


def shown(value: str) -> str | None:
    """What is left of the value of a variable with a harmless name."""
    return value_of("config", value)


# -- by the name of the variable


@pytest.mark.parametrize(
    "name",
    [
        "password", "passwd", "m_password_", "PASSPHRASE", "client_secret", "privateKey",
        "private_key", "private_key_password", "authorization_key", "AuthorizationKey", "auth_key",
        "api_key", "apiKey", "psk", "tls_psk", "credentials", "bearer_token", "*password",
        "**secret", "connection.basicAuthPassword", "<password>",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "value",
    [
        '"hunter2"', '0x55a8 "hunter2"', 'L"hunter2"', "{104, 117}", '{_M_p = 0x5 "hunter2"}',
        "std::vector of length 2, capacity 2 = {104, 117}", "'x' <repeats 20 times>", '"hunt',
    ],
)  # fmt: skip
def test_variables_that_are_called_like_a_secret(name: str, value: str) -> None:
    assert value_of(name, value) == REDACTED


@pytest.mark.parametrize(
    "value",
    [
        "0x0", "(char *) 0x55a8", "0", "12", "true", "<optimized out>", "", "{...}",
        "std::unique_ptr<Secret> = {get() = 0x0}", "std::unique_ptr<Secret> = {get() = 0x55a8}",
        "std::shared_ptr<Secret> (use count 1, weak count 0) = {get() = 0x55a8}",
        "std::optional [no contained value]",
        "@0x8: <error: Cannot access memory at address 0x8>",
    ],
)  # fmt: skip
def test_what_holds_no_text_is_shown_whatever_it_is_called(value: str) -> None:
    assert value_of("password", value) == value
    assert shown(f"{{password = {value}, n = 1}}") == f"{{password = {value}, n = 1}}"


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "passes",
        "bypass",
        "pass",
        "compass",
        "key",
        "keyboard",
        "author",
        "id",
        "",
        "*this",
    ],
)
def test_other_variables_are_shown(name: str) -> None:
    for value in ('"text"', '{a = "text"}', "3"):
        assert value_of(name, value) == value


def test_nothing_else_of_a_variable_changes() -> None:
    variable = Variable(name="password", type="char *", value='0x5 "x"', problem="cut")
    changed = msgspec.structs.replace(variable, value=Secrets(b"k" * 32).ledger.token("x"))
    assert hidden(variable) == changed
    nothing = Variable(name="password", type="char *", problem="Cannot access memory")
    assert hidden(nothing) is nothing
    harmless = Variable(name="token", value='"x"')
    assert hidden(harmless) is harmless


# -- by the name of a member


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ('password = "x"', "password = <redacted>"),
        ('{password = "x", n = 1}', "{password = <redacted>, n = 1}"),
        ('{n = 1, m_psk = "x"}', "{n = 1, m_psk = <redacted>}"),
        ('{a = {password = "x"}, b = "y"}', '{a = {password = <redacted>}, b = "y"}'),
        ('{password = 0x55 "x", n = 1}', "{password = <redacted>, n = 1}"),
        ('{password = L"x", n = u8"y"}', '{password = <redacted>, n = u8"y"}'),
        ('{password = "a\\"b, \\\\", n = 1}', "{password = <redacted>, n = 1}"),
        ('{password = "", n = 1}', "{password = <redacted>, n = 1}"),
        # pieces of one string, as gdb prints runs of a character
        (
            "{password = \"ab\", 'x' <repeats 20 times>, \"cd\"..., n = 1}",
            "{password = <redacted>, n = 1}",
        ),
        ("{password = 'x' <repeats 20 times>, \"cd\", n = 1}", "{password = <redacted>, n = 1}"),
        ("{password = \"ab\", '\\000' <repeats 30 times>}", "{password = <redacted>}"),
        # containers
        (
            'std::map with 2 elements = {["password"] = "x", ["user"] = "y"}',
            'std::map with 2 elements = {["password"] = <redacted>, ["user"] = "y"}',
        ),
        (
            '{secrets = std::vector<bool> of length 1, capacity 64 = {true}, capacity = "y"}',
            '{secrets = <redacted>, capacity = "y"}',
        ),
        ('{[0x55 "api-key"] = 0x66 "x"}', '{[0x55 "api-key"] = <redacted>}'),
        (
            '{passwords = std::vector of length 2, capacity 2 = {"a", "b"}, n = 1}',
            "{passwords = <redacted>, n = 1}",
        ),
        (
            "{psk = std::array<char, 2> = {_M_elems = {1, 2}}, n = 1}",
            "{psk = <redacted>, n = 1}",
        ),
        (
            '{secret = std::optional<std::basic_string<char, std::char_traits<char> > > = '
            '{[contained value] = "x"}, n = 1}',
            "{secret = <redacted>, n = 1}",
        ),
        # a string without printers
        (
            "{password = {static npos = 18446744073709551615, _M_dataplus = {<std::allocator<char>>"
            ' = {<No data fields>}, _M_p = 0x5 "x"}, _M_string_length = 1, {_M_local_buf = "x", '
            "_M_allocated_capacity = 120}}, n = 1}",
            "{password = <redacted>, n = 1}",
        ),
        ('{secret = operator> "x", n = 1}', "{secret = <redacted>, n = 1}"),
        # the same letter as a quote
        ("{c = 34 '\"', password = \"x\", n = 1}", "{c = 34 '\"', password = <redacted>, n = 1}"),
        ("{c = 39 '\\'', password = \"x\"}", "{c = 39 '\\'', password = <redacted>}"),
        # cut
        ('{password = "hunt', "{password = <redacted>"),
        ('{password = "hunt\\', "{password = <redacted>"),
        ('{password = {a = "x", b', "{password = <redacted>"),
        # twice
        ('{psk = "x", n = 1, secret = "y"}', "{psk = <redacted>, n = 1, secret = <redacted>}"),
        ('{secret = {psk = "x", psk = "y"}, n = 1}', "{secret = <redacted>, n = 1}"),
    ],
)  # fmt: skip
def test_members_that_are_called_like_a_secret(value: str, left: str) -> None:
    assert shown(value) == left


@pytest.mark.parametrize(
    ("value", "left"),
    [
        # JSON in a string, and in a string of that
        (r'"{\"password\": \"x\", \"n\": 1}"', r'"{\"password\": \"<redacted>\", \"n\": 1}"'),
        (r'"{\"n\":1,\"psk\":\"x\"}"', r'"{\"n\":1,\"psk\":\"<redacted>\"}"'),
        (r'"{\"psk\": \"a\\\"b\", \"n\": 1}"', r'"{\"psk\": \"<redacted>\", \"n\": 1}"'),
        (r'"{\\\"psk\\\": \\\"x\\\"}"', r'"{\\\"psk\\\": \\\"<redacted>\\\"}"'),
        (
            r'"{\"secrets\": [\"x\", \"y\"]}", n = 1',
            r'"{\"secrets\": [\"<redacted>\", \"<redacted>\"]}", n = 1',
        ),
        (r'"{\"psk\": \"x', r'"{\"psk\": \"<redacted>'),
        (r'"{\"psk\": \"', r'"{\"psk\": \"'),
        # other texts
        ('"http://h/?user=a&password=x&n=1"', '"http://h/?user=a&password=<redacted>&n=1"'),
        ('"password: hunter2, user: b", n = 1', '"password: <redacted>, user: b", n = 1'),
        (r'"psk=hunter2\nuser=b"', r'"psk=<redacted>\nuser=b"'),
        ('"password=hunter2', '"password=<redacted>'),
        ("\"{'password': 'x', 'n': 1}\"", "\"{'password': '<redacted>', 'n': 1}\""),
        ('"pin of password=12345"', '"pin of password=<redacted>"'),
    ],
)
def test_names_in_texts(value: str, left: str) -> None:
    assert shown(value) == left


@pytest.mark.parametrize(
    "value",
    [
        "{passes = 3, bypass = true, token = \"if\", n = 1}",
        "{password_length = 12, secret = 0x0, next = 0x55a8}",
        "{password = <optimized out>, name = \"x\"}",
        "{secret_handler = 0x55a8 <secret::run(int, char)>, name = \"x\"}",
        "{secret = (Kind::A | Kind::B), name = \"x\"}",
        "{tokens = std::vector of length 1, capacity 1 = {\"while\"}}",
        "{name = \"password\", n = 1}",
        "std::set with 1 element = {[0] = \"password\"}",
        "\"the password is wrong\"",
        "\"checking the secret: \", n = \"x\"",
        "\"secret::Store: x\"",
        "\"if (password == other)\"",
        "\"passwords: 3\"",
        r'"{\"password\": null, \"api_key\": false}"',
        "0x55a8dc9b2f40 \"energy\"",
        "0x4141414141414141",
        "https://charger.example:8080/path",
        "\"mail me@example.org or see https://example.org/\"",
        "-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\\nMIIB\\n-----END PUBLIC KEY-----",
        "\"eyJ.x.y\"",
        "\"libeyJabcdefghijk.so.6\"",
        "",
    ],
)  # fmt: skip
def test_what_is_no_secret_is_shown(value: str) -> None:
    assert shown(value) == value


# -- by its looks

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9"


@pytest.mark.parametrize(
    ("value", "left"),
    [
        (f'"{TOKEN}"', '"<redacted>"'),
        (f'"Authorization: Bearer {TOKEN}\\r\\n"', '"Authorization: Bearer <redacted>\\r\\n"'),
        (f'"\\n{TOKEN}"', '"\\n<redacted>"'),  # the letter of an escape in front of it
        (f'{{a = "{TOKEN}", b = "{TOKEN}"}}', '{a = "<redacted>", b = "<redacted>"}'),
        ('"mqtt://user:pass@broker:1883/x"', '"mqtt://<redacted>@broker:1883/x"'),
        ('"redis://:pass@h"', '"redis://<redacted>@h"'),
        ('"wss://cp:p@ss@csms/ocpp"', '"wss://<redacted>@csms/ocpp"'),
        ('"https://a:b@c and https://d:e@f"', '"https://<redacted>@c and https://<redacted>@f"'),
        (
            '{a = "-----BEGIN RSA PRIVATE KEY-----\\nM\\n-----END RSA PRIVATE KEY-----\\n", n = 1}',
            '{a = "<redacted>\\n", n = 1}',
        ),
        (
            '"-----BEGIN PRIVATE KEY-----\\nMII"..., n = 1',  # cut: nothing behind it is trusted
            '"<redacted>',
        ),
        (
            "\"-----BEGIN EC PRIVATE KEY-----\\nM\", 'A' <repeats 20 times>, \"B\"",
            '"<redacted>',
        ),
    ],
)  # fmt: skip
def test_what_looks_like_a_secret(value: str, left: str) -> None:
    assert shown(value) == left


# -- whatever the value is

PIECES = st.sampled_from(
    [
        "password", "secret", "psk", "api", "_", "-", "key", "eyJ", "abcdefghijkl", ".", "://", ":",
        "@", "/", "=", " = ", "==", '"', '\\"', "\\", "'", "{", "}", "[", "]", "(", ")", "<", ">",
        ", ", ",", " ", "\n", "0x0", "12345", "null", "x", "\u00e4", "\udc80", "{...}",
        "{get() = 0x0}", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----",
    ]
)  # fmt: skip
TOKEN_LENGTH = len("<redacted-1a2b3c4d>")
ANY = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=40),
    st.lists(PIECES, max_size=30).map("".join),
)


@given(ANY, ANY)
@example("config", '"secret: ')
@example("config", 'secret = "')
@example("config", "secret = ")
@example("config", 'secret = "\\')
def test_any_value_is_made_harmless_once_and_for_all(name: str, value: str) -> None:
    variable = Variable(name=name, value=value)
    once = hidden(variable)
    assert hidden(once) == once
    assert once.value is not None
    # a secret is one character at least, with a name of three and a sign
    assert len(once.value) <= TOKEN_LENGTH + len(value) * 5


@given(ANY.filter(lambda text: not any(c in text for c in "\"'\\")), PIECES, PIECES)
def test_a_member_of_that_name_never_shows_its_text(text: str, before: str, after: str) -> None:
    sign = "hunter2"
    for quoted in (f'"{sign}{text}"', f'0x5 "{text}{sign}"', f'{{a = {{b = "{sign}"}}}}'):
        left = shown(f"{{n = 1, password = {quoted}, m = 2}}")
        assert left is not None
        assert left.startswith("{n = 1, password = <redacted>")
        assert sign not in left


LONG = 40_000


@pytest.mark.parametrize(
    "start", ["", '"', "secret = ", '"secret: ', '"secret: \\"', "a://", "eyJ"]
)
@pytest.mark.parametrize(
    "unit",
    [
        '"', '\\"', "\\", "'", "{", "(", "<", "}", ",", "a", "a.", "a-", "a\\", "psk", "secret.",
        "secret = ", 'secret = "', "secret = {", "secret = ,", "secret]=", '"secret: ', "secret=x&",
        "{get() = 0x0", "eyJ", "eyJ-", "eyJabcdefghijkl.", "a://b:", "://:", "-----BEGIN ", "A ",
        "-----BEGIN PRIVATE KEY-----END ",
    ],
)  # fmt: skip
def test_long_values_take_no_longer_than_they_are_long(start: str, unit: str) -> None:
    # with the square of the length, each of these would be in danger of the timeout
    value = start + unit * (LONG // len(unit))
    assert len(shown(value) or "") <= 3 * LONG


@pytest.mark.parametrize("unit", ["psk", "a.", "secret_", "x", "\\", "{"])
def test_long_names_take_no_longer_than_they_are_long(unit: str) -> None:
    name = unit * (LONG // len(unit))
    secret = "secret" in name
    assert value_of(name + "!", '"x"') == (REDACTED if secret else '"x"')
    assert shown(f'{name} = "x"') == (f"{name} = {REDACTED}" if secret else f'{name} = "x"')
