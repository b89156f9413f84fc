"""The open round of an item as the stopping rule sees it."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from uuid import UUID

from services.qc.domain.consensus import Opinion
from services.qc.domain.facts import judged_by
from services.qc.domain.item import Answer, ItemState
from shared.events import Audience, Outcome, SkipReason
from shared.labels import Choice, Choices


@dataclass(frozen=True, slots=True)
class Round:
    """A round with the opinions it stands on.

    Attributes:
        fresh: annotators' answers of this round, late ones excluded.
        earlier: answers of earlier rounds that count here too.
        expert: an expert's answer in this round; expert_skip: why an expert gave none.
        skips: reason -> annotators who skipped for it in this round.
        exhausted: nobody is left who could answer.
        asked: opinions that qc asked for so far, in all; 0 = none beyond the policy's minimum.
        pooled: the opinions of before count towards the overlap; see `RoundRecord`.
        prediction: class -> probability, of the model, where none of the opinions was given in sight of it.
        counted: posterior in mills by which each earlier answer was judged, by annotation.
    """

    number: int
    fresh: tuple[Answer, ...] = ()
    earlier: tuple[Answer, ...] = ()
    expert: Answer | None = None
    expert_skip: SkipReason | None = None
    skips: Mapping[SkipReason, int] = field(default_factory=dict)
    exhausted: bool = False
    asked: int = 0
    expert_asked: bool = False
    ended: bool = False
    pooled: bool = False
    prediction: Mapping[str, float] | None = None
    counted: Mapping[UUID, Mapping[str, int]] = field(default_factory=dict)

    @property
    def opinions(self) -> tuple[Answer, ...]:
        """All answers by annotators and, of earlier rounds, experts, that speak for a value."""
        return self.earlier + self.fresh

    @property
    def taken(self) -> int:
        """Annotators' answers that count towards the overlap."""
        before = sum(answer.role is Audience.ANNOTATOR for answer in self.earlier) if self.pooled else 0
        return len(self.fresh) + before

    def model_opinions(self) -> list[Opinion]:
        """The opinions as the consensus takes them."""
        return [
            Opinion(answer.annotator_id or "", answer.symbol or "", self.counted.get(answer.annotation_id, {}))
            for answer in self.opinions
        ]


Touched = Mapping[int, AbstractSet[str]]
"""Guideline version -> the classes that its change touches."""


def outdated(answer: Answer, guideline: int, touched: Touched) -> bool:
    """Whether a later guideline, up to the round's, changed what the answer's class means."""
    match answer.value:
        case Choice(choice=name):
            named = {name}
        case Choices(choices=names):
            named = set(names)
        case _:
            return False
    later = range(answer.guideline_version + 1, guideline + 1)
    return any(not named.isdisjoint(touched.get(version, frozenset())) for version in later)


def _skips(answers: Sequence[Answer]) -> dict[SkipReason, int]:
    people: dict[SkipReason, set[str]] = {}
    for answer in answers:
        if answer.skip_reason is not None and answer.role is Audience.ANNOTATOR:
            people.setdefault(answer.skip_reason, set()).add(answer.annotator_id or "")
    return {reason: len(names) for reason, names in people.items()}


def round_of(
    item: ItemState,
    number: int,
    *,
    guideline: int,
    touched: Touched,
    excluded: AbstractSet[str] = frozenset(),
    prediction: Mapping[str, float] | None = None,
) -> Round:
    """The round `number` of an item.

    Args:
        item: all that is known of it.
        number: of the round.
        guideline: the version that the round is answered under.
        touched: what the guideline versions up to that one changed.
        excluded: people whose earlier answers count no more; what they answer in this round still does, as it was
            asked for and nobody else would be.
        prediction: class -> probability, of the model; left out where somebody saw it.
    """
    inside = [a for a in item.answers.values() if a.round == number and not a.late]
    answered = [a for a in inside if a.is_answer]
    experts = [a for a in inside if a.role is Audience.EXPERT]
    earlier = tuple(
        a
        for a in item.answers.values()
        if a.round < number
        and a.is_answer
        and not a.late
        and a.annotator_id not in excluded
        and not outdated(a, guideline, touched)
    )
    record = item.rounds.get(number)
    fresh = tuple(a for a in answered if a.role is Audience.ANNOTATOR)
    return Round(
        number=number,
        fresh=fresh,
        earlier=earlier,
        expert=next((a for a in experts if a.is_answer), None),
        expert_skip=next((a.skip_reason for a in experts if a.outcome is Outcome.SKIPPED), None),
        skips=_skips(inside),
        exhausted=any(a.outcome is Outcome.EXHAUSTED for a in inside),
        asked=0 if record is None else record.asked,
        expert_asked=record is not None and record.expert_asked,
        ended=item.ended(number),
        pooled=record is not None and record.pooled,
        prediction=None if any(a.saw_proposal for a in earlier + fresh) else prediction,
        counted={
            a.annotation_id: item.label.weights for a in earlier if item.label is not None and judged_by(a, item.label)
        },
    )
