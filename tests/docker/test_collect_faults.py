"""`evdiag collect` while container, engine, network, disk or evdiag itself fail: a sample.

`python -m tests.support.chaos --runs 200` does it at more moments.
"""

from collections.abc import Iterator

import pytest

from tests.conftest import need
from tests.support.chaos import HARMS, Bench, bench
from tests.support.second_engine import missing

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def failing(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """An engine and a line to it that may fail."""
    reason = missing()
    if reason is not None:
        need(request, "docker", reason)
    with bench() as made:
        yield made


@pytest.mark.parametrize(("seed", "harm"), list(enumerate(HARMS, 1)), ids=HARMS)
def test_nothing_is_lost_and_nothing_claims_to_be_whole(
    seed: int, harm: str, failing: Bench
) -> None:
    outcome = failing.run(seed, harm)

    assert outcome.wrong == [], outcome.said
