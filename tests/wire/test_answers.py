"""The engine's sentences, of several versions, as evdiag's own errors."""

import pytest

from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.adapters.docker.errors import translated
from evdiag.errors import (
    ContainerStopped,
    DiskFull,
    EngineForbidden,
    EngineRefused,
    EngineTooOld,
    EngineUnreachable,
    EvdiagError,
    NameInUse,
    NoSuchContainer,
    NoSuchImage,
    NotReady,
    PortInUse,
)
from tests.support.wire import WireServer, recorded, refusal, reply

ENGINES = ("20.10", "26", "28")
ID = "4717c68022ba2d43157492cae07935022019a7fdd9aee4f5cec0fcf67c4a8818"

RECORDED: dict[str, tuple[type[EvdiagError], str]] = {
    "no-image": (NoSuchImage, "there is no image nope:latest"),
    "create-no-image": (NoSuchImage, "there is no image nope:latest"),
    "bad-platform": (NoSuchImage,
                     "could not start everest: the image is for linux/amd64, not for linux/arm64"),
    "no-container": (NoSuchContainer, "there is no container called nope"),
    "name-in-use": (NameInUse, "there is a container called everest already"),
    "port-in-use": (PortInUse, "another program listens on 127.0.0.1:1880 already"),
    "port-allocated": (PortInUse, "another container listens on 127.0.0.1:1880 already"),
    "foreign-address": (NotReady, "this machine has no address 192.0.2.7"),
    "exec-not-running": (ContainerStopped, "could not start everest: the container does not run"),
    "exec-paused": (ContainerStopped, "could not start everest: the container is paused"),
    "no-exec": (NoSuchContainer, "could not start everest: the container was removed meanwhile"),
    "too-new": (EngineTooOld,
                "the container engine knows its API up to {api}, evdiag asked for 1.99"),
    "too-old": (EngineTooOld, "the container engine wants API {least} or later, evdiag spoke 1.10"),
    "pull": (NoSuchImage, "could not start everest: the registry nope.invalid cannot be reached"),
}  # fmt: skip
"""What engines have said when they were asked for something that cannot be."""


def complain(engine: ContainerEngine, server: WireServer, answer: bytes) -> EvdiagError:
    """What becomes of an answer."""
    server.on("/start$", answer)
    with pytest.raises(EvdiagError) as error, translated("start everest"):
        engine.api.start("everest")
    return error.value


@pytest.mark.parametrize("case", RECORDED)
@pytest.mark.parametrize("version", ENGINES)
def test_what_engines_have_said(
    version: str, case: str, engine: ContainerEngine, server: WireServer
) -> None:
    answers = recorded(version)
    about, said = answers["version"].body, answers[case]
    body = said.body.encode() if isinstance(said.body, str) else said.body

    error = complain(engine, server, reply(body, said.status))

    expected, message = RECORDED[case]
    assert type(error) is expected
    assert str(error) == message.format(api=about["ApiVersion"], least=about["MinAPIVersion"])
    assert error.advice


