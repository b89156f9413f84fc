"""Labels of which some are wrong, a model beside them, and several ways to say which."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.belief import ACCURACY, posterior, softened, taught, temperature

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
HARDER = 0.4
"""What an item that the exact posterior gives no chance takes off people's accuracy, beside one that is sure."""
MODELS = ("strong", "overconfident", "weak")


@dataclass(frozen=True)
class Labelled:
    """Items with a label each.

    Attributes:
        truth, given: (items,); what is true and what the label says.
        votes: per item (person, class), the ones behind the label.
        model: (items, classes); what the model says.
        people: how many.
    """

    truth: Ints
    given: Ints
    votes: tuple[tuple[tuple[int, int], ...], ...]
    model: Floats
    people: int

    @property
    def wrong(self) -> NDArray[np.bool_]:
        return np.asarray(self.given != self.truth)


def synthetic(seed: int, kind: str, *, items: int = 8000) -> Labelled:
    """8 people of 65 to 97 %, 70 % of the items labelled by one of them, the rest by three; worse on hard items.

    They mistake an item for what it looks like, too. Five Gaussian classes; the strong model has the exact posterior,
    the overconfident one its cube, the weak one sees
    noisy features and has their exact posterior.
    """
    rng = np.random.default_rng(seed)
    prior = np.array([0.40, 0.25, 0.18, 0.12, 0.05])
    truth = rng.choice(5, size=items, p=prior)
    means = rng.normal(size=(5, 6))
    means *= 2.3 / np.linalg.norm(means, axis=1, keepdims=True)
    x = means[truth] + rng.normal(size=(items, 6))
    strong = _softmax(x @ means.T - (means**2).sum(axis=1) / 2 + np.log(prior))
    hard = 1.0 - strong[np.arange(items), truth]
    if kind == "weak":
        noisy = x + rng.normal(size=x.shape) * 1.2
        model = _softmax((noisy @ means.T - (means**2).sum(axis=1) / 2) / (1 + 1.44) + np.log(prior))
    else:
        model = _softmax(np.log(strong) * (3.0 if kind == "overconfident" else 1.0))
    accuracy = np.linspace(0.65, 0.97, 8)
    mistaken = strong + 0.1
    mistaken[np.arange(items), truth] = 0.0
    mistaken /= mistaken.sum(axis=1, keepdims=True)
    votes, given = [], np.empty(items, np.int64)
    for item in range(items):
        who = rng.permutation(8)[: 1 if rng.random() < 0.7 else 3]
        said = []
        for person in who:
            right = rng.random() < accuracy[person] + HARDER * (hard.mean() - hard[item])
            said.append((int(person), int(truth[item] if right else rng.choice(5, p=mistaken[item]))))
        votes.append(tuple(said))
        given[item] = _majority(rng, said, 5)
    return Labelled(truth, given, tuple(votes), model, 8)


def recorded(seed: int, answers: list[tuple[int, int, int]], truth: Ints, classes: int) -> Labelled:
    """A recorded crowd: one answer for 70 % of the items, up to three for the rest, a twentieth of the labels planted.

    The model is a calibrated one made up from the truth: the exact posterior of a Gaussian score for each class, about
    85 % right. Planted errors are any other class.

    Args:
        seed: of everything drawn.
        answers: (item, person, class) of items with a known truth.
        truth: (items,).
        classes: how many.
    """
    rng = np.random.default_rng(seed)
    by_item: list[list[tuple[int, int]]] = [[] for _ in truth]
    for item, person, said in answers:
        by_item[item].append((person, said))
    keep = np.array([item for item, said in enumerate(by_item) if said])
    votes, given = [], np.empty(len(keep), np.int64)
    for place, item in enumerate(keep):
        of = by_item[item]
        some = [of[n] for n in rng.permutation(len(of))[: 1 if rng.random() < 0.7 else 3]]
        if rng.random() < 0.05:
            planted = int((truth[item] + rng.integers(1, classes)) % classes)
            some = [(person, planted) for person, _ in some]
        votes.append(tuple(some))
        given[place] = _majority(rng, some, classes)
    true = truth[keep]
    score = rng.normal(size=(len(keep), classes))
    score[np.arange(len(keep)), true] += 2.2
    return Labelled(true, given, tuple(votes), _softmax(2.2 * score), 1 + max(person for _, person, _ in answers))


