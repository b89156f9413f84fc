"""What qc knows of one item: its answers, its rounds, its live label. A join: order and repeats change nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from uuid import UUID

from services.qc.domain.counts import MILLS
from services.qc.domain.fusing.judgement import Nearness
from services.qc.domain.fusing.proposals import Correction
from services.qc.domain.judging import weights_of
from services.qc.domain.scale import Kind, number_of, symbol_of
from shared.events import (
    Annotation,
    Ask,
    Audience,
    Escalation,
    Label,
    Outcome,
    Path,
    Relabel,
    SkipReason,
    in_present_names,
)
from shared.labels import SAME, Choice, Choices, LabelValue, Names, Rating


class End(StrEnum):
    """How a round that people answered ended, as far as qc decided or was told."""

    LABEL = "label"
    UNLABELABLE = "unlabelable"
    UNRESOLVED = "unresolved"


class Admission(StrEnum):
    """What a newly read annotation is."""

    NEW = "new"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Answer:
    """One annotation as stored; `value` and `symbol` where the outcome is an answer.

    `correction`: what became of a proposal that was shown, on kinds that are fused.
    """

    annotation_id: UUID
    round: int
    outcome: Outcome
    annotator_id: str | None
    role: Audience
    value: LabelValue | None
    symbol: str | None
    skip_reason: SkipReason | None
    late: bool
    guideline_version: int
    saw_proposal: bool = False
    correction: Correction | None = field(default=None, compare=False)

    @classmethod
    def of(cls, event: Annotation) -> "Answer":
        return cls(
            annotation_id=event.annotation_id,
            round=event.round,
            outcome=event.outcome,
            annotator_id=event.annotator_id,
            role=event.role,
            value=event.value,
            symbol=None if event.value is None else symbol_of(event.value),
            skip_reason=event.skip_reason,
            late=event.late,
            guideline_version=event.guideline_version,
            saw_proposal=event.saw_proposal,
        )

    def is_same(self, other: "Answer") -> bool:
        """Whether the other is this one again; who gave this one may have been erased since, out of quarantine too."""
        if self == other:
            return True
        return self.annotator_id is None and self == replace(other, annotator_id=None, late=self.late or other.late)

    @property
    def is_answer(self) -> bool:
        return self.outcome is Outcome.ANSWERED


@dataclass(frozen=True, slots=True)
class Reached:
    """How a label reached the target: its posterior then, under which snapshot, of which target and maximum."""

    posterior: float
    snapshot: int
    target: float
    most: int


@dataclass(slots=True)
class RoundRecord:
    """What qc said about a round: how many opinions it asked for in all, whether an expert, how it ended.

    `pooled`: asked for because a snapshot doubts or revises the label before it, so the opinions of before count
    towards its overlap. `reached`: where this database decided it; no fact, as a label read back does not tell it.
    """

    asked: int = 0
    expert_asked: bool = False
    ended: End | None = None
    pooled: bool = False
    reached: Reached | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class LiveLabel:
    """The item's label of the highest version, as a judge of its answers.

    Attributes:
        weights: the posterior in mills; see `weights_of`.
        number, tolerance: of a rating.
        given: the version whose answers it stands on; an earlier one where it is that under present names.
        published: its symbol as the topic has it; empty: `symbol`, which is in present names.
        value: of a fused label, whose `weights` are the existence of its parts by their place.
    """

    version: int
    path: Path
    symbol: str
    kind: Kind
    weights: Mapping[str, int]
    number: float | None = None
    tolerance: float = 0.0
    given: int = 0
    published: str = ""
    value: LabelValue | None = field(default=None, compare=False)

    @property
    def rank(self) -> tuple[int, bool]:
        """Which of two labels lives: the higher version; of one version (which never happens) the one by people."""
        return self.version, self.path is not Path.AUTO

    @property
    def judges(self) -> bool:
        """Whether it says anything about its annotators: a model's label and a lone answer do not."""
        return self.path in (Path.CONSENSUS, Path.EXPERT)


