"""What decisions publish."""

from services.assignment.domain.aggregate import Aggregate
from services.assignment.domain.decide import Context, Said, step
from services.assignment.domain.draws import Draws
from services.assignment.domain.facts import Escalated, Fact, ItemSeen, Predicted
from services.assignment.domain.guess import Guess
from shared import events as ev
from tests.support import events as make

POLICY = make.policy(auto_accept=ev.AutoAccept(threshold=0.9, audit_share=0.1), sample_share=0.5)
CONTEXT = Context(POLICY, ev.CostModel(), 1, 0, make.AT)
SEEN = ItemSeen("hash", make.AT)
PEOPLE, OUT = Draws(0.9, 0.1), Draws(0.9, 0.9)


def predicted(confidence: float) -> Predicted:
    return Predicted(Guess.of(make.prediction("i", confidence=confidence)))


def said(*facts: Fact, draws: Draws) -> list[Said]:
    known = Aggregate("p", "i")
    told: list[Said] = []
    for fact in facts:
        known, more = step(known, fact, CONTEXT, draws)
        told += more
    return told


def test_the_label_of_an_accepted_proposal_passes_its_own_validation() -> None:
    """It is built unchecked."""
    (label,) = said(SEEN, predicted(0.95), draws=PEOPLE)
    assert isinstance(label, ev.Label)
    again = ev.Label.model_validate_json(label.model_dump_json(exclude_none=True))
    assert (again, again.event_id, again.evidence.proposal) == (label, label.event_id, label.evidence.proposal)
    assert again.model_dump_json() == label.model_dump_json()


def test_a_sampled_out_item_that_ends_otherwise_has_two_routes() -> None:
    told = said(SEEN, predicted(0.5), Escalated(1, ev.Ask.UNLABELABLE, 0, ""), draws=OUT)
    routes = [(route.state.value, route.step) for route in told if isinstance(route, ev.Route)]
    assert routes == [("sampled_out", 1), ("unlabelable", 2)]
