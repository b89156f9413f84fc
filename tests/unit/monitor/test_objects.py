"""Objects of labels: counted, and compared with the model's, against plain definitions."""

from collections import Counter
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.monitor.domain.accuracy import wilson
from services.monitor.domain.clusters import quantile
from services.monitor.domain.counters import MILLION, Counts, Key, Kind
from services.monitor.domain.facts import Facts
from services.monitor.domain.kinds import kinds
from services.monitor.domain.objects import Compared, count_apart, count_objects, matched, objects_of, word_errors
from services.monitor.domain.observe import observe
from services.monitor.metrics.objects import objects
from services.monitor.metrics.snapshot import Snapshot
from shared.events import Label, Prediction
from shared.labels import Box, Boxes, LabelValue, Mask, Masks, Segment, Segments, Span, Spans, Transcript
from tests.support import events as make


def plain_distance(ours: list[str], theirs: list[str]) -> int:
    """Wagner and Fischer's table."""
    row = list(range(len(theirs) + 1))
    for i, one in enumerate(ours, 1):
        before, row = row, [i]
        for j, other in enumerate(theirs, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (one != other)))
    return row[-1]


words = st.lists(st.sampled_from(["a", "b", "c"]), max_size=70)


@given(words, words)
def test_word_errors_are_the_distance_of_the_table(ours: list[str], theirs: list[str]) -> None:
    assert word_errors(" ".join(ours), " ".join(theirs)) == (plain_distance(ours, theirs), len(ours))


def test_a_very_long_text_is_passed_over() -> None:
    assert word_errors("a " * 2001, "a") is None


def plain_runs(pixels: Any) -> tuple[int, ...]:
    found, want = [0], False
    for pixel in pixels:
        if bool(pixel) is not want:
            want = not want
            found.append(0)
        found[-1] += 1
    return tuple(found)


@given(st.integers(0, 100_000))
def test_masks_overlap_by_their_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.random(24) < rng.random(), rng.random(24) < rng.random()
    one[0], other[-1] = True, True  # a mask has a pixel
    values = [Masks(width=4, height=6, masks=(Mask(counts=plain_runs(p), label="a"),)) for p in (one, other)]
    union = int((one | other).sum())
    expected = int((one & other).sum()) / union if union else 0.0
    found = matched(values[0], values[1])
    assert found == ([pytest.approx(expected)] if expected >= 0.1 else [])


def boxes(*sides: tuple[float, float, float, float]) -> Boxes:
    return Boxes(boxes=tuple(Box(x=x, y=y, width=w, height=h, label="cat") for x, y, w, h in sides))


def test_each_object_is_matched_once_and_the_best_pair_first() -> None:
    ours, theirs = boxes((0, 0, 10, 10), (1, 0, 10, 10)), boxes((1, 0, 10, 10))
    assert matched(ours, theirs) == [1.0]
    assert matched(boxes((0, 0, 10, 10), (20, 0, 4, 4)), boxes((0, 5, 10, 10), (21, 0, 4, 4))) == [
        pytest.approx(0.6),
        pytest.approx(1 / 3),
    ]
    assert matched(ours, boxes((50, 50, 1, 1))) == []
    turned = Boxes(boxes=(Box(x=0, y=0, width=10, height=10, rotation=30, label="cat"),))
    assert matched(turned, turned) == []


def spans(*places: tuple[int, int]) -> Spans:
    return Spans(spans=tuple(Span(start=start, end=end, label="cat") for start, end in places))


def test_spans_and_segments_are_intervals() -> None:
    assert matched(spans((0, 4), (10, 12)), spans((2, 4))) == [0.5]
    segments = [Segments(segments=(Segment(start=0, end=end, label="x"),)) for end in (1.0, 4.0)]
    assert matched(*segments) == [0.25]


def told(human: LabelValue, model: LabelValue, **more: Any) -> Counts:
    """What a prediction and a label of people beside it are counted as."""
    counts = Counts()
    plain = {"project_id": "p", "item_id": "i", "item_created_at": make.AT, "predicted_at": make.at(1)}
    prediction = Prediction.model_validate({**plain, "value": model, "confidence": 0.5, "model_version": "m1"})
    facts = observe(Facts(), prediction, counts, bucket_s=60)
    label = make.label("i", **more)
    evidence = label.evidence.model_copy(
        update={"proposal": make.proposal().model_copy(update={"value": model, "distribution": None})}
    )
    changed = label.model_copy(update={"project_id": "p", "value": human, "evidence": evidence, "distribution": None})
    assert isinstance(changed, Label)
    observe(facts, changed, counts, bucket_s=60)
    return counts