def live_label(event: Label, *, tolerance: float, names: Names = SAME) -> LiveLabel:
    """The judge that a label is.

    Args:
        event: the label.
        tolerance: of the project's scale, where it is numeric; else 0.
        names: the present ones.
    """
    published = symbol_of(event.value)
    event = in_present_names(event, names)
    match event.value:
        case Choice():
            kind = Kind.CLOSED
        case Rating():
            kind = Kind.NUMERIC
        case Choices():
            kind = Kind.OPEN
        case _:
            kind = Kind.FUSED
    symbol = symbol_of(event.value)
    shares = event.distribution if event.path is Path.CONSENSUS and kind is not Kind.NUMERIC else None
    return LiveLabel(
        version=event.version,
        path=event.path,
        symbol=symbol,
        kind=kind,
        weights=existence_of(event) if kind is Kind.FUSED else weights_of(shares, symbol),
        number=number_of(event.value),
        tolerance=tolerance,
        given=event.renames or event.version,
        published=published,
        value=event.value if kind is Kind.FUSED else None,
    )


def existence_of(event: Label) -> dict[str, int]:
    """Place of a part -> mills of its existence, where the label is not sure of it."""
    told = {place_of(one.place, one.part): round(MILLS * one.existence) for one in event.evidence.sureness}
    return {place: mills for place, mills in sorted(told.items()) if mills < MILLS}


def place_of(place: int, part: str | None) -> str:
    """The place of a part of a label as one text."""
    return f"{part}/{place}" if part else str(place)


@dataclass(slots=True)
class ItemState:
    """Everything about one item; `answers` in the order they came. One that was erased takes nothing in any more."""

    answers: dict[UUID, Answer] = field(default_factory=dict)
    rounds: dict[int, RoundRecord] = field(default_factory=dict)
    label: LiveLabel | None = None
    erased: bool = False
    nearness: Nearness = field(default_factory=Nearness, compare=False, repr=False)

    def round(self, number: int) -> RoundRecord:
        """The record of a round, made where it is new."""
        return self.rounds.setdefault(number, RoundRecord())

    def ended(self, number: int) -> bool:
        """Whether a round is over: decided, labelled, or followed by a later one."""
        record = self.rounds.get(number)
        if record is not None and record.ended is not None:
            return True
        if self.label is not None and self.label.version >= number:
            return True
        return any(answer.round > number for answer in self.answers.values())

    def admit(self, answer: Answer) -> Admission:
        """Take an annotation in, unless it is known or contradicts one.

        A conflict is another content under a known id, or a second answer by the same person: the first stands.
        """
        known = self.answers.get(answer.annotation_id)
        if known is not None:
            return Admission.DUPLICATE if known.is_same(answer) else Admission.CONFLICT
        if answer.is_answer and any(
            a.is_answer and a.annotator_id == answer.annotator_id is not None for a in self.answers.values()
        ):
            return Admission.CONFLICT
        self.answers[answer.annotation_id] = answer
        return Admission.NEW

    def merge_label(self, label: LiveLabel) -> bool:
        """Take a label in; the highest version lives. Returns whether anything changed."""
        record = self.rounds.get(label.version)
        changed = False
        if label.path is not Path.AUTO and (record is None or record.ended is not End.LABEL):
            self.round(label.version).ended = End.LABEL
            changed = True
        if self.label is None or self.label.rank < label.rank:
            self.label = label
            changed = True
        return changed

    def merge_escalation(self, event: Escalation) -> bool:
        """Take in what qc itself asked, or an end it declared. Returns whether anything changed."""
        record = self.round(event.round)
        before = (record.asked, record.expert_asked, record.ended)
        match event.ask:
            case Ask.OPINION:
                record.asked = max(record.asked, event.opinions_wanted)
            case Ask.EXPERT:
                record.expert_asked = True
            case Ask.UNLABELABLE:
                record.ended = record.ended or End.UNLABELABLE
            case Ask.UNRESOLVED:
                record.ended = record.ended or End.UNRESOLVED
        return before != (record.asked, record.expert_asked, record.ended)

    def merge_relabel(self, event: Relabel) -> bool:
        """Take in that qc asked for its own label again, for a doubt. Returns whether anything changed."""
        record = self.round(event.round + 1)
        before, record.pooled = record.pooled, True
        return not before

    def superseded_by(self, number: int) -> int | None:
        """The version that the label of round `number` supersedes: the latest earlier round that ended in a label.

        A round that qc itself did not end without a label ended in one that assignment wrote.
        """
        for earlier in range(number - 1, 0, -1):
            record = self.rounds.get(earlier)
            if record is None or record.ended in (None, End.LABEL):
                return earlier
        return None
