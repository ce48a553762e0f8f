"""Where the engine is looked for, and what is wrong with the way to it."""

import hashlib
import json
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from evdiag.adapters.docker import endpoint
from evdiag.adapters.docker.endpoint import find_endpoint
from evdiag.adapters.docker.engine import connect
from evdiag.errors import EngineError, EngineUnreachable, EvdiagError, UsageError
from tests.cli.conftest import Evdiag
from tests.support.wire import WireServer, reply, serving, serving_tcp

WRONG = [
    "rubbish", "/var/run/docker.sock", "unix://", "unix://var/run/docker.sock", "unix:///a#b",
    "unix:///a?b", "unix:///a;b", "unix:///a b", "tcp://", "tcp://host", "tcp://:2375",
    "tcp://host:0", "tcp://host:99999", "tcp://host:port", "http://[::1", "http://[::1]",
    "fd://", "ssh://", "npipe:////./pipe/docker_engine", "localhost:2375", "unix:///\udcff",
    "tcp://a:1\x1b[31m", "tcp://host:2375?x", "://", "tcp:/host:1",
]  # fmt: skip


@pytest.mark.parametrize("host", WRONG)
def test_what_is_no_address(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)

    with pytest.raises(UsageError) as error:
        connect()

    assert "DOCKER_HOST says" in str(error.value)
    assert "which is no address of a container engine" in str(error.value)
    assert "\x1b" not in str(error.value)
    assert "unix:///PATH/TO/SOCKET, tcp://HOST:PORT" in error.value.advice


def test_a_password_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://me:secret@host:2375")

    with pytest.raises(UsageError) as error:
        connect()

    assert "secret" not in str(error.value)


def test_a_path_that_no_socket_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///" + "a" * 107)

    with pytest.raises(UsageError, match="path of 108 bytes"):
        connect()


