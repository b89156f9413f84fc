"""One batch of annotations folded over the items it touches: what is new, what is decided, what is counted."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from services.qc.domain.consensus import posterior
from services.qc.domain.counts import Parameters
from services.qc.domain.facts import Facts, facts_of
from services.qc.domain.fusing.proposals import Correction, corrected
from services.qc.domain.item import Admission, Answer, ItemState, Reached, RoundRecord, live_label
from services.qc.domain.models import Method
from services.qc.domain.outcomes import escalation_of, label_of
from services.qc.domain.overlap import beside, more_opinions
from services.qc.domain.renaming import again
from services.qc.domain.rereview import still_fits
from services.qc.domain.rounds import Round, Touched, round_of
from services.qc.domain.scale import Kind, Scale
from services.qc.domain.stopping import Request, Verdict, Wait, decide
from shared.events import Annotation, CostModel, Escalation, Label, Relabel
from shared.labels import SAME, Names, category

ItemKey = tuple[str, str]
"""(project, item)."""
Version = tuple[str, int]
"""(project, version of it)."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a project version says: how answers compare, what they cost, what its guidelines changed.

    `excluded`: people of the project whose earlier answers count no more. `doubled`: people beside whom rules ask for
    more opinions, and how many more. `named_since`: the first project version with the present names of classes.
    """

    scale: Scale
    costs: CostModel
    touched: Touched = field(default_factory=dict)
    excluded: frozenset[str] = frozenset()
    doubled: Mapping[str, int] = field(default_factory=dict)
    named_since: int = 0


@dataclass(slots=True)
class Folded:
    """What came of a batch; places are indices into it.

    Attributes:
        new: annotations to store.
        conflicts: those that contradict a stored one.
        corrections: what became of proposals, by annotation.
        decided: the events to publish, each with the annotation that caused it.
        delta: by project, what the counts change by.
    """

    new: list[int] = field(default_factory=list)
    conflicts: list[int] = field(default_factory=list)
    corrections: dict[UUID, Correction] = field(default_factory=dict)
    decided: list[tuple[int, Label | Escalation]] = field(default_factory=list)
    delta: dict[str, Facts] = field(default_factory=lambda: defaultdict(Facts))


def key_of(event: Annotation | Label | Escalation | Relabel) -> ItemKey:
    """The item of an event."""
    return event.project_id, event.item_id


def predicted(event: Annotation) -> dict[str, float] | None:
    """The round's prediction as a distribution, where the project takes it for an opinion."""
    proposal = event.proposal
    if not event.policy.consensus.prediction or proposal is None or not proposal.distribution:
        return None
    return dict(proposal.distribution)


def decide_one(
    item: ItemState, event: Annotation, context: Context, parameters: Parameters, now: datetime
) -> Label | Escalation | None:
    """Decide the round of an annotation that was just taken in, and remember the decision in the item."""
    if event.late:
        return None
    if event.renaming:
        verdict = again(item, event.round)
        if verdict is not None:
            return _labelled(item, event, verdict, context, now, renames=item.label.given if item.label else None)
    current = round_of(
        item,
        event.round,
        guideline=event.guideline_version,
        touched=context.touched,
        excluded=context.excluded,
        prediction=predicted(event),
    )
    current = replace(current, earlier=tuple(a for a in current.earlier if still_fits(a, context.scale)))
    policy, alone = beside(current, event.policy, context.doubled), None
    decision = decide(current, policy, context.scale, parameters, salt=event.key, costs=context.costs)
    if isinstance(decision, Verdict) or (event.would_auto and isinstance(decision, Request)):
        alone, heard = _unaided(current, event, context.scale, parameters)
        if not heard:
            current = replace(current, prediction=None)
            decision = decide(current, policy, context.scale, parameters, salt=event.key, costs=context.costs)
    if isinstance(decision, Wait) and policy is not event.policy:
        decision = more_opinions(current, policy)
    match decision:
        case Verdict():
            return _labelled(item, event, decision, context, now, snapshot=parameters.snapshot, alone=alone)
        case Request():
            escalation = escalation_of(decision, event, snapshot=parameters.snapshot, now=now)
            item.merge_escalation(escalation)
            return escalation
        case _:
            return None


