"""How secrets are found in texts: tokens, names, structures, values, whatever the text is."""

import base64
import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evdiag.analyze.secrets import Secrets, why_not_copied
from evdiag.analyze.secrets.names import is_distinctive, kind_of
from evdiag.analyze.secrets.stream import CHUNK, LONGEST_RECORD
from evdiag.analyze.secrets.tokens import Ledger
from evdiag.model.bundle import Token

KEY = b"k" * 32
OTHER = b"o" * 100  # longer than a block


def clean(text: str, *learned: tuple[str, str]) -> str:
    secrets = Secrets(KEY)
    secrets.learn(learned)
    return secrets.text(text)


def token(secret: str) -> str:
    return Ledger(KEY).token(secret.encode().decode("latin-1"))


def log(secrets: Secrets, *pieces: bytes) -> bytes:
    return b"".join(secrets.lines(pieces))


# -- tokens


def test_the_same_secret_has_the_same_token_wherever_it_stands() -> None:
    secret = 'pä"ss\\wörd/7'
    secrets = Secrets(KEY)
    coded = json.dumps({"password": secret})
    header = base64.b64encode(f"CP1:{secret}".encode()).decode()
    texts = [
        f'{{"password": {json.dumps(secret, ensure_ascii=False)}}}',
        coded,
        json.dumps({"payload": coded}),
        json.dumps({"payload": json.dumps({"payload": coded})}),
        f"password: '{secret}'",
        f"Authorization: Basic {header}",
        "ws://cp1:p%C3%A4%22ss%5Cw%C3%B6rd%2F7@host/x",
    ]
    assert {token(secret)} == {t.token for text in texts if secrets.text(text) for t in
                               secrets.tokens()}  # fmt: skip
    raw = [secrets.document("x.json", text.encode()) for text in texts[:4]]
    assert all(token(secret).encode() in one for one in raw)
    assert json.loads(raw[2]) == {"payload": json.dumps({"password": token(secret)})}


def test_tokens_are_hmac_sha256() -> None:
    import hmac

    for key in (KEY, OTHER, b""):
        expected = hmac.new(key, b"hunter2", "sha256").hexdigest()[:8]
        assert Ledger(key).token("hunter2") == f"<redacted-{expected}>"


def test_tokens_are_counted_by_file() -> None:
    secrets = Secrets(KEY)
    secrets.begin_file("a")
    log(secrets, b"password=hunter21 password=hunter21 psk=other999\n")
    assert secrets.count_in_file() == 3
    secrets.begin_file("b")
    assert secrets.count_in_file() == 0
    log(secrets, b"see hunter21\n")
    first, second = secrets.tokens()
    assert (first.token, first.kind, first.count, first.files) == (
        token("hunter21"), "password", 3, ("a", "b"),
    )  # fmt: skip
    assert (second.kind, second.count, second.files) == ("key", 1, ("a",))


def test_an_earlier_run_goes_on() -> None:
    before = Token(token=token("hunter21"), kind="password", count=2, files=("a",))
    secrets = Secrets(KEY, (before,))
    secrets.begin_file("b")
    log(secrets, b"passphrase=hunter21\n")
    assert secrets.tokens() == (
        Token(token=token("hunter21"), kind="password", count=3, files=("a", "b")),
    )


def test_the_list_of_tokens_is_bounded() -> None:
    ledger = Ledger(KEY)
    assert len({ledger.used(f"hunter{n}", "password") for n in range(21_000)}) > 20_990
    assert len(ledger.tokens()) == 10_000
    ledger.begin_file("")
    assert [len(ledger.tokens()[0].files), ledger.count_in_file()] == [0, 0]


def test_the_list_of_files_is_bounded() -> None:
    ledger = Ledger(KEY)
    for n in range(300):
        ledger.begin_file(f"f{n}")
        ledger.used("hunter2", "password")
    assert [len(token.files) for token in ledger.tokens()] == [200]


