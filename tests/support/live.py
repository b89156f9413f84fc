"""Simulated annotators of every kind that is fused, one of them careless, and rounds that are folded in memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from services.qc.domain.counts import CellCount, Parameters, build
from services.qc.domain.facts import Facts
from services.qc.domain.fold import Context, ItemKey, fold, key_of
from services.qc.domain.item import ItemState
from services.qc.domain.scale import scale_of
from shared.events import Annotation, CostModel, Escalation, Label
from shared.labels import (
    Box,
    Boxes,
    Keyframe,
    LabelSchema,
    LabelValue,
    Mask,
    Masks,
    ObjectSchema,
    Polygon,
    Polygons,
    Relation,
    Relations,
    Segment,
    Segments,
    Span,
    Spans,
    Track,
    Tracks,
    Transcript,
    TranscriptSchema,
)
from tests.support import events as make
from tests.support.qc_domain import policy

CLASSES = ("car", "dog", "tree")
WORDS = tuple("abcdefghijklmnopqrstuvwxyz"[n : n + 3] for n in range(20))
SIDE = 64


@dataclass(frozen=True)
class Person:
    """How often somebody misses, invents and confuses, and how far off their extents are, in parts of the size."""

    miss: float = 0.08
    invent: float = 0.15
    confuse: float = 0.05
    jitter: float = 0.04


CAREFUL, CARELESS = Person(), Person(miss=0.5, invent=1.5, confuse=0.5, jitter=0.35)
Thing = tuple[float, float, float, str]
"""Where it begins, how long it is, from 0 to 1; its middle across; and its class."""


def things(rng: Random, number: int) -> list[Thing]:
    """So many that don't overlap."""
    width = 1.0 / number
    return [
        (n * width + 0.1 * width, rng.uniform(0.5, 0.8) * width, rng.uniform(0.2, 0.8), rng.choice(CLASSES))
        for n in range(number)
    ]


def seen(true: Sequence[Thing], who: Person, rng: Random) -> list[Thing]:
    """What a person makes of it."""
    found = []
    for start, size, across, name in true:
        if rng.random() < who.miss:
            continue
        label = rng.choice(CLASSES) if rng.random() < who.confuse else name
        low = max(start + rng.gauss(0.0, who.jitter) * size, 0.0)
        found.append((low, size * max(1.0 + rng.gauss(0.0, who.jitter), 0.3), across, label))
    while rng.random() < who.invent / (1.0 + who.invent):
        found.append((rng.uniform(0.0, 0.9), rng.uniform(0.03, 0.1), rng.uniform(0.2, 0.8), rng.choice(CLASSES)))
    return found


def boxes(given: Sequence[Thing]) -> Boxes:
    return Boxes(
        boxes=tuple(
            Box(x=1000 * x, y=1000 * y - 500 * w, width=1000 * w, height=1000 * w, label=c) for x, w, y, c in given
        )
    )


def polygons(given: Sequence[Thing]) -> Polygons:
    return Polygons(
        polygons=tuple(
            Polygon(
                points=(
                    (1000 * x, 1000 * y),
                    (1000 * x + 500 * w, 1000 * y - 500 * w),
                    (1000 * (x + w), 1000 * y),
                    (1000 * x + 500 * w, 1000 * y + 500 * w),
                ),
                label=c,
            )
            for x, w, y, c in given
        )
    )


def segments(given: Sequence[Thing]) -> Segments:
    return Segments(segments=tuple(Segment(start=100 * x, end=100 * (x + w), label=c) for x, w, _, c in given))


def spans(given: Sequence[Thing]) -> Spans:
    told = {(round(50 * x), max(round(50 * (x + w)), round(50 * x) + 1), c) for x, w, _, c in given}
    return Spans(spans=tuple(Span(start=a, end=b, label=c) for a, b, c in sorted(told)))


def relations(given: Sequence[Thing]) -> Relations:
    """Each thing is part of the first one of its class."""
    named = [span.model_copy(update={"id": f"s{at}"}) for at, span in enumerate(spans(given).spans)]
    first: dict[str, Span] = {}
    for span in named:
        first.setdefault(span.label, span)
    heads = [(first[span.label], span) for span in named]
    arcs = tuple(Relation(head=one.id or "", tail=two.id or "", label="part") for one, two in heads if one is not two)
    return Relations(spans=tuple(named), relations=arcs)