DOCUMENTED: list[tuple[int, str, type[EvdiagError], str, str]] = [
    # podman 4 and 5: libpod's errors and c/image's
    (409, "creating container storage: the container name \"everest\" is already in use by "
          f"{ID}. You have to remove that container to be able to reuse that name: that name is "
          "already in use", NameInUse, "there is a container called everest already", "--replace"),
    (500, "rootlessport listen tcp 127.0.0.1:1880: bind: address already in use",
     PortInUse, "another program listens on 127.0.0.1:1880 already", "--port"),
    (500, "rootlessport cannot expose privileged port 80, you can add "
          "'net.ipv4.ip_unprivileged_port_start=80' to /etc/sysctl.conf",
     NotReady, "could not start everest: the engine may not listen on a port below 1024", "--port"),
    (404, "failed to find image nope: nope: No such image",
     NoSuchImage, "there is no image nope", "evdiag build"),
    (404, "no container with name or ID \"nope\" found: no such container",
     NoSuchContainer, "there is no container called nope", "evdiag run"),
    (409, "can only create exec sessions on running containers: container state improper",
     ContainerStopped, "could not start everest: the container does not run", "--replace"),
    (500, "initializing source docker://nope:latest: reading manifest latest in "
          "docker.io/library/nope: requested access to the resource is denied", NoSuchImage,
     "could not start everest: there is no such image, or its registry wants a login", "login"),
    # Docker Desktop
    (500, "Ports are not available: exposing port TCP 127.0.0.1:1880 -> 0.0.0.0:0: listen tcp "
          "127.0.0.1:1880: bind: address already in use",
     PortInUse, "another program listens on 127.0.0.1:1880 already", "--port"),
    # moby 20.10 to 28: daemon/, libnetwork/, distribution/, api/server
    (500, "driver failed programming external connectivity on endpoint everest (e0cc): Error "
          "starting userland proxy: listen tcp6 [::1]:1880: bind: address already in use",
     PortInUse, "another program listens on [::1]:1880 already", "--port"),
    (500, "driver failed programming external connectivity on endpoint everest (e0cc): Bind for "
          ":::1880 failed: port is already allocated",
     PortInUse, "another container listens on :::1880 already", "--port"),
    (500, "listen tcp: address already in use",
     PortInUse, "another program listens on the port already: listen tcp: address already in use",
     "--port"),
    (500, "driver failed programming external connectivity: listen tcp4 127.0.0.1:80: bind: "
          "permission denied",
     NotReady, "could not start everest: the engine may not listen on 127.0.0.1:80", "--port"),
    (409, "Container everest is restarting, wait until the container is running",
     ContainerStopped, "could not start everest: the container is restarting", "evdiag logs"),
    (500, "cannot exec in a stopped container: unknown",
     ContainerStopped, "could not start everest: the container does not run", "--replace"),
    (409, f"removal of container {ID} is already in progress", NoSuchContainer,
     "could not start everest: the container was removed meanwhile", "evdiag run"),
    (409, "can not get logs from container which is dead or marked for removal", NoSuchContainer,
     "could not start everest: the container was removed meanwhile", "evdiag run"),
    (409, "container is marked for removal and cannot be started", NoSuchContainer,
     "could not start everest: the container was removed meanwhile", "evdiag run"),
    (404, f"No such container: {ID}",
     NoSuchContainer, f"there is no container called {ID[:12]}", "evdiag run"),
    (500, "write /var/lib/docker/overlay2/x/diff/a: no space left on device", DiskFull,
     "could not start everest: the engine's disk is full (/var/lib/docker/overlay2/x/diff/a)",
     "docker system df"),
    (500, "failed to copy files: copy file range failed: no space left on device",
     DiskFull, "could not start everest: the engine's disk is full", "docker system prune"),
    (500, "mkdir /home/me/.local/share/docker/x: disk quota exceeded", DiskFull,
     "could not start everest: the engine's disk is full (/home/me/.local/share/docker/x)",
     "docker system df"),
    (404, "pull access denied for me/nope, repository does not exist or may require 'docker login'"
          ": denied: requested access to the resource is denied", NoSuchImage,
     "the image me/nope cannot be pulled: there is none, or it is private", "docker login"),
    (404, "manifest for debian:nope not found: manifest unknown: manifest unknown", NoSuchImage,
     "the image debian:nope cannot be pulled: its registry does not have it", "name"),
    (404, "failed to resolve reference \"docker.io/library/debian:nope\": "
          "docker.io/library/debian:nope: not found", NoSuchImage,
     "the image docker.io/library/debian:nope cannot be pulled: its registry does not have it",
     "name"),
    (500, "toomanyrequests: You have reached your pull rate limit.",
     NoSuchImage, "could not start everest: the registry gives no more for now", "Wait"),
    (500, "Get \"https://registry-1.docker.io/v2/\": net/http: request canceled while waiting for "
          "connection (Client.Timeout exceeded while awaiting headers)", NoSuchImage,
     "could not start everest: the registry registry-1.docker.io cannot be reached", "registry"),
    (400, "client version 1.51 is too new. Maximum supported API version is 1.43",
     EngineTooOld, "the container engine knows its API up to 1.43, evdiag asked for 1.51", "20.10"),
    (400, "client version 1.40 is too old. Minimum supported API version is 1.44, please upgrade "
          "your client to a newer version", EngineTooOld,
     "the container engine wants API 1.44 or later, evdiag spoke 1.40", "pip install --upgrade"),
    (400, "client is newer than server (client API version: 1.24, server API version: 1.19)",
     EngineTooOld, "the container engine knows its API up to 1.19, evdiag asked for 1.24", "20.10"),
    # plugins and proxies before the socket
    (403, "authorization denied by plugin opa: no", EngineForbidden,
     "could not start everest: authorization denied by plugin opa: no", "proxy"),
    # what evdiag does not know
    (500, "OCI runtime create failed: error setting rlimit type 4: operation not permitted: "
          "unknown", EngineRefused,
     "could not start everest: OCI runtime create failed: error setting rlimit type 4: operation "
     "not permitted: unknown", "log"),
    (418, "", EngineRefused,
     "could not start everest: the container engine answered with status 418", "log"),
]  # fmt: skip
"""Sentences from documentation and sources: (status, sentence, error, what evdiag says, advice)."""