def test_known_tokens_are_met_without_a_name() -> None:
    known = (
        Token(token=token("TOKEN-77-X"), kind="id-token"),
        Token(token=token("p:ss=77&x"), kind="password"),
        Token(token=token("short"), kind="password"),
        Token(token=token("1234"), kind="id-token"),
    )
    secrets = Secrets(KEY, known)
    with secrets.ledger.watched() as used:
        text = secrets.text("what: id=TOKEN-77-X, and p:ss=77&x. short 1234 words")
    assert text == f"what: id={token('TOKEN-77-X')}, and {token('p:ss=77&x')}. short 1234 words"
    assert sorted(used.values()) == [("id-token", 1), ("password", 1)]


# -- by value


@pytest.mark.parametrize(
    "secret", ["hunter2hunter", 'a"b\\c/d&e f', "pä$$wört €7", "x" * 300 + "1"]
)
@pytest.mark.parametrize("name", ["OCPP_PASSWORD", "private_key"])
def test_a_secret_with_a_name_is_found_wherever_it_is(secret: str, name: str) -> None:
    from urllib.parse import quote, quote_plus

    raw = secret.encode()
    places = [
        secret, json.dumps(secret), json.dumps(json.dumps(secret)), quote(secret, safe=""),
        quote_plus(secret), json.dumps(secret, ensure_ascii=False),
        *(base64.b64encode(b"i" * n + b":" + raw).decode() for n in range(3)),
        *(base64.urlsafe_b64encode(b"i" * n + b":" + raw + b"!").decode() for n in range(3)),
    ]  # fmt: skip
    for place in places:
        shown = clean(f"x ({place}) y", (name, secret))
        assert shown.replace('"', "").replace("\\", "") == f"x ({token(secret)}) y", place
        secrets = Secrets(KEY)
        secrets.learn({name: secret})
        line = f"x ({place}) y\n".encode()
        assert token(secret).encode() in log(secrets, line)


@pytest.mark.parametrize(
    "value",
    ["", "abc", "true", "none", "1234", "12345", "password", "Accepted", "0", "everest",
     "pin", "charger"],
)  # fmt: skip
def test_values_that_stand_everywhere_are_not_looked_for(value: str) -> None:
    text = f"see {value} here"
    assert clean(text, ("password", value)) == text
    assert not is_distinctive(value)


def test_the_chargers_own_name_is_no_secret() -> None:
    text = "OCPP as CP-0001 to ws://host/CP-0001"
    assert clean(text, ("OCPP_PASSWORD", "CP-0001"), ("OCPP_ID", "CP-0001")) == text
    secrets = Secrets(KEY)
    secrets.document("c.json", b'{"ChargePointId": "CP-0001", "AuthorizationKey": "CP-0001"}')
    assert secrets.text(text) == text


def test_short_secrets_are_words_of_their_own() -> None:
    assert clean("ab12x xab12 ab12", ("psk", "ab12")) == f"ab12x xab12 {token('ab12')}"
    assert clean("1.123456 123456", ("password", "123456")) == f"1.123456 {token('123456')}"
    assert clean("trapped", ("password", "trap1")) == "trapped"
    assert clean("abcdefghijk abcdefgh", ("password", "abcdefgh")) == (
        f"abcdefghijk {token('abcdefgh')}"
    )


def test_secrets_in_addresses_are_learned() -> None:
    pairs = (("CSMS", "wss://cp1:Geheim77@host/x"), ("OTHER", "wss://host/x"))
    assert clean("with Geheim77", *pairs) == f"with {token('Geheim77')}"


def test_the_set_of_learned_secrets_is_bounded() -> None:
    secrets = Secrets(KEY)
    secrets.learn((f"PASSWORD_{n}", f"hunter-{n:05}") for n in range(5000))
    assert secrets.known == 256
    secrets.learn({"password": "y" * 10_000})
    assert secrets.known == 256


