"""Which labels a changed guideline puts in doubt; a review within a budget that can be interrupted anywhere."""

from datetime import timedelta
from functools import partial

from services.qc.domain.item import ItemState, live_label
from services.qc.domain.rereview import Review, affected, classes_gone, homeless, reviewed
from shared.events import ProjectSpec
from shared.labels import ChoiceSchema
from tests.support import events as make
from tests.support.qc_domain import state

TOUCHED = {1: frozenset[str](), 2: frozenset({"neutral"}), 3: frozenset({"negative"})}


def labelled(value: str, *guidelines: int, label: str | None = None) -> ItemState:
    item = state([make.annotation(by=f"p{n}", value=value, guideline_version=v) for n, v in enumerate(guidelines)])
    item.merge_label(live_label(make.label(value=label or value), tolerance=0.0))
    return item


def test_a_label_is_affected_where_all_who_gave_it_knew_an_older_meaning() -> None:
    assert affected(labelled("neutral", 1, 1), 3, TOUCHED) is not None
    assert affected(labelled("negative", 2, 2), 3, TOUCHED) is not None
    assert affected(labelled("neutral", 1, 1), 1, TOUCHED) is None
    assert affected(labelled("neutral", 2, 2), 3, TOUCHED) is None
    assert affected(labelled("neutral", 1, 2), 3, TOUCHED) is None
    assert affected(labelled("positive", 1, 1), 3, TOUCHED) is None
    assert affected(labelled("neutral", 1, label="positive"), 3, TOUCHED) is None
    assert affected(ItemState(), 3, TOUCHED) is None


def run(budget: int, chunk: int, stop_after: int = 10**6) -> tuple[Review, list[list[str]]]:
    """Requests by day, over ten neutral items between ten positive ones."""
    items = {("p", f"i{n:02}"): labelled("neutral" if n % 2 else "positive", 1) for n in range(20)}
    doubt = partial(affected, guideline=2, touched=TOUCHED)
    review, now, days = Review("p", 2), make.AT, []
    for _ in range(8):
        asked: list[str] = []
        for _ in range(min(stop_after, 30)):
            if not review.due(now):
                break
            part = dict([one for one in sorted(items.items()) if one[0][1] > review.after][:chunk])
            review, found = reviewed(review, part, doubt, chunk=chunk, budget=budget, pause_s=100_000.0, now=now)
            asked += [key[1] for key, _ in found]
        days.append(asked)
        now += timedelta(days=1)
    return review, days


def test_a_review_finds_every_affected_label_within_the_budget_of_each_day() -> None:
    wanted = [f"i{n:02}" for n in range(1, 20, 2)]
    for budget, chunk in ((4, 3), (4, 100), (1000, 7), (10, 20)):
        _, days = run(budget, chunk)
        assert all(len(day) <= budget for day in days)
        once = list(dict.fromkeys(item for day in days for item in day))
        assert once == wanted
    assert run(1000, 7)[0].passes == 2
    assert run(0, 7)[1] == [[]] * 8


def test_a_label_of_a_class_that_is_gone_has_no_home() -> None:
    classes = frozenset({"negative", "fair", "mixed", "positive"})
    assert homeless(labelled("neutral", 1, 1), classes) is not None
    assert homeless(labelled("positive", 1, 1), classes) is None
    assert homeless(ItemState(), classes) is None


def test_the_version_at_which_a_class_went() -> None:
    def spec(*classes: str) -> ProjectSpec:
        return make.project_spec(label=ChoiceSchema(classes=classes))

    assert classes_gone({1: spec("a", "b"), 2: spec("a", "b", "c")}) == 0
    assert classes_gone({1: spec("a", "b"), 2: spec("a", "c", "d"), 3: spec("a", "c", "d", "e")}) == 2
    assert classes_gone({}) == 0
