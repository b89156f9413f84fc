"""Two short seeds of chaos; `make chaos` runs as many and as long as wanted."""

from pathlib import Path

import pytest

from tests.e2e.chaos import one_seed
from tests.e2e.world.faults import WEIGHTS, Fault, schedule

SECONDS = 12.0
APART = (1.0, 2.5)
SEEDS = (11, 13)


def faults_of(seed: int) -> list[Fault]:
    return schedule(seed, SECONDS, apart=APART)


def test_the_two_hold_every_kind_of_fault() -> None:
    assert {fault.kind for seed in SEEDS for fault in faults_of(seed)} == WEIGHTS.keys()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
async def test_every_invariant_holds_under_the_faults_of(seed: int, tmp_path: Path) -> None:
    result = await one_seed(seed, tmp_path, seconds=SECONDS, rate=30.0, faults=faults_of(seed))
    assert not result.broken, result.story
    assert not result.story, result.story
    assert result.row["items"] > 10 * SECONDS
    assert result.row["poison"] > 25