def test_ssh_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://me@host")

    with pytest.raises(EngineUnreachable, match="does not open ssh connections") as error:
        connect()

    assert "ssh -nNT -L" in error.value.advice


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("tcp://no-such-host.invalid:2375", "no such host"),
        ("tcp://127.0.0.1:{closed}", "nothing listens there"),
        (" tcp://127.0.0.1:{closed} ", "nothing listens there"),
    ],
)
def test_nobody_there(host: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as once:
        closed = once.getsockname()[1]
    address = host.format(closed=closed)
    monkeypatch.setenv("DOCKER_HOST", address)

    with pytest.raises(EngineUnreachable) as error:
        connect()

    assert str(error.value) == (
        f"no container engine answers at {address.strip()} (DOCKER_HOST): {said}"
    )


def test_over_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving_tcp() as (_, port):
        for scheme in ("tcp", "http"):
            monkeypatch.setenv("DOCKER_HOST", f"{scheme}://127.0.0.1:{port}")
            engine = connect()
            assert not engine.endpoint.is_local
            engine.close()


# -- TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, cert.pem and key.pem, valid for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", "/CN=engine", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
         "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder, check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    (folder / "ca.pem").write_bytes((folder / "cert.pem").read_bytes())
    return folder


@pytest.fixture
def context(certificates: Path) -> ssl.SSLContext:
    """The engine's side."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    return made


def encrypted(monkeypatch: pytest.MonkeyPatch, port: int, folder: Path) -> None:
    """What a user sets for an engine behind TLS."""
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{port}")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(folder))


def test_encryption_works(
    certificates: Path, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_tcp(context) as (server, port):
        encrypted(monkeypatch, port, certificates)
        connect().close()
    assert server.requests


def refused(kind: type[EvdiagError] = EngineUnreachable) -> EvdiagError:
    """How a connection ends that does not come about."""
    with pytest.raises(EvdiagError) as error:
        connect()
    assert type(error.value) is kind
    assert error.value.advice
    return error.value


def test_a_certificate_that_nobody_signed(
    tmp_path: Path, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_tcp(context) as (_, port):
        encrypted(monkeypatch, port, tmp_path)
        error = refused()
    assert "its certificate is not accepted, self-signed certificate" in str(error)
    assert "DOCKER_CERT_PATH" in error.advice


def test_encryption_on_one_side_only(
    certificates: Path, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_tcp() as (_, port):
        encrypted(monkeypatch, port, certificates)
        error = refused()
    assert "no encrypted connection came about" in str(error)
    assert "DOCKER_TLS_VERIFY" in error.advice


@pytest.mark.parametrize("name", ["ca.pem", "cert.pem", "key.pem"])
def test_files_for_encryption_that_are_none(
    name: str,
    certificates: Path,
    context: ssl.SSLContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for file in certificates.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_text("no certificate\n")

    with serving_tcp(context) as (_, port):
        encrypted(monkeypatch, port, tmp_path)
        error = refused()

    assert "127.0.0.1" in str(error)
    assert "no container engine answers at" in str(error)


# -- contexts


def make_context(folder: Path, name: str, meta: object) -> Path:
    """A context as the docker command keeps it; returns where its certificates go."""
    key = hashlib.sha256(name.encode()).hexdigest()
    path = folder / ".docker/contexts/meta" / key / "meta.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(meta if isinstance(meta, bytes) else json.dumps(meta).encode())
    return folder / ".docker/contexts/tls" / key / "docker"


def docker_endpoint(host: str) -> dict[str, object]:
    """The metadata of a context."""
    return {"Name": "x", "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No DOCKER_HOST: the context counts."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)


def test_the_context_of_the_environment_goes_before_the_current_one(
    home: Path, path: Path, nowhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_context(home, "mine", docker_endpoint(f"unix://{path}"))
    make_context(home, "other", docker_endpoint("unix:///nope"))
    (home / ".docker/config.json").write_text('{"currentContext": "other"}')

    assert str(find_endpoint()) == "unix:///nope (context other)"
    monkeypatch.setenv("DOCKER_CONTEXT", "mine")
    assert str(find_endpoint()) == f"unix://{path} (context mine)"
    with serving(path):
        connect().close()
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert find_endpoint().url == endpoint.DEFAULT


def test_a_context_with_certificates(
    home: Path,
    certificates: Path,
    context: ssl.SSLContext,
    nowhere: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "remote")
    with serving_tcp(context) as (server, port):
        folder = make_context(home, "remote", docker_endpoint(f"tcp://127.0.0.1:{port}"))
        folder.mkdir(parents=True)
        for file in certificates.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        connect().close()
    assert server.requests


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        (None, "there is no docker context 'odd'"),
        (b"{", "the docker context 'odd' cannot be read: "),
        (b"\xff", "the docker context 'odd' cannot be read: "),
        (b"[" * 99_999, "the docker context 'odd' cannot be read: "),
        ([1], "the docker context 'odd' cannot be read: "),
        ({"Endpoints": {"docker": {"Host": 7}}}, "the docker context 'odd' cannot be read: "),
        (docker_endpoint("npipe:////./pipe/docker_engine"), "context odd says 'npipe:"),
        (docker_endpoint("rubbish"), "context odd says 'rubbish', which is no address"),
    ],
    ids=["missing", "cut", "bytes", "deep", "list", "number", "windows", "rubbish"],
)
def test_contexts_of_no_use(
    meta: object, said: str, home: Path, nowhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "odd")
    if meta is not None:
        make_context(home, "odd", meta)

    error = refused(UsageError)

    assert said in str(error)


def test_a_socket_of_docker_desktop_is_found(
    home: Path, nowhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "DEFAULT", "unix:///nope/docker.sock")
    assert find_endpoint().origin == "default"
    place = home / ".docker/run"
    place.mkdir(parents=True)
    monkeypatch.chdir(place)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("docker.sock")
        assert str(find_endpoint()) == f"unix://{place}/docker.sock (found)"


# -- docker's configuration, which the SDK reads

CONFIGS: list[tuple[str, bytes]] = [
    ("empty", b""),
    ("cut", b'{"auths": {'),
    ("bytes", b"\xff\xfe\x00"),
    ("list", b"[1]"),
    ("text", b'"x"'),
    ("deep", b"[" * 99_999),
    ("auths", b'{"auths": [1]}'),
    ("auth", b'{"auths": {"x": {"auth": 3}}}'),
    ("not-base64", b'{"auths": {"x": {"auth": "%%%"}}}'),
    ("no-colon", b'{"auths": {"x": {"auth": "aGVsbG8="}}}'),
    ("proxies", b'{"proxies": 3}'),
    ("proxy", b'{"proxies": {"default": [1]}}'),
    ("context", b'{"currentContext": 3}'),
]


@pytest.mark.parametrize("content", [c[1] for c in CONFIGS], ids=[c[0] for c in CONFIGS])
def test_a_configuration_of_no_use(content: bytes, home: Path, server: WireServer) -> None:
    """Either it does not matter, or it is named."""
    (home / ".docker").mkdir()
    (home / ".docker/config.json").write_bytes(content)

    try:
        connect().close()
    except UsageError as error:
        said = (str(error), error.advice)
        assert said[0].startswith("docker's own configuration cannot be used: ")
        assert "config.json" in said[1]
    else:
        assert server.requests


def test_proxies_and_logins_of_the_environment_do_not_matter(
    home: Path, server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://[::1")
    (home / ".netrc").write_text("machine localhost login \x00 {{{\n")

    connect().close()

    assert server.requests


# -- by the command line


@pytest.mark.parametrize("command", ["stop", "logs", "status", "shell", "mqtt"])
def test_each_command_says_it_and_ends(
    command: str, evdiag: Evdiag, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    said = evdiag(command)
    assert (said.code, said.out) == (4, "")
    assert said.err.startswith(
        f"evdiag: no container engine answers at unix://{path} (DOCKER_HOST): there is no such "
    )
    assert "\n  -> Start it" in said.err

    monkeypatch.setenv("DOCKER_HOST", "rubbish")
    said = evdiag(command)
    assert (said.code, said.out) == (2, "")
    assert "DOCKER_HOST says 'rubbish'" in said.err

    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with serving(path) as server:
        server.on("/json", reply({"message": "No such container: everest"}, 404))
        server.on("/containers/json", reply([]))
        said = evdiag(command)
    assert (said.code, said.out) == (5, "")
    assert said.err == (
        "evdiag: there is no container called everest\n"
        "  -> `evdiag run` starts a charger; another one's name is given with --name.\n"
    )


def test_engine_errors_are_all_of_exit_code_4() -> None:
    kinds = EngineError.__subclasses__()
    assert len(kinds) >= 5
    assert {int(kind.exit_code) for kind in kinds} == {4}
