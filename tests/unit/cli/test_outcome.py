"""The object that demo and replay print adds up."""

from cli.outcome import COUNTS, Run, document
from cli.scoring import Ledger
from tests.support import events as make


def finished(**counts: int) -> Run:
    ledger = Ledger()
    ledger.add_label(make.label("a", value="positive", cost=0.16))
    ledger.add_label(make.auto_label("b", value="negative"))
    for by in ("x", "y"):
        ledger.add_annotation(make.annotation("a", by=by, value="positive"))
    ledger.add_annotation(make.annotation("c", by="x", value="neutral"))
    truth = {"a": "positive", "b": "positive", "c": "neutral"}
    return Run(counts, ledger, truth, violations=0, seconds=2.0)


def test_every_item_is_in_exactly_one_count() -> None:
    found = document(finished(labelled=2, open=2, unresolved=1, sampled_out=5, dead_lettered=3, duplicates=4))
    assert found["items"] == sum(found[part] for part in COUNTS) == 13
    assert found["duplicates"] == 4
    assert found["items_per_second"] == 6.5


def test_opinions_cost_and_accuracy_are_over_what_they_say() -> None:
    found = document(finished(labelled=2, unresolved=1))
    assert found["by_path"] == {"auto": 1, "single": 0, "consensus": 1, "expert": 0}
    assert found["opinions"] == 3
    assert found["opinions_per_label"] == 1.5
    assert found["accuracy"] == 0.5
    assert found["accuracy_majority"] == 1.0
    assert found["cost"] == 0.1602
    assert found["paths"]["consensus"]["accuracy"] == 1.0
    assert found["paths"]["expert"]["accuracy"] is None


def test_without_truth_or_labels_the_figures_are_null() -> None:
    found = document(Run({}, Ledger(), {}, 0, 0.0))
    assert (found["accuracy"], found["accuracy_majority"], found["opinions_per_label"]) == (None, None, None)
    assert (found["items"], found["coverage"], found["items_per_second"]) == (0, None, None)
