"""What a certificate of classes says to readers that know them, and to those that do not."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.monitor.domain.certificate import Evidence, Rules
from services.monitor.domain.certifying import SWITCH, Finding, Ledger, certify, finding_of, read_back, refused
from services.monitor.domain.pooling import OfClass, Place
from services.monitor.domain.voids import ALL, Void, Voids, certificate_id, told, too_late
from services.monitor.store.certificates import AcceptedLabel
from shared.events import AutoAccept, Certificate, Guarantee, RouteState, Slice, SliceOf
from shared.events import Evidence as LabelEvidence
from shared.labels import Names
from tests.support import events as make

RULES = Rules(target=0.05, confidence=0.95, floor=0.8, classes=3)
AUTO = AutoAccept(threshold=0.8, audit_share=0.1, guarantee=Guarantee(target_error=0.05, valid_s=1000.0))


def evidence(threshold: float | None) -> Evidence:
    known = Evidence.none(RULES)
    known.certified, known.fresh, known.began = threshold, True, make.AT
    known.breached = make.AT if threshold is None else None
    return known


def said(pool: float | None, **classes: float | None) -> Certificate:
    apart = {
        name: OfClass(evidence(one), Evidence.none(RULES).tests, Place.EXCLUDED if one is None else Place.OWN)
        for name, one in classes.items()
    }
    ledger = Ledger(RULES, evidence(pool), 1, "m1", number=3, issued_at=make.AT, classes=apart)
    (one,), doubts = certify(ledger, (), AUTO, RULES, classes=3, now=make.AT + timedelta(days=1))
    assert not doubts
    return one


@pytest.mark.parametrize(
    ("pool", "classes", "state", "threshold"),
    [
        (0.85, {}, "granted", 0.85),
        (0.85, {"a": 0.8}, "granted", 0.85),
        (0.85, {"a": 0.95}, "granted", 0.95),
        (0.85, {"a": 0.8, "b": None}, "withdrawn", 0.85),
        (None, {"a": 0.8}, "withdrawn", 0.8),
    ],
)
def test_who_knows_no_classes_accepts_nothing_that_is_not_proven_of_all(
    *, pool: float | None, classes: dict[str, float | None], state: str, threshold: float
) -> None:
    one = said(pool, **classes)
    assert (one.state, one.threshold) == (state, threshold)
    assert one.pooled.threshold == pool
    assert {each.symbol: each.threshold for each in one.classes} == classes
    assert one.audit_share == (0.5 if None in (pool, *classes.values()) else 0.1)
    assert one.accepts
    assert not one.breaches  # that was said before


def test_a_database_begun_anew_takes_up_what_the_last_certificate_said() -> None:
    given = said(None, a=0.95, b=None)
    made = read_back(None, given, RULES, make.AT)
    assert made is not None
    assert (made.evidence.certified, made.evidence.breached, made.number) == (None, make.AT, 4)
    assert {name: one.place for name, one in made.classes.items()} == {"a": Place.OWN, "b": Place.EXCLUDED}
    assert made.classes["b"].own.breached == make.AT
    assert given.broken == ("*", "b")


def test_classes_that_are_judged_together_again_are_accepted_when_that_is_proven_of_all() -> None:
    together = replace(RULES, classes=0)
    given = said(0.85, a=0.95, b=None)
    made = read_back(None, given, together, make.AT)
    assert made is not None
    assert made.evidence.certified is None
    kept = read_back(None, given, RULES, make.AT)
    assert kept is not None
    (one,), doubts = certify(kept, (), AUTO, together, classes=3, now=make.AT)
    assert not doubts
    assert not one.accepts
    assert not one.breaches  # no model is rolled back for it
    assert kept.evidence.certified is None
    assert not certify(kept, (), AUTO, together, classes=3, now=make.AT + timedelta(days=1))[0]


def test_another_version_of_a_model_without_generations_has_to_earn_its_own() -> None:
    rules, ledger = replace(RULES, classes=0), Ledger(replace(RULES, classes=0), Evidence.none(RULES))

    def audits(version: str, number: int, share: float = 0.999) -> list[Certificate]:
        found = [Finding(0, version, "abc"[n % 3], 0.95, share, make.at(n)) for n in range(number)]
        return certify(ledger, found, AUTO, rules, classes=3, now=make.AT)[0]

    assert [(one.state, one.model_version) for one in audits("v1", 300)][-1] == ("granted", "v1")
    assert not audits("v2", SWITCH - 1, share=0.001)  # a few are no change, and say nothing of the other
    assert not audits("v1", SWITCH - 1)
    (lost,) = audits("v2", SWITCH)
    assert (lost.state, lost.model_version, lost.accepts, lost.breaches) == ("withdrawn", "v2", False, False)
    assert [(one.state, one.model_version) for one in audits("v2", 300)][-1] == ("granted", "v2")


def test_a_label_that_comes_late_stands_on_what_was_void_by_then() -> None:
    certificate = said(0.85)
    assert certificate_id("p", certificate.number) == told("p", certificate, make.AT).event_id
    voids = {"p": Voids(7, {ALL: Void(4, make.at(100)), "new": Void(6, make.at(50))})}

    def late(symbol: str, at: int, number: int, own: str | None = None) -> bool:
        proposal = make.proposal(symbol)
        evidence = LabelEvidence(proposal=proposal, certificate=certificate_id("p", number), certified_class=own)
        label = make.auto_label("i", project_id="p", value=symbol, evidence=evidence, labelled_at=make.at(at))
        return bool(list(too_late([label], voids, {"p": Names({"old": "new"})})))

    assert late("other", 100, 3)
    assert not late("other", 99, 3)  # before the doubt
    assert not late("other", 100, 4)  # that one says what is withdrawn
    assert not late("other", 200, 3, own="other")  # not the pool's
    assert late("old", 50, 5)
    assert late("new", 50, 5, own="new")
    assert not late("new", 50, 7, own="new")


def test_labels_under_a_former_name_of_a_class_are_opened_again_with_it() -> None:
    names = Names({"old": "new"})
    label = AcceptedLabel("i", make.AT, "old", own=True)
    assert label.covered_by("new", names)
    assert label.covered_by("old", names)
    assert not label.covered_by("other", names)
    assert not label.covered_by(None, names)
    assert AcceptedLabel("i", make.AT, None, own=False).covered_by("other", names)


def test_an_audit_says_what_people_alone_give_to_the_proposal() -> None:
    said, policy = make.proposal("positive", confidence=0.97), make.policy(auto_accept=AUTO)
    by_threshold = make.policy(auto_accept=AutoAccept(threshold=0.8, audit_share=0.5))
    slices = (Slice(name="easy", when=SliceOf(source="web"), policy=by_threshold),)
    spec = make.project_spec(policy=policy, slices=slices)
    heard = make.label(
        would_auto=True, posterior=0.99, distribution={"positive": 0.99}, evidence=LabelEvidence(proposal=said)
    )
    both = heard.model_copy(update={"evidence": LabelEvidence(proposal=said, unaided=0.6)})
    easy = heard.model_copy(update={"slice": "easy"})  # no certificate covers it
    found = [finding_of(label, spec) for label in (heard, both, easy)]
    assert [one and one.share for one in found] == [0.99, 0.6, None]
    ended = make.route(state=RouteState.UNLABELABLE, would_auto=True, proposal=said)
    gone = refused(ended, spec)
    assert gone is not None
    assert (gone.confidence, gone.share, gone.symbol) == (0.97, 0.0, "positive")
    assert refused(ended.model_copy(update={"slice": "easy"}), spec) is None
    assert refused(make.route(state=RouteState.UNLABELABLE), spec) is None