def _softmax(logits: Floats) -> Floats:
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def _majority(rng: np.random.Generator, said: list[tuple[int, int]], classes: int) -> int:
    counts = np.bincount([one for _, one in said], minlength=classes)
    return int(rng.choice(np.flatnonzero(counts == counts.max())))


def skills(labelled: Labelled) -> list[float]:
    """Each person's accuracy as a service may know it: agreement with the label, where several answered, shrunk."""
    right, judged = np.full(labelled.people, 10.0 * ACCURACY), np.full(labelled.people, 10.0)
    for given, votes in zip(labelled.given, labelled.votes, strict=True):
        if len(votes) > 1:
            for person, said in votes:
                right[person] += said == given
                judged[person] += 1
    return [float(r / n) for r, n in zip(right, judged, strict=True)]


def learned(labelled: Labelled) -> float:
    """The temperature, from the labels."""
    sums = np.zeros(0)
    for row, given in zip(labelled.model, labelled.given, strict=True):
        one = np.array(taught({str(k): float(p) for k, p in enumerate(row)}, str(given)), float) / 1e6
        sums = one if not len(sums) else sums + one
    return temperature(sums.tolist())


def ours(labelled: Labelled) -> Floats:
    """1 - posterior of the label."""
    known, heat = skills(labelled), learned(labelled)
    found = []
    for row, given, votes in zip(labelled.model, labelled.given, labelled.votes, strict=True):
        said = [(str(one), known[person]) for person, one in votes]
        mix = posterior({str(k): float(p) for k, p in enumerate(row)}, said, temperature=heat)
        found.append(1.0 - mix[str(given)])
    return np.array(found)


def disagreement(labelled: Labelled) -> Floats:
    """Whether the label differs from what the model proposes; ties as they come."""
    return np.asarray(labelled.model.argmax(axis=1) != labelled.given).astype(float)


def unlikely(labelled: Labelled) -> Floats:
    """1 - the model's probability of the label, softened."""
    heat = learned(labelled)
    rows = [softened({str(k): float(p) for k, p in enumerate(row)}, heat) for row in labelled.model]
    return np.array([1.0 - row[str(given)] for row, given in zip(rows, labelled.given, strict=True)])


def low_confidence_disagreement(labelled: Labelled) -> Floats:
    """Disagreements below a confidence of .6, the least confident first."""
    confidence = labelled.model.max(axis=1)
    return np.asarray(disagreement(labelled) * (confidence < 0.6) * (2.0 - confidence))


def crowdlab(labelled: Labelled) -> Floats:
    """The weighted mean of Goh et al. 2022."""
    classes = labelled.model.shape[1]
    several = [n for n, votes in enumerate(labelled.votes) if len(votes) > 1]
    agreed = np.mean([said == labelled.given[n] for n in several for _, said in labelled.votes[n]])
    likely = np.bincount(labelled.given).max() / len(labelled.given)
    floor = 1.0 - likely
    weights = [max(1e-6, 1.0 - (1.0 - one) / floor) for one in skills(labelled)]
    model_error = 1.0 - np.mean([labelled.model[n].argmax() == labelled.given[n] for n in several])
    mean_labels = np.mean([len(votes) for votes in labelled.votes])
    model = max(1e-6, 1.0 - model_error / floor) * np.sqrt(mean_labels)
    found = []
    for row, given, votes in zip(labelled.model, labelled.given, labelled.votes, strict=True):
        total, mass = model, model * row[given]
        for person, said in votes:
            total += weights[person]
            mass += weights[person] * (agreed if said == given else (1.0 - agreed) / (classes - 1))
        found.append(1.0 - mass / total)
    return np.array(found)


WAYS: dict[str, Callable[[Labelled], Floats]] = {
    "posterior (ours)": ours,
    "1 - p(label), softened": unlikely,
    "CROWDLAB": crowdlab,
    "disagreement alone": disagreement,
    "low-confidence disagreement": low_confidence_disagreement,
}


def precision(labelled: Labelled, scores: Floats, budget: int, seed: int = 0) -> float:
    """Share of wrong labels among the `budget` highest scores; ties in random order."""
    tie = np.random.default_rng(seed).random(len(scores))
    first = np.lexsort((tie, -scores))[:budget]
    return float(labelled.wrong[first].mean())
