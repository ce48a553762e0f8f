"""A secret in every place comes out of none; what only looks like one stays as it is."""

import json

import pytest

from evdiag.analyze.secrets import Secrets
from evdiag.analyze.secrets.hints import TEXT
from evdiag.analyze.secrets.stream import BYTES
from tests.support.planted import LOOKALIKES, PLACES, Planted, is_in

KEY = b"k" * 32
DOCUMENTS = ("config/", "container.json", "facts/")


def through(secrets: Secrets, file: str, text: str) -> str:
    """A file on its way into a bundle."""
    secrets.begin_file(file)
    raw = text.encode()
    if file.startswith(DOCUMENTS):
        return secrets.document(file, raw).decode()
    return b"".join(secrets.lines([raw])).decode()


def test_each_place_has_a_secret_of_its_own() -> None:
    assert len({planted.secret for planted in PLACES}) == len(PLACES) >= 50
    assert all(is_in(planted.secret, planted.text) for planted in PLACES)


@pytest.mark.parametrize("planted", PLACES, ids=lambda planted: planted.place)
def test_a_secret_does_not_come_through(planted: Planted) -> None:
    secrets = Secrets(KEY)
    clean = through(secrets, planted.file, planted.text)
    assert not is_in(planted.secret, clean), clean
    assert "<redacted-" in clean
    assert secrets.count_in_file() >= 1
    assert next(token.files for token in secrets.tokens()) == (planted.file,)
    # once is enough, and the rest is as it was
    assert through(Secrets(KEY), planted.file, clean) == clean
    if planted.file.endswith(".json"):
        assert json.loads(clean)


@pytest.mark.parametrize("planted", PLACES, ids=lambda planted: planted.place)
def test_a_report_does_not_have_it_either(planted: Planted) -> None:
    clean = Secrets(KEY).text(planted.text)
    if planted.place not in ("bare YAML", "list in YAML"):  # which need to be read as YAML
        assert not is_in(planted.secret, clean), clean


def test_all_places_in_one_bundle() -> None:
    secrets = Secrets(KEY)
    clean = [through(secrets, planted.file, planted.text) for planted in PLACES]
    for planted in PLACES:
        assert not any(is_in(planted.secret, text) for text in clean), planted.place
    assert len(secrets.tokens()) >= 50


@pytest.mark.parametrize("text", LOOKALIKES)
def test_what_only_looks_like_a_secret_stays(text: str) -> None:
    for whole in (text, f"2026-11-23 00:48:22.391672 [INFO] ocpp:OCPP :: {text}\n"):
        secrets = Secrets(KEY)
        assert secrets.text(whole) == whole
        assert b"".join(secrets.lines([whole.encode()])) == whole.encode()
        assert secrets.tokens() == ()


@pytest.mark.parametrize("name", ["x.json", "x.yaml", "x.env"])
@pytest.mark.parametrize("text", [text for text in LOOKALIKES if "must be" not in text])
def test_it_stays_in_files_too(name: str, text: str) -> None:
    assert Secrets(KEY).document(name, text.encode()) == text.encode()


@pytest.mark.parametrize("planted", PLACES, ids=lambda planted: planted.place)
def test_every_rule_has_a_hint(planted: Planted) -> None:
    assert BYTES.search(planted.text.lower().encode())
    assert TEXT.search(planted.text.lower())
