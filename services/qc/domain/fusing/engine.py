"""The one entry: the answers to an item of any kind that is fused, and what is known of people, to its label."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.qc.domain.fusing import drawn, lines, pixels, texts
from services.qc.domain.fusing.counted import ARCS, NOTHING, Counted
from services.qc.domain.fusing.outcome import Fusion
from services.qc.domain.kinds.clusters import Drawn
from services.qc.domain.kinds.kind import Given
from services.qc.domain.kinds.shapes import DRAWINGS, without_gaps
from shared.labels import LabelSchema, LabelValue, Masks, ObjectSchema, Tracks, TranscriptSchema

NEAR: Mapping[str, float] = {"boxes": 0.75, "polygons": 0.75, "masks": 0.75, "segments": 0.7, "tracks": 0.6}
"""Similarity at which two extents of a kind are the same, give or take what careful people differ by."""


@dataclass(frozen=True, slots=True)
class Fuser:
    """How a project's answers are fused; what its schema says of that.

    Attributes:
        kind: of the values.
        classes, arcs: of objects, and of relations between them.
        semantic: of masks: each pixel has one class.
        gap: most frames from one box of a track to the next.
    """

    kind: str
    classes: tuple[str, ...] = ()
    arcs: tuple[str, ...] = ()
    semantic: bool = False
    gap: int | None = None

    def fuse(self, answers: Sequence[Given[Any]], counted: Mapping[str, Counted], part: str = "") -> Fusion:
        """Fuse the answers to one item; a lone answer stays as it was given.

        Args:
            answers: one or more, at most one by an annotator, in an order that says nothing.
            counted: by part of the label.
            part: the one that the answers are.
        """
        told = Counter((value.width, value.height) for one in answers if isinstance(value := one.value, Masks))
        if told:  # of one picture; what was drawn on another is no opinion about it
            size = max(sorted(told), key=lambda each: told[each])
            answers = [one for one in answers if (one.value.width, one.value.height) == size]
        known = counted.get(part, NOTHING)
        if self.kind == "spans":
            found = lines.fuse_spans(answers, known)
        elif self.kind == "relations":
            found = lines.fuse_relations(answers, known, counted.get(part + ARCS, NOTHING), self.arcs)
        elif self.kind == "transcript":
            found = texts.fuse(answers, known)
        else:
            found = self._drawn(answers, known)
        if len(answers) > 1:
            return found
        return Fusion(answers[0].value, doubts=(found.worst,), unseen=found.unseen)

    def _drawn(self, answers: Sequence[Given[Any]], known: Counted) -> Fusion:
        drawings, values = DRAWINGS[self.kind], [one.value for one in answers]
        given = drawings.answers(answers)
        lone = 1.0 if len(answers) > 1 else drawn.nothing_missed([len(given[0].objects)], known)
        if self.semantic:
            masks, sure, left = pixels.fused(given, known, self.classes)
            return Fusion(drawings.write(masks, values), tuple(sure), tuple(left), lone)
        found = drawn.fused(given, drawings.geometry, known, self.classes, near=NEAR[self.kind])
        order = list(range(len(found.kept)))
        if self.kind == "segments":  # which are written in this order
            order.sort(key=lambda at: (found.kept[at].extent, found.kept[at].label))
        value: LabelValue = drawings.write([Drawn(found.kept[at].extent, found.kept[at].label) for at in order], values)
        parts = tuple(replace(found.parts[at], place=place) for place, at in enumerate(order))
        if isinstance(value, Tracks) and self.gap is not None:
            value = without_gaps(value, self.gap)
        return Fusion(value, parts, found.left_out, lone, found.unseen)


def fuser_of(schema: LabelSchema) -> Fuser | None:
    """How a project's answers are fused; None for kinds with an engine of their own."""
    match schema:
        case TranscriptSchema():
            return Fuser("transcript")
        case ObjectSchema():
            gap = schema.max_frame_gap
            return Fuser(schema.kind, schema.classes, schema.relation_classes, schema.semantic, gap)
        case _:
            return None
