"""Intervals of people's skill hold what is true of them about as often as they say, also where errors come in heaps."""

from random import Random
from typing import Any

import numpy as np
import pytest

from services.qc.domain.fusing.counted import MILLS, WORDS, YES, Cells, Counted
from services.qc.domain.fusing.told import part_skills
from services.qc.domain.kinds.kind import Given
from services.qc.domain.kinds.ratios import interval, rate, summed, trials
from services.qc.domain.kinds.registry import KINDS
from services.qc.domain.kinds.semantic import learn
from services.qc.domain.kinds.shapes import DRAWINGS
from shared.labels import Rating, Transcript
from tests.support.live import CARELESS, Live, Person, boxes, masks, objects, seen, segments, spans, things

PEOPLE, ITEMS = 400, 25
VOCABULARY = [f"w{n}" for n in range(200)]


def heaps(rng: np.random.Generator, *, together: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Errors of people in texts; (rows,) who, wrong and words, and each one's rate; some texts are harder to them."""
    rates = rng.uniform(0.02, 0.4, PEOPLE)
    who = np.repeat(np.arange(PEOPLE, dtype=np.int32), ITEMS)
    words = rng.integers(4, 25, len(who)).astype(np.float64)
    hard = rng.beta(rates[who] / together, (1.0 - rates[who]) / together)
    return who, rng.binomial(words.astype(np.int64), hard).astype(np.float64), words, rates


def covered(ends: np.ndarray, truth: np.ndarray) -> float:
    return float(((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean())


@pytest.mark.parametrize("together", [0.01, 0.3])
def test_a_share_is_where_its_interval_says_also_where_errors_come_together(together: float) -> None:
    who, wrong, words, rates = heaps(np.random.default_rng(1), together=together)
    sums = summed(who, wrong, words, PEOPLE)
    assert 0.92 <= covered(interval(sums), rates) <= 0.99
    alone = summed(np.repeat(who, words.astype(np.int64)), _ones(wrong, words), np.ones(int(words.sum())), PEOPLE)
    assert together < 0.1 or covered(interval(alone), rates) < 0.8
    assert together < 0.1 or np.median(trials(sums)) < 0.5 * np.median(trials(alone))


def _ones(wrong: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Each word by itself."""
    place = np.concatenate([np.arange(number) for number in words.astype(np.int64)])
    return (place < np.repeat(wrong, words.astype(np.int64))) * 1.0


def test_what_is_a_part_of_one_is_known_better_than_hits_and_misses() -> None:
    rng = np.random.default_rng(2)
    who, centre = np.repeat(np.arange(PEOPLE, dtype=np.int32), ITEMS), rng.uniform(0.5, 0.95, PEOPLE)
    alike = rng.beta(20.0 * centre[who], 20.0 * (1.0 - centre[who]))
    sums = summed(who, alike, np.ones(len(alike)), PEOPLE)
    parts, whole = interval(sums, whole=False), interval(sums)
    assert 0.92 <= covered(parts, centre) <= 0.98
    assert np.median(parts[:, 1] - parts[:, 0]) < 0.5 * np.median(whole[:, 1] - whole[:, 0])


def test_false_objects_may_come_in_heaps() -> None:
    rng = np.random.default_rng(3)
    mean = rng.uniform(0.1, 2.0, PEOPLE)
    given = rng.poisson(rng.gamma(0.7, mean[:, None] / 0.7, (PEOPLE, 40)))
    ends = np.array([rate(float(one.sum()), 40.0, float((one**2).sum())) for one in given])
    flat = np.array([rate(float(one.sum()), 40.0, float(one.sum())) for one in given])
    assert covered(ends, mean) >= 0.9 > covered(flat, mean)


def heard(rng: np.random.Generator, said: list[str], error: float) -> Transcript:
    wrong = rng.random(len(said)) < min(error * rng.gamma(2.0, 0.5), 0.9)
    return Transcript(
        text=" ".join(rng.choice(VOCABULARY) if bad else word for word, bad in zip(said, wrong, strict=True))
    )


def test_word_error_rates_lie_in_their_intervals() -> None:
    rng = np.random.default_rng(4)
    errors = rng.uniform(0.05, 0.3, 12)
    items = {}
    for n in range(80):
        said = rng.choice(VOCABULARY, 12).tolist()
        items[f"t{n}"] = [
            Given(f"p{who:02}", heard(rng, said, errors[who])) for who in sorted(rng.choice(12, 5, replace=False))
        ]
    fused = KINDS["transcript"].fuse(items)
    ends = np.array([fused.intervals[f"p{who:02}"]["wer"] for who in range(12)])
    assert covered(ends, errors) >= 0.83
    assert (ends[:, 1] - ends[:, 0]).max() < 0.2


@pytest.mark.parametrize("kind", ["spans", "segments"])
def test_detection_lies_in_its_interval_and_careless_ones_beside_that_of_others(kind: str) -> None:
    people, write = (
        [Person(miss=0.05 + 0.03 * who, jitter=0.0) for who in range(10)],
        {"spans": spans, "segments": segments},
    )
    rng, items = Random(5), {}
    for n in range(60):
        true = things(rng, 3)
        chosen = sorted(rng.sample(range(10), 5))
        items[f"t{n}"] = [Given(f"p{who}", write[kind](seen(true, people[who], rng))) for who in chosen]
    fused = KINDS[kind].fuse(items)
    ends = np.array([fused.intervals[f"p{who}"]["detection"] for who in range(10)])
    assert covered(ends, np.array([1.0 - one.miss for one in people])) >= 0.8
    assert all(
        low <= fused.skills[who][name] <= high
        for who, own in fused.intervals.items()
        for name, (low, high) in own.items()
    )


def test_of_semantic_masks_and_numbers_too() -> None:
    rng = Random(6)
    items = []
    for _ in range(30):
        true = things(rng, 3)
        items.append([Given(f"p{n}", masks(seen(true, CARELESS if n == 2 else Person(), rng))) for n in range(4)])
    found = learn([DRAWINGS["masks"].answers(given) for given in items])
    assert found.intervals["p2"][1] < found.intervals["p0"][0]
    numbers = {
        f"t{n}": [
            Given(f"p{who}", Rating(rating=rng.gauss(50.0 + 6.0 * (who == 3), 2.0 + 2.0 * who))) for who in range(5)
        ]
        for n in range(60)
    }
    known = KINDS["rating"].fuse(numbers).intervals
    assert known["p3"]["offset"][0] > 0.0
    assert known["p4"]["spread"][0] > known["p0"]["spread"][1]


def test_live_skills_have_intervals_which_hold_what_people_are_like() -> None:
    rng, live = Random(7), Live(objects("boxes"), least=5, most=5)
    people = {f"p{n}": Person(miss=0.05 + 0.05 * n, invent=0.1 + 0.1 * n) for n in range(5)}
    for n in range(40):
        true = things(rng, 3)
        live.run(f"i{n}", [(who, boxes(seen(true, one, rng))) for who, one in people.items()])
    live.snapshot()
    told: dict[str, Any] = {who: part_skills(who, live.parameters.fused)[0] for who in people}
    for who, one in people.items():
        low, high = told[who].intervals["detection"]
        assert low - 0.02 <= 1.0 - one.miss <= high + 0.02, who
        assert set(told[who].intervals) == {"detection", "false", "right_class", "extent"}
        low, high = told[who].intervals["extent"]
        assert low < told[who].extent < high < low + 0.1
        assert told[who].spread > 1.0 - told[who].extent
    assert told["p4"].intervals["false"][0] > told["p0"].intervals["false"][1]


def test_words_wrong_together_make_the_live_interval_wider() -> None:
    cells = Cells()
    for n in range(20):
        for who, wrong in (("even", 2), ("heaps", 20 * (n % 10 == 0))):
            cells.add(who, (WORDS, "", YES), 20 - wrong)
            cells.add(who, (WORDS, "", "!"), wrong)
            cells.add_squares(who, WORDS, MILLS * (20 - wrong), MILLS * 20)
    known = Counted()
    for (who, truth, answered, source), number in cells.answers.items():
        known.add(who, (source, truth, answered), float(number), cells.weights[who, truth, answered, source] / MILLS)
    (even,), (heap,) = (part_skills(who, {"": known}) for who in ("even", "heaps"))
    assert even.words == heap.words == 0.1
    (a, b), (c, d) = even.intervals["words"], heap.intervals["words"]
    assert d - c > 2.5 * (b - a)
