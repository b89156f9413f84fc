"""Windows, class mixes, symbols and latency buckets."""

from collections import Counter
from datetime import timedelta

import pytest

from services.monitor.domain.counters import INFINITE, Counts, Key, Kind, latency_bucket, micros_between, time_bucket
from services.monitor.domain.symbols import NOTHING, symbols
from services.monitor.domain.windows import OTHER, Window, bounded, measurements, named
from shared.events import ClassMix, Disagreement
from shared.labels import Box, Boxes, Choice, Choices, LabelValue, Names, Rating, Transcript
from tests.support import events as make


def test_a_window_is_the_same_within_a_step() -> None:
    first = Window.before(make.at(61), window_s=300, step_s=60)
    assert first == Window.before(make.at(119), window_s=300, step_s=60)
    assert first.end == make.at(60)
    assert first.seconds == 300


def test_measurements_of_a_window() -> None:
    counts: Counts = Counter({
        Key("p", Kind.PREDICTED, "m1", "a", 60): 3,
        Key("p", Kind.PREDICTED, "m2", "a", 60): 1,
        Key("p", Kind.PREDICTED, "m1", "b", 120): 2,
        Key("p", Kind.LABELLED, "auto", "b", 60): 5,
        Key("p", Kind.COMPARED, "m1", "routed:disagree", 60): 1,
        Key("p", Kind.COMPARED, "m1", "audit:agree", 60): 3,
    })  # fmt: skip
    events = measurements(counts, Window(make.at(0), make.at(60)))
    assert [event.subject for event in events] == ["class_mix/predictions", "class_mix/labels", "model/m1"]
    mix, _, rate = (event.measurement for event in events)
    assert isinstance(mix, ClassMix)
    assert mix.counts == {"a": 4, "b": 2}
    assert isinstance(rate, Disagreement)
    assert (rate.rate, rate.labels) == (0.25, 4)
    assert len({event.event_id for event in events}) == 3


def test_counts_of_a_former_name_are_those_of_the_present_one() -> None:
    counts: Counts = Counter({
        Key("p", Kind.PREDICTED, "m1", "a", 60): 3, Key("p", Kind.PREDICTED, "m1", "b", 60): 2,
        Key("p", Kind.LABELLED, "auto", "a", 60): 5, Key("q", Kind.LABELLED, "auto", "a", 60): 1,
        Key("p", Kind.COMPARED, "a", "routed:agree", 60): 1,
    })  # fmt: skip
    found = named(counts, {"p": Names({"a": "b"})})
    assert (found.total(), found[Key("p", Kind.PREDICTED, "m1", "b", 60)]) == (12, 5)
    labels = {(key.project_id, key.symbol): n for key, n in found.items() if key.kind is Kind.LABELLED}
    assert labels == {("p", "b"): 5, ("q", "a"): 1}
    assert found[Key("p", Kind.COMPARED, "a", "routed:agree", 60)] == 1


def test_bounded_mixes_keep_the_most_frequent_known_classes() -> None:
    mix = Counter({"a": 5, "b": 4, "c": 3, "d": 2})
    assert bounded(mix, {"a", "c", "d"}, 3) == {"a": 5, "c": 3, OTHER: 6}
    assert bounded(mix, None, 10) == mix


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Choice(choice="a"), ("a",)),
        (Choices(choices=("b", "a", "b")), ("a", "b")),
        (Choices(choices=()), (NOTHING,)),
        (Rating(rating=2.50001), ("2.5",)),
        (Transcript(text="hello"), ("transcript",)),
        (Boxes(boxes=(Box(x=0, y=0, width=1, height=1, label="car"),) * 3), ("car",)),
        (Boxes(boxes=()), (NOTHING,)),
    ],
)
def test_symbols(value: LabelValue, expected: tuple[str, ...]) -> None:
    assert symbols(value) == expected


def test_latency_buckets_are_inclusive_and_clocks_may_be_ahead() -> None:
    assert latency_bucket(0) == 0
    assert latency_bucket(50_000) == 0
    assert latency_bucket(50_001) == 1
    assert latency_bucket(86_400_000_001) == INFINITE
    assert micros_between(make.at(5), make.at(0)) == 0
    assert micros_between(make.AT, make.AT + timedelta(days=2, microseconds=3)) == 172_800_000_003


def test_time_buckets() -> None:
    assert time_bucket(make.at(59), 60) == int(make.AT.timestamp())
    assert time_bucket(make.AT.fromtimestamp(0, make.AT.tzinfo), 60) == 60
