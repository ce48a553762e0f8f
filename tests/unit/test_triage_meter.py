"""How a run tells how far it is."""

from evdiag.triage.meter import Meter


def told(seconds: float, done: int, total: int) -> str:
    """The line after some seconds."""
    now = [0.0]
    meter = Meter("stacks", total, lambda: now[0])
    now[0] = seconds
    for _ in range(done):
        meter.step()
    return meter.text()


def test_a_rate_needs_some_seconds() -> None:
    assert told(1.0, 5, 9) == "stacks: 5 of 9 cores"
    assert told(9.0, 0, 9) == "stacks: 0 of 9 cores"


def test_rate_and_time_that_is_left() -> None:
    assert told(10.0, 100, 400) == "stacks: 100 of 400 cores, 10 a second, 30 s left"
    assert told(60.0, 6, 12) == "stacks: 6 of 12 cores, 6 a minute, 60 s left"
    assert told(60.0, 10, 60) == "stacks: 10 of 60 cores, 10 a minute, 5 min left"
    assert told(60.0, 1, 200) == "stacks: 1 of 200 cores, 1 a minute, 3 h 19 min left"
