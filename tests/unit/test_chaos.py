"""A seed is its schedule of faults, and every mutation's patch still applies to the code as it is."""

import hashlib
from collections import Counter

import pytest

from tests.e2e.mutate import MUTATIONS, PATCHES, Mutation, applies
from tests.e2e.world.faults import SESSION_S, WEIGHTS, schedule

SEEDS = range(1, 21)
SECONDS = 120.0


def test_a_seed_is_its_schedule_on_any_machine() -> None:
    """It changes with the kinds and weights of faults; then the seeds of REGRESSIONS mean something else too."""
    told = "".join(f"{seed} {schedule(seed, SECONDS)}\n" for seed in SEEDS)
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == "d6b8e42500e71487"
    assert len({str(schedule(seed, SECONDS)) for seed in SEEDS}) == len(SEEDS)


def test_a_longer_run_begins_with_the_same_faults() -> None:
    for seed in SEEDS:
        short = schedule(seed, 30.0)
        assert schedule(seed, SECONDS)[: len(short)] == short


def test_twenty_seeds_hold_every_kind_of_fault() -> None:
    found = [one for seed in SEEDS for one in schedule(seed, SECONDS)]
    kinds = Counter(one.kind for one in found)
    assert kinds.keys() == WEIGHTS.keys()
    assert min(kinds.values()) >= len(SEEDS)
    assert all(one.length > SESSION_S for one in found if one.kind == "pause")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_a_mutation_still_applies(mutation: Mutation) -> None:
    against = applies(mutation)
    assert not against, f"make {mutation.patch.name} anew for the code as it is now: {mutation.lost}\n{against}"


def test_every_patch_is_of_a_mutation() -> None:
    assert {path.name for path in PATCHES.iterdir()} == {one.patch.name for one in MUTATIONS}