def total(counts: Counts, kind: Kind, part: str, symbol: str) -> int:
    return sum(n for key, n in counts.items() if key._replace(bucket=0) == Key("p", kind, part, symbol))


def test_a_label_and_a_prediction_count_their_objects_by_class() -> None:
    counts = told(spans((0, 4), (10, 12)), spans((0, 2)))
    assert total(counts, Kind.OBJECTS, "labels", "cat") == 2
    assert total(counts, Kind.OBJECTS, "predictions", "cat") == 1
    assert total(counts, Kind.OBJECT_ITEMS, "labels", "") == total(counts, Kind.OBJECT_ITEMS, "predictions", "") == 1
    assert total(counts, Kind.EXTENT, "m1", "routed:apart") == MILLION // 2
    assert total(counts, Kind.EXTENT, "m1", "routed:pairs") == MILLION


def test_an_audit_weighs_as_much_as_it_stands_for() -> None:
    counts = told(
        Transcript(text="the cat sat"),
        Transcript(text="the cats sat down"),
        would_auto=True,
        inclusion_probability=0.25,
    )
    assert total(counts, Kind.WORDS, "m1", "audit:errors") == 2 * 4 * MILLION
    assert total(counts, Kind.WORDS, "m1", "audit:words") == 3 * 4 * MILLION


def test_a_single_choice_has_no_objects() -> None:
    assert objects_of(make.choice("positive")) is None


def samples(counts: Counts) -> dict[tuple[str, ...], float]:
    """What is shown of these counters."""
    snapshot = Snapshot(taken_at=make.AT, window=counts, projects={"p": ("cat", "dog")})
    return {
        (sample.name.removeprefix("labelstream_"), *sample.labels.values()): sample.value
        for metric in objects(snapshot, 20)
        for sample in metric.samples
    }


def test_the_window_shows_objects_extents_and_words() -> None:
    shown = samples(told(spans((0, 4), (10, 12)), spans((0, 2))))
    assert shown["objects_per_item", "p", "labels"] == 2.0
    assert shown["objects_per_item", "p", "predictions"] == 1.0
    assert shown["object_class_share_ratio", "p", "labels", "cat"] == 1.0
    assert shown["extent_disagreement_ratio", "p", "m1"] == 0.5
    assert not any(name == "word_error_ratio" for name, *_ in shown)
    blind = told(Transcript(text="a b c d"), Transcript(text="a b c"), would_auto=True)
    assert samples(blind)["word_error_ratio", "p", "m1"] == 0.25
    assert samples(blind)["word_error_low_ratio", "p", "m1"] < 0.25 < samples(blind)["word_error_high_ratio", "p", "m1"]
    assert shown["extent_disagreement_low_ratio", "p", "m1"] < 0.5 < shown["extent_disagreement_high_ratio", "p", "m1"]
    routed = told(Transcript(text="a b c d"), Transcript(text="a b c"))
    assert not any(name == "word_error_ratio" for name, *_ in samples(routed))


def test_an_extent_has_an_interval_and_words_their_number() -> None:
    found = kinds(told(spans((0, 4), (10, 12)), spans((0, 2))))["p"]
    each = {of: one.each for of, one in found.objects.items()}
    assert {of: (one.rate, one.labels) for of, one in each.items()} == {"labels": (2.0, 1), "predictions": (1.0, 1)}
    assert each["labels"].low < 0.2
    assert each["labels"].high > 10, "one item tells little"
    extent = found.extent["m1"]
    assert (extent.rate, extent.labels) == (0.5, 1)  # the second object of people's has no partner
    assert 0.0 <= extent.low < 0.5 < extent.high <= 1.0
    blind = told(Transcript(text="a b c d"), Transcript(text="a b c"), would_auto=True)
    wrong = kinds(blind)["p"].words["m1"]
    assert (wrong.rate, wrong.labels) == (0.25, 4)
    assert wrong.low < 0.05
    assert wrong.high > 0.7, "one text is one trial"
    assert not kinds(Counts()), "a project of single choices has none"


