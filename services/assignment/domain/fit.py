"""Whom an item fits: the classes that a person knows better, or worse, than the project's people do on the whole.

Each person's accuracy in a class is drawn from its posterior (Thompson 1933), with the whole crowd's accuracy as a
prior of `PRIOR` answers. Of a newcomer little is known, so the draws go far up and down, and every class is tried; with
evidence they settle. A draw says by how much an item of that likely class comes up for this person, as a part of the
score's range, never so far that age or urgency would not outweigh it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from shared.events import Skill

PRIOR = 4.0
LEAST = 1e-9

Judged = Mapping[str, tuple[int, int]]
"""Class that was true -> answers that were right, and wrong."""


def judged(skills: Iterable[Skill]) -> Judged:
    """Right and wrong answers by what was true, summed."""
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for cell in (cell for skill in skills for cell in skill.confusion if cell.truth):
        (right if cell.truth == cell.answered else wrong)[cell.truth] += cell.answers
    return {truth: (right[truth], wrong[truth]) for truth in sorted(right | wrong)}


def fits(own: Judged, crowd: Judged, *, weight: float, seed: int) -> dict[str, float]:
    """Class -> what is added to the score of items that are likely of it; between -`weight` and `weight`.

    Args:
        own: the person's answers.
        crowd: everybody's, theirs among them.
        weight: of the policy.
        seed: of the draws; the same gives the same.
    """
    chance = np.random.default_rng(seed)
    found = {}
    for name, (right, wrong) in crowd.items():
        usual = (right + 1.0) / (right + wrong + 2.0)
        mine, not_mine = own.get(name, (0, 0))
        drawn = float(chance.beta(mine + PRIOR * usual, not_mine + PRIOR * (1.0 - usual)))
        found[name] = weight * (drawn - usual)
    return found


def drawn(people: Sequence[str], worths: Mapping[str, float], *, prefer: float, chance: float) -> str:
    """One of several people who could answer, by what their opinions tell, to the power `prefer`.

    Somebody unknown is drawn like the mean of those who are known, so that newcomers are tried.

    Args:
        people: at least one.
        worths: of those who are known, in any unit.
        prefer: 0: anybody.
        chance: in [0, 1).
    """
    usual = sum(worths.values()) / len(worths) if worths else 1.0
    shares = np.cumsum([max(worths.get(name, usual), LEAST) ** prefer for name in people])
    return people[int(np.searchsorted(shares, chance * shares[-1], side="right"))]
