"""What decisions publish."""

from dataclasses import replace

from services.assignment.domain.aggregate import Aggregate
from services.assignment.domain.decide import Context, Said, step
from services.assignment.domain.draws import Draws
from services.assignment.domain.facts import Escalated, Fact, ItemSeen, Opined, Predicted
from services.assignment.domain.guess import Guess
from shared import events as ev
from tests.support import events as make

POLICY = make.policy(auto_accept=ev.AutoAccept(threshold=0.9, audit_share=0.1), sample_share=0.5)
CONTEXT = Context(POLICY, ev.CostModel(), 1, 0, make.AT)
SEEN = ItemSeen("hash", make.AT)
PEOPLE, OUT, AUDIT = Draws(0.9, 0.1), Draws(0.9, 0.9), Draws(0.05, 0.1)


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


def test_an_audit_that_people_cannot_label_says_what_was_proposed() -> None:
    """Else it would be missing from what certificates stand on."""
    skipped = Opined(
        round=1, outcome=ev.Outcome.SKIPPED, role=ev.Audience.ANNOTATOR, proposal=None, would_auto=True, inclusion=0.05,
        project_version=1, guideline_version=1, item_created_at=make.AT, at=make.AT,
    )  # fmt: skip
    ends = [Escalated(1, ask, 0, "") for ask in (ev.Ask.UNLABELABLE, ev.Ask.UNRESOLVED)]
    for end in ends:
        *_, route = said(SEEN, predicted(0.97), skipped, end, draws=AUDIT)
        assert isinstance(route, ev.Route)
        assert route.proposal is not None
        assert (route.proposal.confidence, route.proposal.distribution) == (0.97, None)
    *_, nobody = said(SEEN, predicted(0.97), ends[1], draws=AUDIT)
    *_, usual = said(SEEN, predicted(0.5), replace(skipped, would_auto=False), ends[0], draws=PEOPLE)
    assert [one.proposal for one in (nobody, usual) if isinstance(one, ev.Route)] == [None, None]
