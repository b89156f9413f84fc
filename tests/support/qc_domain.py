"""Short names for qc's pure parts in tests."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.qc.domain.calibration import TEMPERATURES
from services.qc.domain.consensus import Opinion
from services.qc.domain.counts import CellCount, Learned, Parameters, Source, build
from services.qc.domain.fold import Context
from services.qc.domain.item import Answer, ItemState
from services.qc.domain.rounds import Round, round_of
from services.qc.domain.scale import Kind, Scale
from services.qc.domain.stopping import Decision, decide
from shared.events import Annotation, CostModel, Overlap, Policy
from shared.labels import Rating
from tests.support import events as make

CLASSES = make.CLASSES
CLOSED = Scale(Kind.CLOSED, CLASSES, len(CLASSES))
PAIR = Scale(Kind.CLOSED, ("no", "yes"), 2)
OPEN = Scale(Kind.OPEN, size=8)
NUMERIC = Scale(Kind.NUMERIC, tolerance=1.0, stepped=True)
CONTEXT = Context(CLOSED, CostModel())
NOTHING = build(0, ())
AT_ITS_WORD = Learned(heard=(*(-1000.0,) * (len(TEMPERATURES) - 1), 0.0))
"""A crowd whose answers to one item were independent."""
STRANGERS = build(0, (), AT_ITS_WORD)


def known(people: Mapping[str, tuple[int, int]], classes: Sequence[str] = CLASSES, snapshot: int = 7) -> Parameters:
    """Parameters where each person answered `judged` items of every class, `right` of them rightly; at its word."""
    cells = []
    for name, (judged, right) in people.items():
        for truth in classes:
            others = [c for c in classes if c != truth]
            cells.append(CellCount(name, truth, truth, Source.CONSENSUS, right, right * 1000))
            wrong = (judged - right) * 1000 // len(others)
            cells += [CellCount(name, truth, other, Source.CONSENSUS, 0, wrong) for other in others]
    return build(snapshot, cells, AT_ITS_WORD)


def says(*votes: tuple[str, str]) -> list[Opinion]:
    return [Opinion(name, symbol) for name, symbol in votes]


def policy(least: int = 1, most: int = 3, *, target: float = 0.95, experts: bool = False, **more: Any) -> Policy:
    overlap = Overlap(min=least, max=most)
    return Policy(**({"overlap": overlap, "target_posterior": target, "experts": experts} | more))


def answers(*values: str | float, by: str = "ann", **more: Any) -> list[Annotation]:
    """One answer each, by ann0, ann1, ..."""
    return [
        make.annotation(by=f"{by}{n}", value=value if isinstance(value, str) else Rating(rating=value), **more)
        for n, value in enumerate(values)
    ]


def state(events: Sequence[Annotation]) -> ItemState:
    item = ItemState()
    for event in events:
        item.admit(Answer.of(event))
    return item


def current(events: Sequence[Annotation], number: int = 1, *, asked: int = 0, expert_asked: bool = False) -> Round:
    item = state(events)
    item.round(number).asked = asked
    item.round(number).expert_asked = expert_asked
    return round_of(item, number, guideline=0, touched={})


def decision(
    events: Sequence[Annotation],
    rules: Policy,
    *,
    scale: Scale = CLOSED,
    parameters: Parameters = NOTHING,
    asked: int = 0,
    expert_asked: bool = False,
    number: int = 1,
) -> Decision:
    return decide(current(events, number, asked=asked, expert_asked=expert_asked), rules, scale, parameters, salt="p/i")
