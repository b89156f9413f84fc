"""What was erased is neither predicted nor taken from a source again."""

import json

from services.prelabel.domain.mapping import Mapper
from services.prelabel.jobs.reader import make_outputs
from shared.bus.records import Record
from shared.bus.references import Erasures
from shared.events import Erasure, FeaturesContent, ProjectSpec, Source
from shared.labels import ChoiceSchema
from shared.topics import ERASURES, ITEMS
from tests.support import events as make
from tests.support.prelabel import PROJECT, Prelabel, predictions, received, refreshes

CONTENT = FeaturesContent(features=(1.0,))


def erasure(item_id: str, project: str = PROJECT) -> Erasure:
    return Erasure(subject="item", project_id=project, item_id=item_id, requested_at=make.AT)


async def test_an_erased_item_is_passed_over_and_its_neighbours_are_not(prelabel: Prelabel) -> None:
    prelabel.project(("a", "b"))
    prelabel.publish(ERASURES, erasure("i1"))
    prelabel.publish(ERASURES, erasure("i2", project="another"))
    prelabel.publish(ERASURES, Erasure(subject="annotator", annotator_id="i0", requested_at=make.AT))
    assert [one.item_id for one in await prelabel.predict([CONTENT] * 3)] == ["i0", "i2"]
    again = predictions(await prelabel.handlers.on_refreshes(received(refreshes([CONTENT] * 3, 1))))
    assert [one.item_id for one in again] == ["i0", "i2"]
    assert prelabel.counted("labelstream_prelabel_skipped_total", reason="erased") == 2


def test_a_source_brings_no_erased_item_back() -> None:
    source = Source.model_validate({"name": "shop", "topic": "reviews", "map": {"id": "id", "text": "text"}})
    label = ChoiceSchema(classes=make.CLASSES)
    spec = ProjectSpec.model_validate({"project": "shop", "data": "text", "label": label, "sources": (source,)})
    erasures = Erasures()
    event = erasure("gone", project="shop")
    erasures.table.apply(Record(ERASURES.name, 0, 0, event.key.encode(), event.model_dump_json().encode(), (), 0))
    records = [
        Record("reviews", 0, n, None, json.dumps({"id": name, "text": "words"}).encode(), (), 1_700_000_000_000)
        for n, name in enumerate(("gone", "kept"))
    ]
    made = make_outputs(Mapper(spec, source), erasures, records, max_bytes=10_000)
    assert [(one.topic, json.loads(one.value or b"")["item_id"]) for one in made.outputs] == [(ITEMS.name, "kept")]
    assert made.outcomes == {"mapped": 1, "erased": 1}