def test_a_word_error_rate_is_in_its_interval_though_words_are_wrong_together() -> None:
    rng, held, alone = Random(8), 0, 0
    about = Compared("m1", "audit", 0, 2 * MILLION)
    for _ in range(200):
        counts: Counts = Counts()
        wrong = words = 0
        for _ in range(40):
            number, hard = rng.randint(4, 20), rng.betavariate(0.4, 1.6)  # 0.2 of the words; some texts are all wrong
            bad = sum(rng.random() < hard for _ in range(number))
            said = " ".join(["x"] * bad + ["a"] * (number - bad))
            count_apart(counts, "p", Transcript(text=" ".join(["a"] * number)), Transcript(text=said), about)
            wrong, words = wrong + bad, words + number
        rate = kinds(counts)["p"].words["m1"]
        assert rate.rate == pytest.approx(wrong / words)
        held += rate.low <= 0.2 <= rate.high
        low, high = wilson(rate.rate, words)
        alone += low <= 0.2 <= high
    assert held >= 182
    assert alone < 140


CLASSES = ("cat", "dog", "eel", "fox")
SHOWN = ("cat", "dog", "other")


def of_one_item(rng: Random) -> Counts:
    """What one item is counted as that has three boxes in the mean, mostly of one class, and all as far apart."""
    number, ruling, off = rng.choice((0, 0, 1, 2, 4, 11)), rng.choice("abbbc"), rng.choice((0, 0, 0, 4))
    names = [CLASSES["abcd".index(ruling if rng.random() < 0.8 else "d")] for _ in range(number)]
    ours, theirs = (
        tuple(Box(x=30 * place + by, y=0, width=10, height=10, label=name) for place, name in enumerate(names))
        for by in (0, off)
    )
    counts: Counts = Counts()
    count_objects(counts, "p", Boxes(boxes=ours), "labels", 60)
    count_apart(counts, "p", Boxes(boxes=ours), Boxes(boxes=theirs), Compared("m1", "routed", 60, MILLION))
    return counts


def figures(counts: Counts) -> dict[str, tuple[float, float, float, int]]:
    """Rate, interval, and what it is of."""
    found = kinds(counts)["p"]
    labels, extent = found.objects["labels"], found.extent["m1"]
    objects, named = labels.objects, ("cat", "dog")
    rates = {"dog": objects["dog"] / objects.total(), "other": 1 - sum(objects[one] for one in named) / objects.total()}
    about = {name: (rates[name], *labels.share(name, SHOWN), objects.total()) for name in rates}
    return about | {
        name: (one.rate, one.low, one.high, one.labels) for name, one in (("each", labels.each), ("extent", extent))
    }


def test_intervals_hold_though_objects_of_an_item_go_together() -> None:
    rng, runs = Random(5), 200
    traffic = [of_one_item(rng) for _ in range(400)]
    truth = {name: rate for name, (rate, *_) in figures(sum(traffic, Counts())).items()}
    held, alone = Counter[str](), Counter[str]()
    for _ in range(runs):
        counts: Counts = Counts()
        for one in rng.choices(traffic, k=60):
            counts.update(one)
        for name, (rate, low, high, number) in figures(counts).items():
            held[name] += low <= truth[name] <= high
            if name != "each":
                least, most = wilson(rate, number)
                alone[name] += least <= truth[name] <= most
    assert all(held[name] >= 0.915 * runs for name in truth), held
    assert all(n < 0.85 * runs for n in alone.values()), alone


def test_objects_of_an_item_are_counted_with_their_squares_and_products() -> None:
    counts: Counts = Counts()
    for labels in (("cat", "cat", "dog"), (), ("dog",)):
        value = Boxes(boxes=tuple(Box(x=0, y=0, width=1, height=1, label=one) for one in labels))
        count_objects(counts, "p", value, "labels", 60)
    one = kinds(counts)["p"].objects["labels"]
    assert (one.items, one.objects) == (3, {"cat": 2, "dog": 2})
    assert one.squares == {"cat": 4, "dog": 2, "": 10}
    assert one.cross == {"cat": 6, "dog": 4}


@pytest.mark.parametrize(("freedom", "expected"), [(1, 12.706), (5, 2.571), (6, 2.447), (10, 2.228), (40, 2.021)])
def test_few_items_are_judged_by_students_t(freedom: int, expected: float) -> None:
    assert quantile(freedom) == pytest.approx(expected, rel=0.01)