# -- structures


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ('{"value": "s1x", "key": "AuthorizationKey"}', ["s1x"]),
        ('{"value": "s1x", "key": "HeartbeatInterval"}', []),
        ('{"a": {"value": "s1x", "n": [1, {"value": "s2x"}]}, "key": "psk"}', []),
        ('{"name": "psk", "value": 12345}', ["12345"]),
        ('{"password": 1234567, "n": 5}', ["1234567"]),
        ('{"secrets": ["s1x", "s2x"], "n": ["s3x"]}', ["s1x", "s2x"]),
        ('{"credentials": {"user": "s1x", "type": "s2x", "n": 5}}', ["s1x"]),
        ('{"idToken": {"idToken": "s1x", "type": "Central"}}', ["s1x"]),
        ('{"id_token": {"value": "s1x", "type": "RFID"}, "value": "s2x"}', ["s1x"]),
        ('{"$": "0123456789abcdef0123456789abcdefAAAABBBB=="}',
         ["0123456789abcdef0123456789abcdefAAAABBBB=="]),
        ('["--api-key", "s1x", "--password", "--x", "-P", "s2x", "--psk"]', ["s1x"]),
        ('["/usr/bin/mosquitto_pub", "--pw", "s1x", "-P", "s2x", "--token=s3x"]', ["s1x", "s2x"]),
        ('["--api-key=s1x, y", "A_SECRET=s2x", "A_SECRET=", "B=s3x"]', ["s1x, y", "s2x"]),
        # damaged
        ('{"key": "psk", "value": "s1x"', ["s1x"]),
        ('{"key": "psk", "value": "s1x', ["s1x"]),
        ('{"key": "psk" "value": "s1x"]}', ["s1x"]),
        ('x } ] {"key": "psk", ] "value": "s1x"}', ["s1x"]),
        ('say "{ {"key": "psk", "value": "s1x"}', ["s1x"]),
        ("{'key': 'psk', 'value': 's1x'}", ["s1x"]),
        ("[" * 500 + '{"psk": "s1x"}' + "]" * 500, ["s1x"]),
    ],
)  # fmt: skip
def test_structures(text: str, hidden: list[str]) -> None:
    expected = text
    for secret in hidden:
        expected = expected.replace(secret, token(secret))
    assert clean(text) == expected
    assert Secrets(KEY).document("x.json", text.encode()).decode() == expected


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a_password: |\n   one\n   two\nb: 1\n", "a_password: |\n   {one\n   two}\nb: 1\n"),
        ("psk: >-  # c\n  one\n\n  two\nb: 1", "psk: >-  # c\n  {one\n\n  two}\nb: 1"),
        ("psk: 'it''s #1' # no\n", "psk: '{it''s #1}' # no\n"),
        ('psk: "a\\"b" # no\n', 'psk: "{a\\"b}" # no\n'),
        (
            "psk: &anchor\npsk: {a: 1}\npsk:\n  a: 1\n",
            "psk: &anchor\npsk: {{a: 1}}\npsk:\n  a: 1\n",
        ),
        ("- value: s1x9\n  name: psk\n", "- value: {s1x9}\n  name: psk\n"),
        ("- name: psk\n  x: 1\n  value: s1x9\n", "- name: psk\n  x: 1\n  value: {s1x9}\n"),
        (
            "name: psk\naa: 1\nbb: 1\ncc: 1\nvalue: s1x9\n",
            "name: psk\naa: 1\nbb: 1\ncc: 1\nvalue: s1x9\n",
        ),
        ("value: s1x9\nname: other\nvalue: s2x9\n", "value: s1x9\nname: other\nvalue: s2x9\n"),
    ],
)
def test_lines_of_files(text: str, left: str) -> None:
    import re

    def made(match: re.Match[str]) -> str:
        inside = match[1].replace("''", "'") if "''" in match[1] else match[1]
        return token(inside.replace('\\"', '"'))

    expected = (
        re.sub(r"(?<!\{)\{([^{}]*)\}(?!\})", made, left).replace("{{", "{").replace("}}", "}")
    )
    assert Secrets(KEY).document("x.yaml", text.encode()).decode() == expected


