"""Labels that the model alone gave, when a class is renamed or gone."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

from services.assignment.domain.accepted import Review, Reviewed, changed_at, look_at, review
from services.assignment.domain.aggregate import Aggregate
from services.assignment.domain.decide import Context, step
from services.assignment.domain.draws import Draws
from services.assignment.domain.facts import Fact, ItemSeen, Labelled, Predicted, Relabelled
from services.assignment.domain.guess import Guess
from services.assignment.domain.states import State
from services.assignment.handlers.rebuild import labelled
from shared import events as ev
from shared.labels import ChoiceSchema, Names
from tests.support import events as make

AUTO = make.policy(auto_accept=ev.AutoAccept(threshold=0.9, audit_share=0.0))
CONTEXT = Context(AUTO, ev.CostModel(), 1, 0, make.AT)
DRAWS = Draws(0.9, 0.1)
RENAMED = ChoiceSchema(classes=("negative", "neutral", "good"), renamed={"positive": "good"})
LATER = replace(CONTEXT, project_version=2, names=Names({"positive": "good"}))
SPLIT = ChoiceSchema(classes=("negative", "neutral", "fine", "great"))


def predicted(value: str = "positive", confidence: float = 0.95, generation: int = 1) -> Predicted:
    return Predicted(Guess.of(make.prediction("i", value=value, confidence=confidence, generation=generation)))


def accepted(name: str = "i", *more: Fact, value: str = "positive") -> Aggregate:
    known = Aggregate("p", name)
    for fact in (ItemSeen("hash", make.AT), predicted(value), *more):
        known, _ = step(known, fact, CONTEXT, DRAWS)
    assert known.state is State.LABELLED
    return known


def test_a_label_of_the_model_is_given_again_under_its_present_name_by_nobody() -> None:
    known, (label,) = look_at(accepted("i", predicted("negative", generation=7)), LATER, RENAMED)
    assert isinstance(label, ev.Label)
    again = ev.Label.model_validate_json(label.model_dump_json())
    assert again == label
    assert (label.version, label.supersedes, label.renames, label.path) == (2, 1, 1, ev.Path.AUTO)
    assert (label.value, label.opinions, label.cost) == (make.choice("good"), 0, 0.0)
    assert label.evidence.proposal is None  # another model has spoken since
    _, (plain,) = look_at(accepted(), LATER, RENAMED)
    assert isinstance(plain, ev.Label)
    assert plain.evidence.proposal is not None
    assert plain.evidence.proposal.value == make.choice("good")
    assert (known.round, known.label_version, known.state) == (2, 2, State.LABELLED)
    assert look_at(known, LATER, RENAMED) == (known, ())
    doubted, told = step(known, Relabelled(1, 1.0, "doubt"), LATER, DRAWS)  # of the version that it renames
    assert [(one.round, doubted.state) for one in told if isinstance(one, ev.Route)] == [(3, State.QUEUED)]
    assert doubted.guess is not None
    assert doubted.guess.label is None
    assert doubted.guess.generation == 7  # the newest, for whoever is asked


def test_other_labels_are_left_alone() -> None:
    assert look_at(accepted(value="negative"), LATER, RENAMED)[1] == ()
    asked = Aggregate("p", "i")
    for fact in (ItemSeen("hash", make.AT), predicted(confidence=0.5), Labelled(1)):
        asked, _ = step(asked, fact, CONTEXT, DRAWS)
    assert look_at(asked, LATER, RENAMED) == (asked, ())


def test_an_own_label_read_back_is_known_as_the_models() -> None:
    proposal = Guess.of_proposal(make.proposal(confidence=0.95), make.AT)
    told = Labelled(1, replace(proposal, label=proposal.value))
    for order in ((told, predicted("negative", generation=9)), (predicted("negative", generation=9), told)):
        known = Aggregate("p", "i")
        for fact in (ItemSeen("hash", make.AT), *order):
            known, _ = step(known, fact, replace(CONTEXT, policy=ev.Policy()), DRAWS)
        assert look_at(known, LATER, RENAMED)[0].label_version == 2


def test_a_class_that_is_gone_goes_to_people_within_the_budget() -> None:
    items = [accepted(f"i{n}") for n in range(5)]
    progress = Review("p", 2)
    done: Reviewed = review(progress, items, LATER, SPLIT, budget=3, last=None)
    assert [one.item_id for one in done.said if isinstance(one, ev.Route)] == ["i0", "i1", "i2"]
    assert (done.review.after, done.review.used, done.review.passes) == ("i2", 3, 0)
    assert all(one.state is State.QUEUED for one in done.items.values())
    same_day = review(done.review, items[3:], LATER, SPLIT, budget=3, last=None)
    assert (same_day.said, same_day.items) == ((), {})
    tomorrow = replace(LATER, now=make.AT + timedelta(days=1))
    rest = review(same_day.review, items[3:], tomorrow, SPLIT, budget=3, last=None)
    assert [one.item_id for one in rest.said] == ["i3", "i4"]
    assert (rest.review.passes, rest.review.due(tomorrow.now)) == (1, False)


def test_where_a_review_is_due() -> None:
    specs = [
        make.project_spec(),
        make.project_spec(label=ChoiceSchema(classes=("negative", "positive"))),
        make.project_spec(label=ChoiceSchema(classes=("negative", "positive", "more"))),
    ]
    assert changed_at(dict(enumerate(specs, start=1)), 0) == 2
    assert changed_at(dict(enumerate(specs, start=1)), 3) == 3
    assert changed_at({1: specs[0]}, 0) == 0


def test_a_rebuilt_item_is_what_it_was_in_whatever_order_its_own_label_and_the_predictions_come() -> None:
    live, once = Aggregate("p", "i"), ItemSeen("hash", make.AT)
    said: list[ev.Label] = []
    facts: tuple[Fact, ...] = (once, predicted(), predicted("negative", generation=9))
    for fact in facts:
        live, told = step(live, fact, CONTEXT, DRAWS)
        said += [one for one in told if isinstance(one, ev.Label)]
    (label,) = said
    own = labelled(ev.Label.model_validate_json(label.model_dump_json()))
    for order in permutations(facts):
        rebuilt = Aggregate("p", "i")
        for fact in (own, *order):
            rebuilt, more = step(rebuilt, fact, CONTEXT, DRAWS)
            assert more == ()
        assert rebuilt == live
    again, (named,) = look_at(live, LATER, RENAMED)
    assert isinstance(named, ev.Label)
    rebuilt = live
    rebuilt, more = step(rebuilt, labelled(named), LATER, DRAWS)
    assert more == ()
    assert rebuilt.guess is not None
    assert again.guess is not None
    assert (rebuilt.guess.label, rebuilt.label_version) == (again.guess.label, again.label_version)