def _unaided(current: Round, event: Annotation, scale: Scale, parameters: Parameters) -> tuple[float | None, bool]:
    """P(the proposal is right | people's answers alone) beside a prediction, and whether that is to be heard.

    A certificate stands on the first: the model may end an audit with people who agree with it, and has no say in
    whether it was right; nor does it outvote who contradicts it. When people stop depends on nothing but their answers
    and the proposal, so how far they went tells no more of it. A round that only waits asks neither.
    """
    if current.prediction is None or event.proposal is None or scale.kind is not Kind.CLOSED or not current.opinions:
        return None, True
    shares = posterior(current.model_opinions(), scale, parameters, Method(event.policy.consensus.method))
    share = shares.get(category(event.proposal.value), 0.0)
    if event.would_auto and share < max(shares.values()):
        return None, False
    return share, True


def _labelled(
    item: ItemState,
    event: Annotation,
    verdict: Verdict,
    context: Context,
    now: datetime,
    *,
    snapshot: int = 0,
    alone: float | None = None,
    renames: int | None = None,
) -> Label:
    """The label of a verdict, remembered in the item."""
    label = label_of(
        verdict,
        event,
        context.costs,
        supersedes=item.superseded_by(event.round),
        snapshot=snapshot,
        unaided=alone,
        now=now,
        renames=renames,
        named_since=context.named_since,
    )
    item.merge_label(live_label(label, tolerance=context.scale.tolerance))
    if verdict.sure and label.posterior is not None:
        target, most = event.policy.target_posterior, event.policy.overlap.max
        item.round(event.round).reached = Reached(label.posterior, snapshot, target, most)
    return label


def _answer_of(event: Annotation) -> Answer:
    """The answer, with what became of the proposal that its person saw."""
    answer, proposal = Answer.of(event), event.proposal
    if event.value is None or proposal is None or not event.saw_proposal:
        return answer
    return replace(answer, correction=corrected(proposal.value, event.value))


def fold(
    items: Mapping[ItemKey, ItemState],
    events: Sequence[Annotation],
    contexts: Mapping[Version, Context],
    parameters: Mapping[str, Parameters],
    *,
    now: datetime,
) -> Folded:
    """Fold annotations, none of them gold, over their items; changes the items.

    Args:
        items: the state of each item that the batch touches.
        events: in the order of their partitions.
        contexts: of every project version in the batch.
        parameters: the snapshot of every project in the batch.
        now: the time of what is decided.
    """
    folded = Folded()
    before = {key: facts_of(items[key]) for key in dict.fromkeys(map(key_of, events))}
    for place, event in enumerate(events):
        item = items[key_of(event)]
        if item.erased:
            continue
        answer = _answer_of(event)
        admission = item.admit(answer)
        if admission is Admission.CONFLICT:
            folded.conflicts.append(place)
        if admission is not Admission.NEW:
            continue
        folded.new.append(place)
        if answer.correction is not None:
            folded.corrections[answer.annotation_id] = answer.correction
        context = contexts[event.project_id, event.project_version]
        decided = decide_one(item, event, context, parameters[event.project_id], now)
        if decided is not None:
            folded.decided.append((place, decided))
    for key, facts in before.items():
        folded.delta[key[0]].add(facts_of(items[key]))
        folded.delta[key[0]].subtract(facts)
    return folded


def learn(
    items: Mapping[ItemKey, ItemState],
    told: Sequence[tuple[ItemKey, Label | Escalation | Relabel, float]],
    naming: Mapping[str, Names] | None = None,
) -> dict[str, Facts]:
    """Fold labels, own escalations and own doubts, that are facts by now, over their items; changes the items.

    Args:
        items: the state of each item that is touched.
        told: item, event as it was published, and the tolerance of the project's scale.
        naming: the present names, by project; of the items too.

    Returns:
        By project, what the counts change by.
    """
    delta: dict[str, Facts] = defaultdict(Facts)
    before = {key: facts_of(items[key]) for key, _, _ in told}
    for key, event, tolerance in told:
        if items[key].erased:
            continue
        if isinstance(event, Label):
            names = (naming or {}).get(key[0], SAME)
            items[key].merge_label(live_label(event, tolerance=tolerance, names=names))
        elif isinstance(event, Relabel):
            items[key].merge_relabel(event)
        else:
            items[key].merge_escalation(event)
    for key, facts in before.items():
        delta[key[0]].add(facts_of(items[key]))
        delta[key[0]].subtract(facts)
    return delta


def rounds_of(items: Mapping[ItemKey, ItemState]) -> dict[tuple[str, str, int], RoundRecord]:
    """A copy of every round record, to see which ones changed."""
    return {(*key, number): replace(record) for key, item in items.items() for number, record in item.rounds.items()}
