"""Which labels deserve another round: those that are likely wrong, by model and people together, and why."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.monitor.domain.belief import ACCURACY, posterior
from services.monitor.domain.counters import Counts, Key, Kind
from services.monitor.domain.symbols import agree
from shared.events import Audience, Label, Path, Proposal, Relabel, RelabelCause, RelabelPolicy
from shared.labels import Choice, Choices, Rating, category

MAX_ROUNDS = 3
BUDGET_WINDOW = timedelta(hours=24)
LEAST = 0.2
"""Below this probability of being wrong no label is worth another round."""


@dataclass(slots=True)
class Beliefs:
    """What is known of models and people beyond one label; read anew by a job, and never older than that.

    Attributes:
        temperatures: by (project, model version).
        accuracies: by (project, annotator).
        bars: by project, how likely wrong a label must be to be among those that wait.
        spent: projects without budget, until some comes free.
    """

    temperatures: Mapping[tuple[str, str], float] = field(default_factory=dict)
    accuracies: Mapping[tuple[str, str], float] = field(default_factory=dict)
    bars: Mapping[str, float] = field(default_factory=dict)
    spent: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Doubt:
    """A label that is likely wrong.

    Attributes:
        cause: label_error where the model is sure: somebody else is to answer; disagreement where it is not: the item
            is hard, for an expert or the guideline.
        wrong: the probability that the label is wrong, which is what another round is expected to correct.
        confidence: of the proposal that it differs from.
    """

    project_id: str
    item_id: str
    version: int
    cause: RelabelCause
    wrong: float
    confidence: float
    model_version: str
    labelled_at: datetime


def doubt(label: Label, policy: RelabelPolicy, beliefs: Beliefs) -> Doubt | None:
    """Whether people's label is likely wrong beside what the model says.

    An expert's word is final, a model's own label contradicts nobody, the third round is the last, and a label that
    only renames an earlier one was judged as that. A value without a finite alphabet, such as boxes, is hardly ever
    equal to the proposal, so it counts only where the model is unsure.
    """
    proposal = label.evidence.proposal
    if label.path in {Path.AUTO, Path.EXPERT} or label.version >= MAX_ROUNDS or label.renames is not None:
        return None
    if proposal is None or agree(label.value, proposal.value):
        return None
    unsure = proposal.confidence < policy.max_confidence
    if isinstance(label.value, Choice | Choices | Rating):
        wrong = _wrong(label, proposal, beliefs)
    elif unsure:
        wrong = proposal.confidence
    else:
        return None
    if wrong < LEAST:
        return None
    return Doubt(
        label.project_id,
        label.item_id,
        label.version,
        RelabelCause.DISAGREEMENT if unsure else RelabelCause.LABEL_ERROR,
        wrong,
        proposal.confidence,
        proposal.model_version,
        label.labelled_at,
    )


def _wrong(label: Label, proposal: Proposal, beliefs: Beliefs) -> float:
    said = category(label.value)
    distribution = proposal.distribution
    if distribution is None:  # at least the proposal is as likely as the model says
        distribution = {category(proposal.value): proposal.confidence, said: 1.0 - proposal.confidence}
    project = label.project_id
    votes = [
        (category(vote.value), beliefs.accuracies.get((project, vote.annotator_id), ACCURACY))
        for vote in label.evidence.votes
    ]
    heat = beliefs.temperatures.get((project, proposal.model_version), 1.0)
    return 1.0 - posterior(distribution, votes or [(said, label.posterior or ACCURACY)], temperature=heat).get(
        said, 0.0
    )


def doubts(
    labels: Iterable[Label],
    policies: Mapping[str, RelabelPolicy],
    beliefs: Beliefs,
    decided_until: Mapping[str, datetime],
) -> list[Doubt]:
    """The labels in doubt, less those that were decided on before this database existed (`decided_until`)."""
    found = []
    for label in labels:
        policy, until = policies.get(label.project_id), decided_until.get(label.project_id)
        if policy is not None and (until is None or label.labelled_at > until):
            one = doubt(label, policy, beliefs)
            if one is not None:
                found.append(one)
    return found


def request(chosen: Doubt, *, now: datetime, experts: bool) -> Relabel:
    """The event that asks for the round after the label's; of a hard item from an expert, where there are `experts`."""
    hard = chosen.cause is RelabelCause.DISAGREEMENT
    sure = "is sure of another class" if chosen.cause is RelabelCause.LABEL_ERROR else "is unsure, and people differ"
    return Relabel(
        project_id=chosen.project_id,
        item_id=chosen.item_id,
        round=chosen.version,
        cause=chosen.cause,
        evidence=(
            f"model {chosen.model_version} {sure}, at confidence {chosen.confidence:.3f};"
            f" the label is wrong with probability {chosen.wrong:.3f}"
        ),
        urgency=chosen.wrong,
        audience=Audience.EXPERT if hard and experts else None,
        requested_by="monitor",
        requested_at=now,
    )


def requested(events: Iterable[Relabel]) -> Counts:
    """What requests add to the counters."""
    return Counts(Key(event.project_id, Kind.RELABELS, event.cause.value) for event in events)