def test_a_pass_word_of_a_log_ends_where_the_next_thing_begins() -> None:
    for end in (", b", ";b", "&b", '"b', "'b", ")b", "]b", "}b", "<b", "|b", " b", "\tb", "\nb"):
        assert clean(f"(password=hunter2{end}") == f"(password={token('hunter2')}{end}"


@pytest.mark.parametrize("text", ["psk: |\nb: 1\n", "EVCCID: 5\n", "psk: >\n\n"])
def test_lines_without_a_secret(text: str) -> None:
    assert Secrets(KEY).document("x.yaml", text.encode()) == text.encode()


def test_a_quote_that_is_not_closed() -> None:
    cut = Secrets(KEY).document("x.yaml", b"a_password: 'one9x two\nb: 1\n")
    assert b"one9x" not in cut
    assert cut.endswith(b"\nb: 1\n")


def test_csv_and_html_quotes() -> None:
    assert clean('"{""password"":""hunter2"",""n"":1}"') == (
        f'"{{""password"":""{token("hunter2")}"",""n"":1}}"'
    )
    assert clean("&quot;psk&quot;:&quot;hunter2&quot;") == (
        f"&quot;psk&quot;:&quot;{token('hunter2')}&quot;"
    )


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("https://u:p1x9@h/a@b", "u:p1x9"),
        ("ws://a:b1x9@c,ws://d:b1x9@f", "a:b1x9"),
        ("ws://u:p/a@h:1/x", "u:p/a"),
        ("http://h:80/path@x", ""),
        ("http://[::1]:80/a@b", ""),
        ("ssh://git@github.example/x", ""),
        ("https://ghp0123456789abcdef@github.example/x", "ghp0123456789abcdef"),
        ("http:\\/\\/u:p1x9@h\\/a", "u:p1x9"),
        ("https://h/?a=1&amp;sig=Ab1Cd2Ef3", "Ab1Cd2Ef3"),
        ("https://h/?token=5&key=none", ""),
        ("Cookie: session=abc123def456", "session=abc123def456"),
        ("X-Api-Key: abc123def456", "abc123def456"),
        ("Authorization: Digest abc123def456", "abc123def456"),
        ("Authorization: Basic ////", "////"),
        ("auth: Bearer abcdefgh", "abcdefgh"),
        ("see Bearer abcdefgh", ""),
        ("Basic QUFBQUFBQUE= and Basic !!!!", ""),
        ("<v:EVCCID a='b'>0242AC120002</v:EVCCID>", "0242AC120002"),
        ("<EVCCID/><Status>5</Status>", ""),
        ("eMAID DE-ABC-C12345678-9 is", "DE-ABC-C12345678-9"),
        ("for idToken TAG12345 from", "TAG12345"),
        ("IdTag TAG12345 in auth list", "TAG12345"),
        ("Received new token: {", ""),
    ],
)
def test_shapes(text: str, hidden: str) -> None:
    shown = clean(text)
    assert (hidden not in shown and "<redacted-" in shown) if hidden else shown == text


def test_names() -> None:
    kinds = {
        "AuthorizationKey": "key", "BasicAuthPassword": "password", "SimPin": "password",
        "VpnKey": "key", "APN_PASSWORD": "password", "MQTT_PASS": "password", "tls-psk": "key",
        "IDTAG": "id-token", "parent_id_tag": "id-token", "masterPassGroupId": "id-token",
        "evMac": "vehicle", "VIN": "vehicle", "contract_id": "contract", "bypass": None,
        "password_file": None, "secretary": None, "psking": None,
        "x" * 500 + "_password": "password",
    }  # fmt: skip
    assert {name: kind_of(name) for name in kinds} == kinds