def masks(given: Sequence[Thing]) -> Masks:
    """Columns of the picture, each of the class that the last thing there has."""
    column: list[str | None] = [None] * SIDE
    for x, w, _, c in given:
        for at in range(round(SIDE * x), min(round(SIDE * (x + w)), SIDE)):
            column[at] = c
    found = []
    for name in CLASSES:
        counts, last = [0], False
        for each in column:
            if (each == name) != last:
                counts.append(0)
                last = not last
            counts[-1] += SIDE
        if any(each == name for each in column):
            found.append(Mask(counts=tuple(counts), label=name))
    return Masks(width=SIDE, height=SIDE, masks=tuple(found))


def tracks(given: Sequence[Thing]) -> Tracks:
    return Tracks(
        tracks=tuple(
            Track(
                id=str(at),
                label=c,
                frames=tuple(
                    Keyframe(frame=frame, x=1000 * x + 5 * frame, y=1000 * y, width=1000 * w, height=1000 * w)
                    for frame in (0, 10, 20)
                ),
            )
            for at, (x, w, y, c) in enumerate(given)
        )
    )


def transcript(given: Sequence[Thing]) -> Transcript:
    """A word for where each begins."""
    return Transcript(text=" ".join(WORDS[min(int(20 * x + (c != CLASSES[0])), 19)] for x, _, _, c in sorted(given)))


def objects(kind: str, **more: Any) -> ObjectSchema:
    return ObjectSchema(kind=kind, classes=CLASSES, **more)


KINDS: Mapping[str, tuple[LabelSchema, Callable[[Sequence[Thing]], LabelValue]]] = {
    "boxes": (objects("boxes"), boxes),
    "polygons": (objects("polygons"), polygons),
    "masks": (objects("masks", semantic=True), masks),
    "tracks": (objects("tracks", max_frame_gap=10), tracks),
    "segments": (objects("segments"), segments),
    "spans": (objects("spans"), spans),
    "relations": (objects("relations", relation_classes=("part",)), relations),
    "transcript": (TranscriptSchema(), transcript),
}


@dataclass
class Live:
    """qc's rounds of one project, as the handlers fold them, with a snapshot after each batch."""

    schema: LabelSchema
    least: int = 2
    most: int = 5
    target: float = 0.9
    parameters: Parameters = field(default_factory=lambda: build(0, ()))
    total: Facts = field(default_factory=Facts)
    labels: dict[str, Label] = field(default_factory=dict)
    asked: list[Escalation] = field(default_factory=list)
    items: dict[ItemKey, ItemState] = field(default_factory=dict)

    def give(self, *events: Annotation) -> list[Label | Escalation]:
        touched = {key_of(event): self.items.setdefault(key_of(event), ItemState()) for event in events}
        context = Context(scale_of(self.schema), CostModel())
        folded = fold(touched, events, {(make.PROJECT, 1): context}, {make.PROJECT: self.parameters}, now=make.AT)
        for facts in folded.delta.values():
            self.total.add(facts)
        for _, event in folded.decided:
            if isinstance(event, Label):
                self.labels[event.item_id] = event
            else:
                self.asked.append(event)
        return [event for _, event in folded.decided]

    def cells(self) -> list[CellCount]:
        facts = self.total.nonzero()
        keys = facts.answers.keys() | facts.weights.keys()
        return [
            CellCount.stored(who, (truth, answered), source, *(of[who, truth, answered, source] for of in both))
            for both in [(facts.answers, facts.weights)]
            for who, truth, answered, source in sorted(keys)
        ]

    def snapshot(self) -> None:
        self.parameters = build(self.parameters.snapshot + 1, self.cells())

    def run(self, item: str, given: Sequence[tuple[str, LabelValue]]) -> Label | None:
        """Answers one after the other until the round ends."""
        rules = policy(self.least, self.most, target=self.target)
        for who, value in given:
            for event in self.give(make.annotation(item, by=who, value=value, policy=rules)):
                if isinstance(event, Label):
                    return event
        return None
