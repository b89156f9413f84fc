"""Objects inside of labels, counted: how many, of which classes, and how far people and models lie apart on them.

Beside each sum over items stand those of squares and products, by which its interval is known: an item is one trial.

Exact and cheap, in whole numbers, so that any order of events adds up to the same: sums are in millionths. Values that
would cost more than a few milliseconds are passed over, and so are extents of polygons, tracks and rotated boxes.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from services.monitor.domain.counters import MILLION, Counts, Key, Kind
from shared.labels import Boxes, LabelValue, Masks, Mixed, Polygons, Relations, Segments, Spans, Tracks, Transcript

PREDICTIONS, LABELS = "predictions", "labels"
LEAST_OVERLAP = 0.1
"""Objects that overlap less are not the same one."""
MOST_PAIRS = 10_000
MOST_RUNS = 20_000
MOST_WORDS = 2_000
Interval = tuple[float, float]
Objects = Sequence[Any]


def objects_of(value: LabelValue) -> Objects | None:
    """The objects of a label, of a mix those of all parts; None where its kind has none."""
    match value:
        case Mixed():
            found = [objects_of(part) for part in value.parts.values()]
            return None if all(one is None for one in found) else [each for one in found for each in one or ()]
        case Spans() | Relations():
            return value.spans
        case Boxes():
            return value.boxes
        case Polygons():
            return value.polygons
        case Masks():
            return value.masks
        case Segments():
            return value.segments
        case Tracks():
            return value.tracks
        case _:
            return None


def count_objects(counts: Counts, project: str, value: LabelValue, of: str, bucket: int) -> None:
    """Count a value's objects by class, and the value itself, also one without objects.

    Args:
        counts: gains them.
        project: whose value it is.
        value: a prediction's or a label's.
        of: `predictions` or `labels`.
        bucket: the time bucket.
    """
    objects = objects_of(value)
    if objects is None:
        return
    every = len(objects)
    counts[Key(project, Kind.OBJECT_ITEMS, of, "", bucket)] += 1
    counts[Key(project, Kind.OBJECT_SQUARES, of, "", bucket)] += every**2
    for label, n in Counter(one.label for one in objects).items():
        counts[Key(project, Kind.OBJECTS, of, label, bucket)] += n
        counts[Key(project, Kind.OBJECT_SQUARES, of, label, bucket)] += n**2
        counts[Key(project, Kind.OBJECT_CROSS, of, label, bucket)] += n * every


class Compared(NamedTuple):
    """Where a comparison is counted.

    Attributes:
        version: of the model.
        lane: `audit` for what the model would have had accepted, which people judged blindly; else `routed`.
        bucket: the time bucket.
        weight: how many items this one stands for, in millionths.
    """

    version: str
    lane: str
    bucket: int
    weight: int


def count_apart(counts: Counts, project: str, human: LabelValue, model: LabelValue, about: Compared) -> None:
    """Count how far a person's label lies from the model's proposal: extents of objects, words of transcripts."""
    version, lane, bucket, weight = about
    if isinstance(human, Mixed) and isinstance(model, Mixed):
        for name in sorted(human.parts.keys() & model.parts.keys()):
            count_apart(counts, project, human.parts[name], model.parts[name], about)
        return
    if isinstance(human, Transcript) and isinstance(model, Transcript):
        found = word_errors(human.text, model.text)
        if found is not None:
            errors, words = (n * weight for n in found)
            told = {"errors": errors, "words": words, "squares": _product(errors, errors)}
            told |= {"cross": _product(errors, words), "lengths": _product(words, words)}
            for what, n in told.items():
                counts[Key(project, Kind.WORDS, version, f"{lane}:{what}", bucket)] += n
        return
    overlaps = matched(human, model)
    if overlaps:
        apart, pairs = sum(round((1.0 - overlap) * MILLION) for overlap in overlaps), len(overlaps)
        told = {"apart": apart, "pairs": pairs * MILLION}
        told |= {"squares": apart**2 // MILLION, "cross": apart * pairs, "lengths": pairs**2 * MILLION}
        for what, n in told.items():
            counts[Key(project, Kind.EXTENT, version, f"{lane}:{what}", bucket)] += n


def _product(one: int, other: int) -> int:
    """Of two numbers in millionths, in thousandths."""
    return (one // 1000) * (other // 1000) // 1000


def matched(human: LabelValue, model: LabelValue) -> list[float]:
    """Intersection over union of the objects of both that are the same, whatever their classes, best first.

    Greedy: the pair that overlaps most, then the next of what is left. Nothing for kinds that are not compared.
    """
    match human, model:
        case (Spans() | Relations(), Spans() | Relations()) | (Segments(), Segments()):
            overlap: Callable[[Any, Any], float] = _of_intervals
        case Boxes(), Boxes() if not any(box.rotation for box in (*human.boxes, *model.boxes)):
            overlap = _of_boxes
        case Masks(), Masks() if (human.width, human.height) == (model.width, model.height):
            if _runs(human) * len(model.masks) + _runs(model) * len(human.masks) > MOST_RUNS:
                return []
            overlap = _of_masks
        case _:
            return []
    ours, theirs = objects_of(human) or (), objects_of(model) or ()
    if len(ours) * len(theirs) > MOST_PAIRS:
        return []
    pairs = [(overlap(one, other), i, j) for i, one in enumerate(ours) for j, other in enumerate(theirs)]
    found: list[float] = []
    taken: tuple[set[int], set[int]] = (set(), set())
    for value, i, j in sorted((pair for pair in pairs if pair[0] >= LEAST_OVERLAP), key=lambda p: (-p[0], p[1], p[2])):
        if i not in taken[0] and j not in taken[1]:
            taken[0].add(i)
            taken[1].add(j)
            found.append(value)
    return found


def _of_intervals(one: Any, other: Any) -> float:
    shared = min(one.end, other.end) - max(one.start, other.start)
    return max(0.0, shared) / (max(one.end, other.end) - min(one.start, other.start)) if shared > 0 else 0.0


def _of_boxes(one: Any, other: Any) -> float:
    wide = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    high = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    if wide <= 0 or high <= 0:
        return 0.0
    shared: float = wide * high
    union: float = one.width * one.height + other.width * other.height - shared
    return shared / union


def _runs(value: Masks) -> int:
    return sum(len(mask.counts) for mask in value.masks)


def _of_masks(one: Any, other: Any) -> float:
    """By walking both run lengths at once."""
    counts = (one.counts, other.counts)
    places, left = [0, 0], [one.counts[0], other.counts[0]]
    both = either = 0
    while True:
        for side in (0, 1):
            while left[side] == 0 and places[side] + 1 < len(counts[side]):
                places[side] += 1
                left[side] = counts[side][places[side]]
        step = min(left)
        if step == 0:
            return both / either if either else 0.0
        on = (places[0] % 2, places[1] % 2)
        both += step * (on[0] & on[1])
        either += step * (on[0] | on[1])
        left = [left[0] - step, left[1] - step]


def word_errors(reference: str, said: str) -> tuple[int, int] | None:
    """Words to insert, delete and replace in what was said, and the words of the reference; None for very long ones.

    Levenshtein's distance, a column in one integer (Myers 1999, Hyyrö 2003); Python's are long enough.
    """
    ours, theirs = reference.split(), said.split()
    if max(len(ours), len(theirs)) > MOST_WORDS:
        return None
    if not ours:
        return len(theirs), 0
    places: dict[str, int] = {}
    for place, word in enumerate(ours):
        places[word] = places.get(word, 0) | 1 << place
    every, last = (1 << len(ours)) - 1, 1 << (len(ours) - 1)
    up, down, distance = every, 0, len(ours)
    for word in theirs:
        equal = places.get(word, 0)
        across = (((equal & up) + up) ^ up) | equal | down
        right_up, right_down = down | (every & ~(across | up)), up & across
        distance += bool(right_up & last) - bool(right_down & last)
        right_up = (right_up << 1 | 1) & every
        right_down = right_down << 1 & every
        up, down = right_down | (every & ~(across | right_up)), right_up & across
    return distance, len(ours)