# -- streams


def test_pieces_of_any_size_give_the_same() -> None:
    text = (
        b"2026-11-22T22:35:31.208Z: CentralSystem>ChargePoint   SetVariables\n[\n  2,\n  {\n"
        b'    "attributeValue": "hunterAAA",\n    "variable": {\n      "name": "psk"\n    }\n  }\n]'
        b"\n\n2026-11-23 00:48:30.3 [INFO] x :: hello \xff\xfe\x00 world\nhunterAAA psk=hunterBBB"
    )
    whole = log(Secrets(KEY), text)
    assert b"hunter" not in whole
    assert b"hello \xff\xfe\x00 world\n" in whole
    for size in (1, 7, 50):
        pieces = [text[i : i + size] for i in range(0, len(text), size)]
        assert log(Secrets(KEY), *pieces) == whole
    assert log(Secrets(KEY)) == b""


def test_nothing_is_lost_where_a_long_log_is_cut() -> None:
    line = b"2026-11-23 00:48:30.312254 [INFO] x:X :: nothing to see here, really nothing\n"
    secret = b'2026-11-23 00:48:30.312254 [INFO] x:X :: got {\n    "id_token": {\n        "type": '
    secret += b'"RFID",\n        "value": "TOKEN-77-X"\n    }\n}\n'
    key = b"-----BEGIN PRIVATE KEY-----\n" + b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo\n" * 40
    key += b"-----END PRIVATE KEY-----\n"
    for shift in (0, 500, 620, 1500):
        head = line * (CHUNK // len(line) - 12)
        text = head + b"." * shift + b"\n" + secret + key + line * 4_000
        out = log(Secrets(KEY), text)
        assert out == text.replace(b"TOKEN-77-X", token("TOKEN-77-X").encode()).replace(
            key, next(out[i : i + 19] for i in [out.find(b"<redacted-", out.find(b"}\n}"))]) + b"\n"
        )


@pytest.mark.parametrize("unit", [b"x", b"x ", b"psk="])
def test_a_line_without_an_end_is_cut(unit: bytes) -> None:
    secrets = Secrets(KEY)
    sizes = [len(one) for one in secrets.lines(unit * (200_000 // len(unit)) for _ in range(7))]
    assert max(sizes) <= 8 * LONGEST_RECORD
    assert len(sizes) >= 2
    assert unit != b"x" or sum(sizes) == 7 * 200_000


def test_a_message_that_is_longer_than_a_piece_stays_together() -> None:
    lines = b"      1,\n" * 40_000
    text = b'[\n  {\n    "attributeValue": "hunterAAA",\n    "x": [\n' + lines
    text += b'    ],\n    "variable": {\n      "name": "psk"\n    }\n  }\n]\n'
    pieces = (text[i : i + 100_000] for i in range(0, len(text), 100_000))
    assert log(Secrets(KEY), *pieces) == text.replace(b"hunterAAA", token("hunterAAA").encode())


def test_a_secret_across_a_cut_is_gone() -> None:
    pieces = [b"password=" + b"hunter" * 200_000, b"hunter" * 100_000, b" after\n"]
    out = log(Secrets(KEY), *pieces)
    assert b"hunter" not in out
    assert out.endswith(b" after\n")


def test_a_secret_is_gone_that_was_met_before_its_name() -> None:
    out = log(Secrets(KEY), b"try hunter2hunter2\nagain\npassword=hunter2hunter2\n")
    assert b"hunter" not in out


# -- whatever the text is

PIECES = st.sampled_from(
    [
        "password", "psk", "key", "value", "name", "variable", "attributeValue", "idToken", "idTag",
        "AuthorizationKey", "type", "s3cretX", '"', '\\"', "\\\\\\\"", "'", "\\", "{", "}", "[",
        "]", ":", ",", "=", " ", "\n", "-", "--", "-P", "mosquitto_pub", "://", "@", "/", "?",
        "&", "sig", "eyJ", "abcdefghijkl", ".", "Basic ", "Bearer ", "Authorization: ", "\x1b[1m",
        "\x1b[0m", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "<", ">", "</",
        "EVCCID", "|",
        "ä", "€", "\udc80", "12345", "&quot;", "<redacted-1a2b3c4d>", "<redacted>", "\\u00e4",
        "\\n", "# ", "token: ", "  ",
    ]
)  # fmt: skip
ANY = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=60),
    st.lists(PIECES, max_size=40).map("".join),
)


@given(ANY)
@example('{"psk":"\\ud83d\\ude00","key')
@example("psk=\x1b[1m\x1b[0m")
def test_any_text_is_clean_after_once(text: str) -> None:
    once = Secrets(KEY).text(text)
    again = Secrets(KEY).text(once)
    assert again == once
    raw = text.encode("utf-8", "surrogatepass")
    out = log(Secrets(KEY), raw)
    assert log(Secrets(KEY), raw[:7], raw[7:]) == out
    for name in ("x.json", "x.yaml"):
        assert len(Secrets(KEY).document(name, raw)) <= 20 * len(raw) + 20


@given(ANY, ANY)
def test_a_secret_in_quotes_is_never_shown(before: str, after: str) -> None:
    sign = "hunter2hunter2"
    for named in (f'"password": "{sign}"', f"password='{sign}'", f"--password {sign} "):
        text = f"{before}\n{named}\n{after}"
        assert sign not in Secrets(KEY).text(text)


MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    "unit",
    [
        "psk=", 'psk="', "psk='", '"psk":', '{"psk":', "[", "{", "}", '"', '\\"', "\\", "'",
        "a://", "a://b:c@", "a://b", "-----BEGIN PRIVATE KEY-----", "eyJabcdefghijkl.", "eyJ",
        "--psk ", "-P ", "mosquitto_pub -P ", "<psk>", "<EVCCID ", "Basic ", "Bearer ", "@",
        "Authorization: ", "?sig=", "&quot;", "\x1b[1m", "\x1b", "psk: |\n ", "key: psk\n",
        "value: x1\n", "hunter", "hunter2", "aHVudGVy", "token: ", "new token: x ", "a", "a ", "\n",
        "-u a:b ", "psk\x1b[0m=", '{"key":"psk","value":"x",', "psk=\\\\\\\"",
    ],
)  # fmt: skip
def test_hostile_texts_take_no_longer_than_they_are_long(unit: str) -> None:
    secrets = Secrets(KEY)
    secrets.learn({"a_password": "hunter2hunter2"})
    size = MEGABYTE // 32  # with the square of the length, this would take longer by far
    begun = time.process_time()
    secrets.text(unit * (size // len(unit)))
    secrets.document("x.yaml", (unit * (size // len(unit))).encode())
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ("path", "copied"),
    [
        ("/etc/everest/certs/client/csms/CSMS_LEAF.pem", False),
        ("certs/ca/csms/CSMS_ROOT_CA.pem", True),
        ("x/SECC_LEAF.key", False),
        ("x/cert.P12", False),
        ("a.jks", False),
        ("a.pkcs12", False),
        ("/tmp/ocpp_tls_keylog.txt", False),
        ("/tmp/ocpp_tlskey.log", False),
        ("/tmp/tls_session_keys.log", False),
        ("/tmp/ocpp201/cp.db", False),
        ("x/CP1.db-wal", False),
        ("x/a.sqlite3", False),
        ("/run/mosquitto/passwords", False),
        ("/run/evdiag/dashboard-password", False),
        ("logs/dashboard-password.log", True),
        ("config/everest.yaml", True),
        ("logs/everest.log", True),
        ("keyboard.log", True),
        ("dbus.log", True),
    ],
)
def test_files_that_are_never_copied(path: str, copied: bool) -> None:
    assert (why_not_copied(path) is None) == copied
