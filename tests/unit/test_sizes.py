"""How many bytes an event of the auto path takes on the wire; the ceilings are a little above what it is now."""

import pytest

from services.assignment.domain.aggregate import Aggregate
from services.assignment.domain.decide import Context, step
from services.assignment.domain.draws import Draws
from services.assignment.domain.facts import ItemSeen, Predicted
from services.assignment.domain.guess import Guess
from shared import events as ev
from shared.bus.records import Outgoing, Record, outgoing
from shared.labels import Choice
from shared.topics import ASSIGNMENT, ITEMS, LABELS, PREDICTIONS, PRELABEL
from tests.support import events as make

AT = make.at(0)
ITEM = ev.Item(
    project_id="bench",
    item_id="item-000000001",
    content=ev.FeaturesContent(features=(5.1, 3.5, 1.4, 0.2)),
    created_at=AT,
)
PREDICTION = ev.Prediction(
    project_id="bench",
    item_id="item-000000001",
    value=Choice(choice="setosa"),
    distribution={"setosa": 0.9791234, "versicolor": 0.0201234, "virginica": 0.0007532},
    confidence=0.9791234,
    margin=0.959,
    entropy=0.1014,
    model_version="v1",
    generation=1,
    item_created_at=AT,
    predicted_at=AT,
)


def auto_label() -> ev.Label:
    context = Context(ev.Policy(auto_accept=ev.AutoAccept(threshold=0.0, audit_share=0.0)), ev.CostModel(), 1, 0, AT)
    seen, _ = step(Aggregate("bench", ITEM.item_id), ItemSeen("hash", AT), context, Draws(0.5, 0.5))
    _, (label,) = step(seen, Predicted(Guess.of(PREDICTION)), context, Draws(0.5, 0.5))
    assert isinstance(label, ev.Label)
    return label


def sent(what: str) -> Outgoing:
    cause = Record("", 0, 0, None, None, outgoing(ITEMS, ITEM, source="bench").headers, 0)
    return {
        "item": lambda: outgoing(ITEMS, ITEM, source="bench"),
        "prediction": lambda: outgoing(PREDICTIONS, PREDICTION, source=PRELABEL, cause=cause),
        "label": lambda: outgoing(LABELS, auto_label(), source=ASSIGNMENT, cause=cause),
    }[what]()


@pytest.mark.parametrize(
    ("what", "body", "headers"), [("item", 175, 290), ("prediction", 385, 295), ("label", 655, 295)]
)
def test_bytes_of_an_event(what: str, body: int, headers: int) -> None:
    one = sent(what)
    assert len(one.value or b"") <= body
    assert sum(len(name) + len(value) for name, value in one.headers) <= headers
