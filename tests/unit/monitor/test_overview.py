"""Rates of the last minutes, and what the status page shows of one project."""

from collections import Counter
from datetime import timedelta

import pytest

from services.monitor.api.drawing import rounded_up
from services.monitor.api.elements import E, written
from services.monitor.domain.counters import Counts, Key, Kind
from services.monitor.domain.history import KEPT, History
from services.monitor.domain.overview import mix_of, paths_of
from tests.support import events as make


def totals(labels: int, *, moved: int = 0) -> Counts:
    return Counter({
        Key("p", Kind.ITEMS, "queued", ""): 10 - moved,
        Key("p", Kind.ITEMS, "labelled", "auto"): moved,
        Key("p", Kind.LABELS, "auto"): labels,
        Key("p", Kind.COST, "auto"): labels * 250_000,
        Key("p", Kind.OPINIONS, "auto"): 2 * labels,
    })  # fmt: skip


def test_rates_are_over_the_last_minute_and_between_readings() -> None:
    history = History()
    assert history.rate("p", "labels") is None
    for n, labels in enumerate((0, 600, 1_200, 1_210)):
        history.add(make.at(30 * n), totals(labels, moved=n))
    assert history.rate("p", "labels") == pytest.approx(610 / 60)
    assert history.rate("p", "labels/auto") == pytest.approx(610 / 60)
    assert [value for _, value in history.rates("p", "labels")] == pytest.approx([20, 20, 1 / 3])
    assert history.rate("p", "items") == 0  # an item that moves on is not another one
    assert history.rate("other", "labels") == 0


def test_a_reading_out_of_order_or_too_old_is_not_kept() -> None:
    history = History()
    history.add(make.at(0), totals(0))
    history.add(make.at(0), totals(50))
    history.add(make.at(5) + KEPT, totals(100))
    history.add(make.at(10) + KEPT, totals(150))
    assert len(history.rates("p", "labels")) == 1
    assert history.rate("p", "labels") == pytest.approx(10)


def test_a_slow_reading_still_gives_a_rate() -> None:
    history = History()
    history.add(make.at(0), totals(0))
    history.add(make.at(0) + timedelta(minutes=5), totals(300))
    assert history.rate("p", "labels") == pytest.approx(1)


def test_what_a_label_costs_by_path() -> None:
    auto, *others = paths_of("p", totals(4))
    assert (auto.path, auto.labels, auto.opinions, auto.cost) == ("auto", 4, 2.0, 0.25)
    assert all(one.labels == 0 and one.cost is None for one in others)


def test_classes_now_and_before_and_how_far_apart() -> None:
    now: Counts = Counter({Key("p", Kind.PREDICTED, "m", "a", 60): 3, Key("p", Kind.PREDICTED, "m", "b", 60): 1})
    before: Counts = Counter({Key("p", Kind.PREDICTED, "", "b", 0): 30, Key("p", Kind.PREDICTED, "", "gone", 0): 10})
    mix = mix_of("p", now, before, Kind.PREDICTED, ["a", "b"])
    assert [(one.name, one.now, one.reference) for one in mix.shares] == [
        ("a", 0.75, 0.0), ("b", 0.25, 0.75), ("other", 0.0, 0.25),
    ]  # fmt: skip
    assert mix.distance == pytest.approx(0.75)
    assert mix_of("p", now, Counter(), Kind.PREDICTED, []).distance is None


@pytest.mark.parametrize(("value", "end"), [(0.0, 1.0), (0.03, 0.05), (1.0, 1.0), (7.0, 10.0), (212.0, 250.0)])
def test_axes_end_with_round_numbers(value: float, end: float) -> None:
    assert rounded_up(value) == pytest.approx(end)


def test_nothing_becomes_markup() -> None:
    hostile = "<b>&'</script>"
    text = written(E("p", hostile, E("i", hostile), hostile))
    assert text.count("<") == 4
    assert "&lt;b&gt;&amp;" in text
    assert written(E("p", title='"><i')).startswith('<p title="&quot;&gt;')
