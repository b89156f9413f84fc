"""Labels to a training set: one row per content, copies on one side, weighted by what is known of the label."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.heldout import is_held_out


@dataclass(frozen=True, slots=True)
class Labelled:
    """One item with its live label.

    Attributes:
        item_id: of the item.
        content_hash: equal content, equal hash.
        group: what copies share; the content's hash where the project names no key.
        category: the label as one symbol.
        version: of the label.
        weight: posterior of the label; 1 where a lone answer has none.
        audited: from the blind audit lane.
        inclusion: probability with which the item came to people.
    """

    item_id: str
    content_hash: str
    group: str
    category: str
    version: int
    weight: float
    audited: bool
    inclusion: float


@dataclass(frozen=True, slots=True)
class Row:
    """One content to learn from."""

    content_hash: str
    group: str
    category: str
    weight: float


@dataclass(frozen=True, slots=True)
class Sides:
    """What is learned from, and what no model ever sees: the gate's.

    `audits`: labels of the audit lane that are learned from. They judge the models that came before them; none of them
    does where groups are the user's own, as the group may be known.
    """

    training: tuple[Row, ...]
    held_out: tuple[Labelled, ...]
    audits: tuple[Labelled, ...]
    data_hash: str
    labels_hash: str


def split(seed: str, labels: Iterable[Labelled], *, share: float, grouped: bool) -> Sides:
    """The two sides. A function of the labels alone, whatever their order.

    A group is held out by its hash.

    Args:
        seed: of the draw, see shared/heldout.py.
        labels: the live labels of a project.
        share: of the groups that is held out.
        grouped: whether groups are more than copies of one content.
    """
    known = sorted(labels, key=lambda one: (one.content_hash, one.item_id))
    held_out: list[Labelled] = []
    learned: dict[str, list[Labelled]] = defaultdict(list)
    for one in known:
        if is_held_out(seed, one.group, share):
            held_out.append(one)
        else:
            learned[one.content_hash].append(one)
    training = tuple(_merged(copies) for copies in learned.values())
    audits = () if grouped else tuple(one for copies in learned.values() for one in copies if one.audited)
    return Sides(training, tuple(held_out), audits, _hash_rows(training), _hash_versions(known))


def _merged(copies: Sequence[Labelled]) -> Row:
    """Copies of one content: the category with the most weight, and its mean weight over all copies."""
    weights: dict[str, float] = defaultdict(float)
    for one in copies:
        weights[one.category] += one.weight
    category, weight = max(sorted(weights.items()), key=lambda pair: pair[1])
    return Row(copies[0].content_hash, copies[0].group, category, round(weight / len(copies), 6))


def _hash_rows(rows: Iterable[Row]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row.content_hash}\x1f{row.group}\x1f{row.category}\x1f{row.weight:.6f}\n".encode())
    return digest.hexdigest()


def _hash_versions(labels: Iterable[Labelled]) -> str:
    digest = hashlib.sha256()
    for one in labels:
        digest.update(f"{one.item_id}\x1f{one.version}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def candidate_name(*causes: object) -> str:
    """The version of a candidate: the same data, code and settings always give the same name."""
    digest = hashlib.sha256("\x1f".join(map(str, causes)).encode("utf-8", "surrogatepass")).hexdigest()
    return f"trained-{digest[:12]}"
