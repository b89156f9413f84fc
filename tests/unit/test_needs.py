"""From costs to needs: the arithmetic of the capacity page."""

import pytest

from tests.bench.needs import BUSY, mixed, partitions, replicas, report

TABLE = {"bytes": 200.0, "inserted": 1.0, "updated": 1.0, "deleted": 0.0}
COST = {
    "units": 1000,
    "seconds": 10.0,
    "cpu_us": {
        "prelabel": 60.0, "assignment": 120.0, "qc": 30.0, "monitor": 90.0, "kafka": 50.0,
        **{f"postgres {name}": 100.0 for name in ("assignment", "qc", "monitor")},
    },
    "log_bytes": {"items.v1": 300.0, "labels.v1": 500.0},
    "databases": {
        name: {"wal_bytes": 400.0, "wal_images": 0.1, "commits": 0.01, "tables": {"items": TABLE}}
        for name in ("assignment", "qc", "monitor")
    },
}  # fmt: skip
MEASURED = {
    "machine": "2 x test",
    "answers_per_item": 1.5,
    "memory_mb": {},
    "relay": {"records_per_second": 2e4, "cpu_us": 40},
    "auto": COST,
    "people": COST,
}


def test_a_process_is_busy_for_a_part_of_a_core() -> None:
    assert replicas(100.0, 10_000) == 2
    assert replicas(BUSY * 1000, 10_000) == 10
    assert replicas(BUSY * 1000 + 1, 10_000) == 11
    assert replicas(1.0, 10) == 2, "one that fails must not be the only one"


def test_partitions_leave_room_to_grow() -> None:
    assert [partitions(n) for n in (2, 8, 9, 20)] == [12, 12, 24, 36]


def test_a_mixed_item_is_the_weighted_mean() -> None:
    assert mixed(100.0, 1100.0, share=0.01) == pytest.approx(110.0)


def test_the_report_shows_its_arithmetic() -> None:
    text = report(MEASURED)
    assert "| assignment: replicas | rate x 120 us / 0.6 | 2 | 20 |" in text
    assert "| partitions | most replicas x 1.5, a multiple of 12 | 12 | 36 |" in text
    assert "| ... WAL MB/s | rate x 400 B | 4 | 40 |" in text
    assert "| ... growth TB/day | rate x 200 B x 86,400 | 0.17 | 1.73 |" in text
    assert "| Kafka in, MB/s | rate x 800 B, x 3 copies written | 8 x 3 | 80 x 3 |" in text
    assert "at most 25,000/s a core" in text
    days = 300 * 7 + 500 * 30
    assert f"| Kafka disk, TB | rate x 86,400 x {days:,} B days x 3 | 44 | 443 |" in text
