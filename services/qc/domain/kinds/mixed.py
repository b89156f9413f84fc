"""A mix of several kinds in one item, offline: each part by its own kind, all parts in one label."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from services.qc.domain.answers import answers_of
from services.qc.domain.kinds.kind import Fusion, Given, Items, Kind, Label
from services.qc.domain.kinds.plain import CHOICES, RATING
from services.qc.domain.kinds.ratios import shares_of, summed
from services.qc.domain.kinds.relations import RELATIONS
from services.qc.domain.kinds.segments import SEGMENTS
from services.qc.domain.kinds.shapes import SHAPES
from services.qc.domain.kinds.spans import SPANS
from services.qc.domain.kinds.tolerance import distance, right
from services.qc.domain.kinds.transcripts import TRANSCRIPT
from services.qc.domain.methods import resolve
from services.qc.domain.models import Method
from shared.labels import Choice, Mixed


def parse_choice(raw: Any) -> Choice:
    """Read a class, or `{"choice": class}`.

    Raises:
        ValueError: it is neither.
    """
    name = raw.get("choice") if isinstance(raw, Mapping) else raw
    if not isinstance(name, str):
        raise ValueError("a choice is the name of a class")  # noqa: TRY004  # it is data, not a call
    return Choice(choice=name)


def fuse_choice(items: Items[Choice]) -> Fusion[Choice]:
    """By the engine of single choices."""
    tasks, people = list(items), sorted({one.annotator for answers in items.values() for one in answers})
    classes = sorted({one.value.choice for answers in items.values() for one in answers})
    seat, index = ({name: at for at, name in enumerate(names)} for names in (people, classes))
    flat = [(at, seat[o.annotator], index[o.value.choice]) for at, task in enumerate(tasks) for o in items[task]]
    item, who, said = np.array(flat, dtype=np.int32).reshape(-1, 3).T
    if len(classes) == 1:
        return Fusion({task: Label(Choice(choice=classes[0]), 1.0, 0.0) for task in tasks})
    found = resolve(answers_of(item, who, said, (len(tasks), len(people), len(classes))), Method.DEFAULT)
    best, sure = found.posterior.argmax(axis=1).tolist(), found.posterior.max(axis=1).tolist()
    labels = {
        task: Label(Choice(choice=classes[best[at]]), sure[at], 1.0 - sure[at], ({"posterior": sure[at]},))
        for at, task in enumerate(tasks)
    }
    own = summed(who, found.posterior[item, said], np.ones(len(item)), len(people))
    return Fusion(labels, *shares_of(people, {"accuracy": own}))


def majority_choice(answers: Sequence[Given[Choice]]) -> Choice:
    """The commonest class; of several the first by name."""
    names = [one.value.choice for one in answers]
    return Choice(choice=max(sorted(set(names)), key=names.count))


def measure_choice(pairs: Sequence[tuple[Choice, Choice]]) -> dict[str, float]:
    """The share of classes that are right."""
    return {"accuracy": float(np.mean([found == true for found, true in pairs])) if pairs else 1.0}


CHOICE = Kind(
    "choice", parse_choice, lambda value: value.choice, fuse_choice, majority_choice, measure_choice, "accuracy",
    lambda left, right: float(left != right),
)  # fmt: skip
_EVERY: list[Kind[Any]] = [CHOICE, CHOICES, RATING, SPANS, RELATIONS, SEGMENTS, TRANSCRIPT, *SHAPES.values()]
PARTS: Mapping[str, Kind[Any]] = {kind.name: kind for kind in _EVERY}
"""What a mix may hold."""


def parse(raw: Any) -> Mixed:
    """Read `{"parts": {name: value}}`, or the parts alone; values are those of the contract, with their kind.

    Raises:
        ValueError: says which part is wrong.
    """
    parts = raw.get("parts", raw) if isinstance(raw, Mapping) else raw
    if not isinstance(parts, Mapping) or not parts:
        raise ValueError('a mix is {"parts": {name: value with its kind, ...}}')
    return Mixed.model_validate({"parts": parts})


def encode(value: Mixed) -> Any:
    return value.model_dump(mode="json")


def _parts(items: Items[Mixed]) -> dict[str, dict[str, list[Given[Any]]]]:
    """Part -> task -> its answers."""
    found: dict[str, dict[str, list[Given[Any]]]] = {}
    for task, answers in items.items():
        for one in answers:
            for name, value in one.value.parts.items():
                found.setdefault(name, {}).setdefault(task, []).append(Given(one.annotator, value))
    return found


def _kind(name: str, items: Items[Any]) -> Kind[Any]:
    kinds = {one.value.kind for answers in items.values() for one in answers}
    if len(kinds) > 1:
        raise ValueError(f"the part {name!r} is of several kinds: {', '.join(sorted(kinds))}")
    return PARTS[kinds.pop()]


def fuse(items: Items[Mixed]) -> Fusion[Mixed]:
    """Each part by itself. A label is as sure as its worst part; what is expected wrong adds up.

    Raises:
        ValueError: a part is of two kinds.
    """
    fused = {name: _kind(name, several).fuse(several) for name, several in sorted(_parts(items).items())}
    labels = {}
    for task in items:
        own = {name: one.labels[task] for name, one in fused.items() if task in one.labels}
        parts = [{"part": name, **part} for name, label in own.items() for part in label.parts]
        labels[task] = Label(
            Mixed(parts={name: label.value for name, label in own.items()}),
            min(label.posterior for label in own.values()),
            sum(label.wrong for label in own.values()),
            tuple(parts),
        )
    return Fusion(labels, _by_part(fused, "skills"), _by_part(fused, "intervals"))


def _by_part(fused: Mapping[str, Fusion[Any]], what: str) -> dict[str, dict[str, Any]]:
    """What is known of people, by annotator and `part.skill`."""
    found: dict[str, dict[str, Any]] = {}
    for name, one in fused.items():
        for who, told in getattr(one, what).items():
            found.setdefault(who, {}).update({f"{name}.{skill}": number for skill, number in told.items()})
    return found


def majority(answers: Sequence[Given[Mixed]]) -> Mixed:
    """Each part by its majority; where its kind has none, the answer nearest to the others."""
    found = {}
    for name, several in _parts({"": answers}).items():
        kind, given = _kind(name, several), several[""]
        found[name] = given[0].value if kind.majority is None else kind.majority(given)
    return Mixed(parts=found)


def measure(pairs: Sequence[tuple[Mixed, Mixed]]) -> dict[str, float]:
    """The share of items whose every part is within its kind's tolerance; then the figures of each part."""
    figures = {"accuracy": float(np.mean([bool(right(found, true)) for found, true in pairs])) if pairs else 1.0}
    for name in sorted({name for _, true in pairs for name in true.parts}):
        both = [
            (found.parts[name], true.parts[name]) for found, true in pairs if name in found.parts.keys() & true.parts
        ]
        kinds = {value.kind for pair in both for value in pair}
        if len(kinds) == 1:
            told = PARTS[kinds.pop()].measure(both)
            figures |= {f"{name}.{figure}": number for figure, number in told.items()}
    return figures


MIXED = Kind("mixed", parse, encode, fuse, majority, measure, "accuracy", distance)