@pytest.mark.parametrize(
    ("status", "sentence", "kind", "said", "advice"),
    DOCUMENTED,
    ids=[f"{number}" for number, _ in enumerate(DOCUMENTED)],
)
def test_what_engines_are_known_to_say(
    status: int,
    sentence: str,
    kind: type[EvdiagError],
    said: str,
    advice: str,
    engine: ContainerEngine,
    server: WireServer,
) -> None:
    error = complain(engine, server, refusal(sentence, status))

    assert (type(error), str(error)) == (kind, said)
    assert advice in error.advice


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (reply(b"<html><h1>403 Forbidden</h1></html>", 403), EngineForbidden,
         "could not start everest: the engine does not allow it"),
        (reply(b"\xff\xfe", 500), EngineRefused, "could not start everest: "),
        (reply(["list"], 500), EngineUnreachable,
         "could not start everest: what came back is no answer"),
        (reply({"cause": "none"}, 500), EngineUnreachable,
         "could not start everest: what came back is no answer"),
        (reply({"message": {"deep": 1}}, 500), EngineRefused, "could not start everest: {'deep'"),
        (refusal("\x1b[31mred\n\nline" + "x" * 5000), EngineRefused,
         "could not start everest: \x1b[31mred line"),
        (reply(b"Client sent an HTTP request to an HTTPS server.\n", 400), EngineUnreachable,
         "the container engine speaks TLS, and evdiag was not told to"),
    ],
    ids=["page", "bytes", "list", "no-message", "object", "long", "tls"],
)  # fmt: skip
def test_errors_that_are_no_sentences(
    answer: bytes, kind: type[EvdiagError], said: str, engine: ContainerEngine, server: WireServer
) -> None:
    error = complain(engine, server, answer)

    assert type(error) is kind
    assert str(error).startswith(said)
    assert len(str(error)) < 700
    assert "\n" not in str(error)


@pytest.mark.parametrize("version", ENGINES)
def test_each_engine_is_spoken_to_in_its_own_version(version: str, server: WireServer) -> None:
    from evdiag.adapters.docker.engine import connect

    answers = recorded(version)
    api = answers["version"].body["ApiVersion"]
    server.on("/version$", reply(answers["version"].body))
    server.on("/info$", reply(answers["info"].body))

    facts = connect().facts()

    assert server.requests[-1] == f"GET /v{api}/info"
    assert (facts.api_version, facts.kind, facts.architecture) == (api, "engine", "amd64")
    assert facts.version.startswith(version)
    assert "seccomp" in facts.security
    assert facts.time is not None
    assert facts.cgroup_version == "1"
