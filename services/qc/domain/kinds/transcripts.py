"""Transcripts: words in slots, one answer after the other (ROVER), voted on by what each annotator gets wrong.

The answer nearest to all others comes first, the farthest last, so that the slots follow those who agree. A word weighs
as much as its annotator errs seldom: one over the error rate against the fused texts, shrunk to the crowd's. No word at
all weighs a little less than a word does, as people leave out more than they invent.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein

from services.qc.domain.answers import Floats
from services.qc.domain.kinds.kind import Fusion, Given, Items, Kind, Label
from services.qc.domain.kinds.measures import Interval, Measure
from services.qc.domain.kinds.ratios import shares_of, summed
from services.qc.domain.kinds.words import Slot, Word, align, edits, keys, text_of, words
from shared.labels import Transcript

ROUNDS = 2
OWN_WORDS = 20.0
CROWD_WORDS = 100.0
ERROR = 0.15
LEAST_ERROR = 0.01
LEFT_OUT = 0.85


@dataclass(frozen=True)
class Lines:
    """The answers to one item, aligned.

    Attributes:
        annotators: the nearest to all others first.
        words: of each answer.
        slots: as aligned.
    """

    annotators: tuple[str, ...]
    words: tuple[tuple[Word, ...], ...]
    slots: tuple[Slot, ...]


def parse(raw: Any) -> Transcript:
    """Read a text, or `{"text": ...}`.

    Raises:
        ValueError: it is neither, or too long.
    """
    text = raw.get("text") if isinstance(raw, Mapping) else raw
    if not isinstance(text, str):
        raise ValueError('a transcript is a text, or {"text": ...}')  # noqa: TRY004  # it is data, not a call
    return Transcript(text=text)


def encode(value: Transcript) -> Any:
    return value.text


def aligned(answers: Sequence[Given[Transcript]]) -> Lines:
    """Put the words of all answers into slots."""
    lines = [words(one.value.text) for one in answers]
    plain = [[each.key for each in line] for line in lines]
    far = [sum(Levenshtein.normalized_distance(one, other) for other in plain) for one in plain]
    order = sorted(range(len(answers)), key=lambda place: (far[place], answers[place].annotator))
    slots: list[Slot] = []
    for people, place in enumerate(order):
        slots = align(plain[place], slots, people) if people else [Slot(Counter({k: 1}), [k]) for k in plain[place]]
    return Lines(tuple(answers[at].annotator for at in order), tuple(lines[at] for at in order), tuple(slots))


def shares(slot: Slot, weights: Floats) -> dict[str, float]:
    """The share of each word of a slot, and of none."""
    found: dict[str, float] = defaultdict(float)
    for key, weight in zip(slot.by, weights.tolist(), strict=True):
        found[key] += weight if key else LEFT_OUT * weight
    whole = sum(found.values())
    return {key: mass / whole for key, mass in found.items()}


def voted(lines: Lines, weights: Floats) -> list[tuple[str, float]]:
    """The word of each slot, or NOTHING, with its share."""
    found = []
    for slot in lines.slots:
        told = shares(slot, weights)
        key = max(told, key=lambda each: told[each])
        found.append((key, told[key]))
    return found


def errors(items: Sequence[Lines], fused: Sequence[Sequence[str]]) -> dict[str, float]:
    """Each annotator's word error rate against the fused texts, shrunk to the crowd's, which is anchored."""
    wrong: dict[str, float] = defaultdict(float)
    total: dict[str, float] = defaultdict(float)
    for who, errors_there, number in _compared(items, fused):
        wrong[who] += errors_there
        total[who] += number
    crowd = (sum(wrong.values()) + CROWD_WORDS * ERROR) / (sum(total.values()) + CROWD_WORDS)
    return {who: max((wrong[who] + OWN_WORDS * crowd) / (total[who] + OWN_WORDS), LEAST_ERROR) for who in total}


def _compared(items: Sequence[Lines], fused: Sequence[Sequence[str]]) -> list[tuple[str, int, int]]:
    """Of each answer, who gave it, its words to edit, and the words of the fused text."""
    return [
        (who, min(edits([each.key for each in line], truth), len(truth)), len(truth))
        for lines, truth in zip(items, fused, strict=True)
        for who, line in zip(lines.annotators, lines.words, strict=True)
    ]


def fuse(items: Items[Transcript]) -> Fusion[Transcript]:
    """The fused text of each item, and each annotator's word error rate against these."""
    every = [aligned(answers) for answers in items.values()]
    rates: dict[str, float] = {}
    fused: list[list[str]] = []
    for _ in range(ROUNDS):
        fused = [[key for key, _ in voted(lines, _weights(lines, rates)) if key] for lines in every]
        rates = errors(every, fused)
    labels = {task: _label(lines, _weights(lines, rates)) for task, lines in zip(items, every, strict=True)}
    skills = {who: {"wer": rate} for who, rate in sorted(rates.items())}
    return Fusion(labels, skills, _known(_compared(every, fused) if every else [], rates))


