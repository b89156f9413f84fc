"""Krippendorff's alpha for unitizing: how far people mark the same stretches of a line, with the same classes.

Krippendorff 1995, "On the reliability of unitizing continuous data": two units that meet disagree by the squares of the
distances of their ends, a unit in somebody's gap by the square of its length. What is expected is all combinations of
the units and gaps of an item over its line. Observed and expected are summed over classes, and here over items, whose
annotators need not be the same.
"""

from collections.abc import Sequence

import numpy as np

from services.qc.domain.answers import Floats

Unit = tuple[float, float, str]
Section = tuple[int, int, bool]


def sections(units: Sequence[tuple[int, int]], length: int) -> list[Section]:
    """A line of one annotator and class as units and gaps in turn; units that overlap are joined."""
    found: list[Section] = []
    at = 0
    for start, end in sorted(units):
        if start < at and found:
            start = at  # noqa: PLW2901  # what overlaps belongs to the unit before
        if end <= start:
            continue
        if start > at:
            found.append((at, start, False))
        found.append((start, end, True))
        at = end
    if at < length:
        found.append((at, length, False))
    return found


def _difference(one: Section, two: Section) -> float:
    if min(one[1], two[1]) <= max(one[0], two[0]):
        return 0.0
    if one[2] and two[2]:
        return float((one[0] - two[0]) ** 2 + (one[1] - two[1]) ** 2)
    if one[2] and two[0] <= one[0] and one[1] <= two[1]:
        return float((one[1] - one[0]) ** 2)
    if two[2] and one[0] <= two[0] and two[1] <= one[1]:
        return float((two[1] - two[0]) ** 2)
    return 0.0


def observed(lines: Sequence[Sequence[Section]], length: int) -> float:
    """D_o of one class in one item: mean difference of two annotators."""
    total = 0.0
    for one in range(len(lines)):
        for two in range(one):
            left, right = lines[one], lines[two]
            at = 0
            for section in left:
                while at < len(right) and right[at][1] <= section[0]:
                    at += 1
                place = at
                while place < len(right) and right[place][0] < section[1]:
                    total += 2.0 * _difference(section, right[place])
                    place += 1
    return total / (len(lines) * (len(lines) - 1) * length * length)


def expected(lines: Sequence[Sequence[Section]], length: int) -> float:
    """D_e of one class in one item: of all ways in which its units and gaps could meet."""
    units = np.array([end - start for line in lines for start, end, real in line if real], dtype=np.float64)
    gaps = np.array([end - start for line in lines for start, end, real in line if not real], dtype=np.float64)
    if not len(units):
        return 0.0
    met = (len(units) - 1) / 3.0 * (2.0 * units**3 - 3.0 * units**2 + units)
    room = np.maximum(gaps[None, :] - units[:, None] + 1.0, 0.0).sum(axis=1) if len(gaps) else np.zeros(len(units))
    whole = len(lines) * length
    ways = whole * (whole - 1.0) - float((units * (units - 1.0)).sum())
    return float(2.0 / length * (met + units**2 * room).sum() / ways) if ways > 0 else 0.0


def parts(answers: Sequence[Sequence[Unit]], scale: float = 1.0) -> tuple[float, float]:
    """D_o and D_e of an item, summed over its classes, times the length of its line.

    Args:
        answers: the units of each annotator, two or more of them.
        scale: steps of the line per unit of length.

    How long the line is nobody told: as much longer than to the last unit's end as units are apart on average.
    """
    whole = [[(round(start * scale), round(end * scale), label) for start, end, label in units] for units in answers]
    last = max((end for units in whole for _, end, _ in units), default=0)
    number = sum(map(len, whole))
    length = round(last * (number + 1) / max(number, 1))
    if len(answers) < 2 or not length:  # noqa: PLR2004
        return 0.0, 0.0
    seen = wanted = 0.0
    for name in sorted({label for units in whole for *_, label in units}):
        lines = [sections([(start, end) for start, end, label in units if label == name], length) for units in whole]
        seen += observed(lines, length)
        wanted += expected(lines, length)
    return seen * length, wanted * length


def alpha_u(items: Sequence[tuple[float, float]], weights: Floats | None = None) -> Floats:
    """Alpha of items' parts; (resamples,) for weights of the shape (resamples, items). NaN where it is undefined."""
    table = np.array(items, dtype=np.float64).reshape(-1, 2)
    sums = np.atleast_2d(np.ones(len(table)) if weights is None else weights) @ table
    found: Floats = np.where(sums[:, 1] > 0.0, 1.0 - sums[:, 0] / np.maximum(sums[:, 1], 1e-300), np.nan)
    return found
