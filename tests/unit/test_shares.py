"""What the scale-out run would call an uneven division."""

from dataclasses import replace

from tests.e2e.world.shares import Share, uneven

FAIR = [
    Share("qc", 1, "labels.v1", (0, 2), held=30, done=30, total=50),
    Share("qc", 2, "labels.v1", (1, 3), held=20, done=20, total=50),
]


def test_each_replica_takes_in_what_came_to_its_partitions() -> None:
    assert uneven(FAIR, 2) == []
    assert [one.part for one in FAIR] == [0.6, 0.4]


def test_a_record_taken_in_twice_or_by_nobody_is_found() -> None:
    for done in (31, 29):
        assert uneven([replace(FAIR[0], done=done), FAIR[1]], 2)


def test_a_partition_with_two_owners_and_an_idle_replica_are_found() -> None:
    assert uneven([FAIR[0], replace(FAIR[1], partitions=(1, 2))], 2)
    assert uneven([replace(FAIR[0], partitions=(0, 1, 2, 3), held=50, done=50)], 2)