def _known(told: Sequence[tuple[str, int, int]], rates: Mapping[str, float]) -> dict[str, dict[str, Interval]]:
    """95 % of the word error rates; words of one text are wrong together."""
    people = sorted(rates)
    seat = {who: at for at, who in enumerate(people)}
    rows = np.array([(seat[who], wrong, number) for who, wrong, number in told], dtype=np.float64).reshape(-1, 3)
    sums = summed(rows[:, 0].astype(np.int32), rows[:, 1], rows[:, 2], len(people))
    return shares_of(people, {"wer": sums}, {"wer": np.array([rates[who] for who in people])})[1]


def _weights(lines: Lines, rates: Mapping[str, float]) -> Floats:
    return np.array([1.0 / rates.get(who, 1.0) for who in lines.annotators])


def _label(lines: Lines, weights: Floats) -> Label[Transcript]:
    written = _written(lines)
    found, wrong, parts = [], 0.0, []
    for (key, share), forms in zip(voted(lines, weights), written, strict=True):
        wrong += 1.0 - share
        if key:
            mass: dict[str, float] = defaultdict(float)
            for form, weight in zip(forms, weights.tolist(), strict=True):
                if form is not None and form.key == key:
                    mass[form.written] += weight
            found.append(max(mass, key=lambda each: mass[each]))
            parts.append({"word": found[-1], "posterior": share})
    sure = 1.0 - wrong / max(len(lines.slots), 1)
    return Label(Transcript(text=text_of(found)), sure, wrong, tuple(parts))


def spelled(lines: Lines, weights: Floats) -> tuple[Transcript, list[str]]:
    """The text by weighted vote, each word as most who have it write it; and the word of each slot, or NOTHING."""
    written, won = _written(lines), voted(lines, weights)
    found = []
    for (key, _), forms in zip(won, written, strict=True):
        mass: dict[str, float] = defaultdict(float)
        for form, weight in zip(forms, weights.tolist(), strict=True):
            if form is not None and form.key == key:
                mass[form.written] += weight
        if mass:
            found.append(max(mass, key=lambda each: mass[each]))
    return Transcript(text=text_of(found)), [key for key, _ in won]


def _written(lines: Lines) -> list[list[Word | None]]:
    """Of each slot, what every annotator wrote there."""
    rest = [iter(line) for line in lines.words]
    return [[next(line) if key else None for key, line in zip(slot.by, rest, strict=True)] for slot in lines.slots]


def _tally(found: Transcript, true: Transcript) -> tuple[float, ...]:
    one, two = keys(found.text), keys(true.text)
    letters = " ".join(two)
    return edits(one, two), len(two), edits(" ".join(one), letters), len(letters)


def _figures(sums: Floats) -> dict[str, Floats]:
    """Word and character error rates over all words; case and punctuation don't count."""
    return {
        "wer": sums[..., 0] / np.maximum(sums[..., 1], 1.0),
        "cer": sums[..., 2] / np.maximum(sums[..., 3], 1.0),
    }


def distance(left: Transcript, right: Transcript) -> float:
    """Edits of words, over those of the longer."""
    return float(Levenshtein.normalized_distance(keys(left.text), keys(right.text)))


TRANSCRIPT = Kind("transcript", parse, encode, fuse, None, Measure(4, _tally, _figures), "wer", distance)
