"""`evdiag mqtt`: messages of a charger's broker, and to it."""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evdiag.commands._charger import NameOption, find_running
from evdiag.errors import ContainerStopped, NotReady, UsageError

if TYPE_CHECKING:
    from evdiag.adapters.docker.engine import ContainerEngine
    from evdiag.adapters.docker.streams import Attached
    from evdiag.model.charger import ContainerFacts
    from evdiag.parse.mqtt import Message

DEFAULT_TOPICS = ("everest_api/#", "everest_external/#")
BROKER = ("-h", "127.0.0.1")
LONGEST_MESSAGE = 16 << 20
LONGEST_TOPIC = 65535
"""Bytes, in MQTT."""
LONGEST_LINE = 64 << 20
SEE = "`evdiag status` shows what is wrong with it; `evdiag logs mosquitto` is its log."


def listen(
    engine: "ContainerEngine",
    facts: "ContainerFacts",
    topics: Sequence[str],
    count: int | None = None,
    output: int | None = None,
) -> "Iterator[Message]":
    """The messages of these topics as they come; `output` is a file that ends it by closing.

    Raises NotReady if the broker does not answer, ContainerStopped, EngineError.
    """
    from evdiag.adapters.docker.streams import attach_tied
    from evdiag.parse.mqtt import FORMAT, read_message
    from evdiag.parse.output_frames import STDOUT

    command = ["mosquitto_sub", *BROKER, "-F", FORMAT]
    command += ["-C", str(count)] if count is not None else []
    command += [word for topic in topics for word in ("-t", topic)]
    said = rest = b""
    attached = attach_tied(engine, facts.id, command)
    try:
        for stream, piece in attached.frames(output):
            if stream != STDOUT:
                said = (said + piece)[-2000:]
                continue
            *lines, rest = (rest + piece).split(b"\n")
            rest = rest[-LONGEST_LINE:]
            for line in lines:
                if message := read_message(line):
                    yield message
        _check(engine, facts, attached, said)
    finally:
        attached.close()


def publish(
    engine: "ContainerEngine", facts: "ContainerFacts", topic: str, content: bytes, *, retain: bool
) -> None:
    """Send one message. Raises NotReady, ContainerStopped, EngineError."""
    from evdiag.adapters.docker.streams import attach_tied

    command = ["mosquitto_pub", *BROKER, "-t", topic, "-s" if content else "-n"]
    command += ["-r"] if retain else []
    attached = attach_tied(engine, facts.id, command, content)
    try:
        said = b"".join(piece for _, piece in attached.frames())
        _check(engine, facts, attached, said)
    finally:
        attached.close()


def _check(
    engine: "ContainerEngine", facts: "ContainerFacts", attached: "Attached", said: bytes
) -> None:
    """Raise what the end of the client means, if it means something."""
    from evdiag.adapters.docker.streams import container_ended

    code = attached.code()
    if code == 0:
        return
    if container_ended(engine, facts.id, code):
        raise ContainerStopped(f"{facts.name} has ended")
    text = " ".join(said.decode("utf-8", "replace").split())[:300]
    if "nvalid" in text or "malformed" in text.lower():
        raise UsageError(f"the broker's client does not take this: {text}")
    because = text or f"its client ended with code {code}"
    raise NotReady(f"the MQTT broker of {facts.name} does not answer: {because}", advice=SEE)


# -- the command line


def check_topics(topics: Sequence[str], *, publishing: bool) -> None:
    """Raise UsageError for what can be no topic."""
    if publishing and len(topics) != 1:
        raise UsageError(
            "--publish sends to one topic",
            advice="For example: evdiag mqtt everest_api/evse_manager/cmd/pause_charging "
            "--publish ''",
        )
    for topic in topics:
        try:
            size = len(topic.encode())
        except UnicodeEncodeError:
            raise UsageError("a topic is no valid text", advice="MQTT takes UTF-8 only.") from None
        if not 0 < size <= LONGEST_TOPIC or not topic.isprintable():
            raise UsageError(f"{topic[:80]!r} can be no topic")
        if publishing and ("+" in topic or "#" in topic):
            raise UsageError(
                f"{topic} stands for many topics", advice="Name the one to send to, in full."
            )


def _content(text: str) -> bytes:
    if text != "-":
        return text.encode("utf-8", "surrogateescape")
    content = sys.stdin.buffer.read(LONGEST_MESSAGE + 1)
    if len(content) > LONGEST_MESSAGE:
        raise UsageError(f"the message has more than {LONGEST_MESSAGE >> 20} MB")
    return content


def _watched(stream: Any) -> int | None:  # noqa: ANN401
    """The file behind stdout; none where a test has put something else there."""
    try:
        number: int = stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None
    return number


def command(
    topics: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TOPIC]...", help="Default: everest_api/# and everest_external/#.",
            show_default=False,
        ),
    ] = None,
    name: NameOption = None,
    count: Annotated[
        int | None, typer.Option("--count", "-c", min=1, metavar="N", help="End after N messages.")
    ] = None,
    message: Annotated[
        str | None,
        typer.Option("--publish", "-p", metavar="TEXT", help="Send this; -: what is on stdin."),
    ] = None,
    retain: Annotated[
        bool, typer.Option("--retain", help="With --publish: the broker keeps the message.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, for scripts.")
    ] = False,
) -> None:  # fmt: skip
    """Show messages of a charger's MQTT broker as they come, or send one."""
    from evdiag.adapters.docker.engine import connect
    from evdiag.console import say, terminal_style
    from evdiag.report import mqtt as report

    chosen = topics or ([] if message is not None else list(DEFAULT_TOPICS))
    check_topics(chosen, publishing=message is not None)
    if retain and message is None:
        raise UsageError("--retain is for --publish")
    if message is not None and (count is not None or as_json):
        raise UsageError("--publish shows no messages, so --count and --json have no sense")
    engine = connect()
    try:
        facts = find_running(engine, name)
        if message is not None:
            publish(engine, facts, chosen[0], _content(message), retain=retain)
            return
        if sys.stderr.isatty():
            say(f"messages of {facts.name}: {', '.join(chosen)} (end with Ctrl-C)")
        _, colour = terminal_style()
        for each in listen(engine, facts, chosen, count, _watched(sys.stdout)):
            sys.stdout.write(report.json_line(each) if as_json else report.line(each, colour))
            sys.stdout.flush()
    finally:
        engine.close()
