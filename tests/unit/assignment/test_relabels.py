"""Requests for a labelled item: they merge; a rename and a revision ask nobody, and take doubts along."""

from dataclasses import replace
from typing import Any

import pytest

from services.assignment.domain.decide import step
from services.assignment.domain.facts import Fact, Labelled, Relabelled
from services.assignment.domain.states import State
from shared import events as ev
from shared.labels import Names
from tests.support import events as make
from tests.unit.assignment.test_states import CONTEXT, ENDED, NEW, PEOPLE, RENAMED, SEEN, _round, predicted, run


def test_a_rename_asks_nobody_and_takes_doubts_along() -> None:
    names = Names({"positive": "good"})
    facts: list[Fact] = [SEEN, predicted(0.5), RENAMED, Labelled(1)]
    known, said = NEW, list[Any]()
    for fact in (*facts, *facts):
        known, told = step(known, fact, replace(CONTEXT, names=names, project_version=2), PEOPLE)
        said += told
    route, end = said[-2:]
    assert isinstance(route, ev.Route)
    assert isinstance(end, ev.Annotation)
    assert (route.round, route.state, route.opinions_wanted) == (2, ev.RouteState.QUEUED, 0)
    assert (end.round, end.outcome, end.renaming, end.project_version) == (2, ev.Outcome.EXHAUSTED, True, 2)
    assert end.proposal is not None
    assert end.proposal.value == make.choice("good")
    assert (known.state, _round(known).free, len(said)) == (State.AWAITING_DECISION, 0, 3)
    doubted, said = run([Relabelled(1, 1.0, "doubt")], known=known)
    assert said == []  # it waits for the label that it doubts to have its new name
    again, more = run([Labelled(2)], known=doubted)
    assert [(one.round, one.opinions_wanted) for one in more] == [(3, 1)]
    assert (
        run([Labelled(3), Relabelled(3, 1.0, "doubt")], known=again)[0].round == 4
    )  # a rename takes no round of three


def test_a_revision_asks_nobody_and_ends_the_round_by_what_is_known() -> None:
    revision = Relabelled(1, 0.0, "revised", revise=True)
    known, said = run([SEEN, predicted(0.5), revision, Labelled(1), revision])
    route, end = said[-2:]
    assert (route.round, route.state, route.opinions_wanted) == (2, ev.RouteState.QUEUED, 0)
    assert (end.round, end.outcome, end.renaming) == (2, ev.Outcome.EXHAUSTED, False)
    assert (known.state, _round(known).free) == (State.AWAITING_DECISION, 0)
    fourth = run([Labelled(2), replace(revision, round=2), Labelled(3), Relabelled(3, 1.0, "doubt")], known=known)[0]
    assert (fourth.round, _round(fourth).free) == (4, 1)  # nor does a revision take one of three
    doubted, said = run([SEEN, predicted(0.5), Relabelled(1, 1.0, "doubt"), revision, Labelled(1)])
    assert (doubted.round, said[-1].opinions_wanted) == (2, 1)
    by_model, _ = run([SEEN, predicted(0.99)])
    assert run([Relabelled(by_model.round, 0.0, "revised", revise=True)], known=by_model)[1] == []


def test_a_doubt_renames_too_and_only_a_labelled_round_is_renamed() -> None:
    known, said = run([SEEN, predicted(0.5), RENAMED, Relabelled(1, 1.0, "doubt"), Labelled(1)])
    assert (known.round, said[-1].opinions_wanted) == (2, 1)
    known, _ = run([SEEN, predicted(0.5), RENAMED, ENDED[1]])
    assert known.state is State.UNRESOLVED
    old = run([SEEN, predicted(0.5), Labelled(1)])[0]._replace(bare=True)
    assert run([Relabelled(1, 1.0, "doubt")], known=old)[0].round == 1
    assert run([RENAMED], known=old)[0].round == 2  # its content was forgotten, which a rename does not need


def test_a_request_for_the_open_round_merges_into_it() -> None:
    known, _ = run([SEEN, predicted(0.5), Labelled(1), Relabelled(1, 0.2, "a")])
    merged, said = run([Relabelled(1, 0.9, "b", frozenset({"ann"}))], known=known)
    assert said == []
    assert known.asked is not None
    assert merged.asked is not None
    assert merged.asked.excluded == {"ann"}
    assert merged.asked.priority == pytest.approx(known.asked.priority + 2 * 0.7)
