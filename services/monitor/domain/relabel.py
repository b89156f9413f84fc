"""Which labels deserve another round: low-confidence disagreements, within the project's budget."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.monitor.domain.counters import Counts, Key, Kind
from services.monitor.domain.symbols import agree
from shared.events import Label, Path, Relabel, RelabelCause, RelabelPolicy
from shared.labels import category

MAX_ROUNDS = 3
BUDGET_WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A label in doubt. `expected_correction` is the probability that it is wrong, by the best estimate at hand."""

    label: Label
    expected_correction: float
    evidence: str


def candidate(label: Label, policy: RelabelPolicy) -> Candidate | None:
    """Whether people's label contradicts a model that was not sure, and how likely another round corrects it.

    An expert's word is final, a model's own label contradicts nobody, the third round is the last, and a label
    that only renames an earlier one was judged as that. The estimate is 1 - posterior of the label, where several
    people answered; else 1 - the model's probability of the label; without a distribution at least the model's
    confidence.
    """
    proposal = label.evidence.proposal
    if label.path in {Path.AUTO, Path.EXPERT} or label.version >= MAX_ROUNDS or label.renames is not None:
        return None
    if proposal is None:
        return None
    if proposal.confidence >= policy.max_confidence or agree(label.value, proposal.value):
        return None
    if label.path is Path.CONSENSUS and label.posterior is not None:
        expected, basis = 1.0 - label.posterior, "consensus posterior"
    elif proposal.distribution is not None:
        expected, basis = 1.0 - proposal.distribution.get(category(label.value), 0.0), "model probability of the label"
    else:
        expected, basis = proposal.confidence, "model confidence"
    evidence = (
        f"model {proposal.model_version} disagrees at confidence {proposal.confidence:.3f}; "
        f"expected correction {expected:.3f} by {basis}"
    )
    return Candidate(label, min(max(expected, 0.0), 1.0), evidence)


def candidates(
    labels: Iterable[Label], policies: Mapping[str, RelabelPolicy], decided_until: Mapping[str, datetime]
) -> list[Candidate]:
    """The labels in doubt, less those that were decided on before this database existed (`decided_until`)."""
    found = []
    for label in labels:
        policy, until = policies.get(label.project_id), decided_until.get(label.project_id)
        if policy is not None and (until is None or label.labelled_at > until):
            doubt = candidate(label, policy)
            if doubt is not None:
                found.append(doubt)
    return found


def choose(doubts: Iterable[Candidate], budget_left: Mapping[str, int]) -> list[Candidate]:
    """The candidates that their projects' budgets allow, highest expected correction first, ties by item."""
    left = dict(budget_left)
    chosen = []
    for one in sorted(doubts, key=lambda c: (-c.expected_correction, c.label.key, c.label.version)):
        project = one.label.project_id
        if left.get(project, 0) > 0:
            left[project] -= 1
            chosen.append(one)
    return chosen


def request(chosen: Candidate, *, now: datetime) -> Relabel:
    """The event that asks for the round after the label's."""
    return Relabel(
        project_id=chosen.label.project_id,
        item_id=chosen.label.item_id,
        round=chosen.label.version,
        cause=RelabelCause.DISAGREEMENT,
        evidence=chosen.evidence,
        urgency=chosen.expected_correction,
        requested_by="monitor",
        requested_at=now,
    )


def requested(events: Iterable[Relabel]) -> Counts:
    """What requests add to the counters."""
    return Counts(Key(event.project_id, Kind.RELABELS, event.cause.value) for event in events)
