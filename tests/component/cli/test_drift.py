"""`labelstream drift` on files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from cli.__main__ import build
from shared.errors import ConfigurationError
from tests.support.drift import drawn, named, seasonal, shifted


def drift(*arguments: object) -> Result:
    words = ["drift", *map(str, arguments)]
    return CliRunner().invoke(build(words), words)


def found(*arguments: object) -> dict[str, Any]:
    result = drift(*arguments, "--json")
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def written(path: Path, symbols: list[str], slices: list[str] | None = None) -> Path:
    rows = [f"{n},{symbol}" + (f",{slices[n]}" if slices else "") for n, symbol in enumerate(symbols)]
    path.write_text("\n".join(["time,class" + (",slice" if slices else ""), *rows]) + "\n")
    return path


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    return written(
        tmp_path / "e.csv", named(np.concatenate([drawn(rng, 12_000), drawn(rng, 4_000, shifted(rng, 0.2))]))
    )


def test_one_change_is_one_alarm(stream: Path) -> None:
    document = found("--events", stream)
    (alarm,) = document["alarms"]
    assert document["events"] == 16_000
    assert document["expected_false_alarms_per_100k"] == 0.1
    assert 12_000 <= alarm["offset"] < 12_400
    assert alarm["change_low"] <= 12_000 <= alarm["change_high"]
    assert alarm["time"] == str(alarm["offset"])
    assert alarm["state"] == "resolved"
    assert alarm["resolved"] > alarm["offset"]
    assert alarm["tvd_low"] <= alarm["tvd"] <= alarm["tvd_high"]
    assert all(one["low"] > 0.0 or one["high"] < 0.0 for one in alarm["classes"])
    assert alarm["log_evidence"] >= np.log(1e6)


def test_a_person_reads_the_alarm(stream: Path, tmp_path: Path) -> None:
    result = drift("--events", stream, "--plot", tmp_path / "evidence.png")
    assert result.exit_code == 0
    assert "1 alarm;" in result.stdout
    assert "█" in result.stdout
    assert (tmp_path / "evidence.png").stat().st_size > 1000


def test_offsets_are_those_of_the_file_where_slices_are_mixed(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    calm, moving = (
        named(drawn(rng, 8_000)),
        named(np.concatenate([drawn(rng, 6_000), drawn(rng, 2_000, shifted(rng, 0.3))])),
    )
    symbols = [symbol for pair in zip(calm, moving, strict=True) for symbol in pair]
    document = found("--events", written(tmp_path / "s.csv", symbols, ["calm", "moving"] * 8_000))
    (alarm,) = document["alarms"]
    assert alarm["slice"] == "moving"
    assert 12_000 <= alarm["offset"] < 12_600
    assert alarm["offset"] % 2 == 1
    assert alarm["change_low"] <= 12_001 <= alarm["change_high"] + 64


def test_a_reference_is_kept_and_used_again(stream: Path, tmp_path: Path) -> None:
    kept = tmp_path / "reference.json"
    found(
        "--events",
        written(tmp_path / "calm.csv", named(drawn(np.random.default_rng(3), 5_000))),
        "--save-reference",
        kept,
    )
    (alarm,) = found("--events", stream, "--reference-file", kept)["alarms"]
    assert 12_000 <= alarm["offset"] < 12_600
    plain = tmp_path / "counts.json"
    plain.write_text(json.dumps({"counts": {"a": 4000, "b": 2500, "c": 1800, "d": 1200, "e": 500}}))
    assert len(found("--events", stream, "--reference-file", plain, "--mode", "sharp")["alarms"]) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("when,class\n1,a\n", ":1: no column time"),
        ("time,class\n1,a\n2\n", ":3: 1 columns where the first line has 2"),
        ("time,class\n1,a\n2,\n", ":3: a class has 1 to 200 characters"),
        ("time,class\n1,a\nyesterday,b\n", ":3: time 'yesterday' is neither"),
        ("time,class\n", "no events"),
        ("", ":1: no column time, class"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    result = drift("--events", path)
    assert isinstance(result.exception, ConfigurationError)
    assert message in str(result.exception)


@pytest.mark.parametrize(
    "options",
    [("--mode", "loud"), ("--tolerance", "0.1", "--seasonality", "0.2"), ("--mode", "sharp", "--tolerance", "0.1")],
)
def test_options_that_contradict_are_refused(stream: Path, options: tuple[str, ...]) -> None:
    assert isinstance(drift("--events", stream, *options).exception, ConfigurationError)


def test_a_history_says_how_to_watch_what_follows(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    here = np.array([0.55, 0.10, 0.18, 0.12, 0.05])
    there = np.array([0.25, 0.40, 0.18, 0.12, 0.05])
    steps = [drawn(rng, int(n), here if k % 2 else there) for k, n in enumerate(rng.integers(700, 3_500, 15))]
    for name, stream, mode in (
        ("calm", drawn(rng, 25_000), "sharp"),
        ("daily", seasonal(rng, 40_000, 0.12, 10_000), "auto"),
        ("restless", np.concatenate(steps), "tolerant"),
    ):
        learned = found("--events", written(tmp_path / f"{name}.csv", named(stream)), "--learn")
        assert learned["drift"]["mode"] == mode, (name, learned)
        assert (learned["alarms"] == 0) is (mode != "tolerant"), (name, learned)  # it jumps by more than any tolerance
        assert ("tolerance" in learned["drift"]) is (mode == "tolerant")
