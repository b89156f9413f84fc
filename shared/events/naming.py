"""Events of before a class was renamed, as a service reads them: in present names."""

from typing import Any, TypeVar

from shared.events.base import Event
from shared.events.predictions import Prediction
from shared.events.projects import GoldAnswer
from shared.events.rounds import Annotation, Label, Proposal
from shared.labels import Names

E = TypeVar("E", bound=Event)


def in_present_names(event: E, names: Names) -> E:
    """The event with its labels and distributions in present names; the same object where that changes nothing.

    Its record in the topic stays as it was written.
    """
    if not names:
        return event
    if isinstance(event, Annotation):
        return event.model_copy(update={"value": _value(event, names), "proposal": _proposal(event.proposal, names)})
    if isinstance(event, Label):
        evidence = event.evidence
        votes = tuple(vote.model_copy(update={"value": names.value(vote.value)}) for vote in evidence.votes)
        told = evidence.model_copy(update={"votes": votes, "proposal": _proposal(evidence.proposal, names)})
        return event.model_copy(update=_shared(event, names) | {"evidence": told})
    if isinstance(event, Prediction):
        return event.model_copy(update=_shared(event, names))
    if isinstance(event, GoldAnswer):
        return event.model_copy(update={"value": names.value(event.value)})
    return event


def _value(event: Annotation, names: Names) -> Any:
    return None if event.value is None else names.value(event.value)


def _shared(event: Label | Prediction, names: Names) -> dict[str, Any]:
    """Value and distribution."""
    value, shares = event.value, event.distribution
    return {
        "value": None if value is None else names.value(value),
        "distribution": None if shares is None else names.shares(shares),
    }


def _proposal(proposal: Proposal | None, names: Names) -> Proposal | None:
    if proposal is None:
        return None
    shares = proposal.distribution
    told = {"value": names.value(proposal.value), "distribution": None if shares is None else names.shares(shares)}
    return proposal.model_copy(update=told)
