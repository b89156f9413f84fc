"""Topics have no order between them: whatever comes first, one id never says two things, and all is answered."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.events import Content, FeaturesContent, Prediction
from tests.support import onnx_models as make
from tests.support.prelabel import Prelabel, items, predictions, received, refreshes

MIXES = [[0.2, 0.7, 0.1], [0.1, 0.1, 0.8]]
"""What models m1 and m2 say of every item."""
CONTENTS: list[Content] = [FeaturesContent(features=(0.0,))] * 6
Step = tuple[str, Any]


@st.composite
def _orders(draw: st.DrawFn) -> list[Step]:
    """Items, refreshes and models, each in its topic's order, in any interleaving, in batches, with repeats.

    A refresh is caused by the model that made a prediction stale, so it comes after it; everything else is free.
    """
    left: dict[str, list[Any]] = {
        "items": list(items(CONTENTS)),
        "refreshes": [*refreshes(CONTENTS[:3], 1), *refreshes(CONTENTS[:4], 2)],
        "models": [1, 2],
    }
    order: list[Step] = []
    read: list[Step] = []
    while any(left.values()):
        early = bool(left["refreshes"]) and left["refreshes"][0].generation in left["models"]
        name = draw(st.sampled_from([each for each in left if left[each] and not (each == "refreshes" and early)]))
        size = draw(st.integers(1, 3)) if name == "items" else 1
        order.append((name, left[name][:size]))
        left[name] = left[name][size:]
        read += order[-1:] if name != "models" else []
        if read and draw(st.integers(0, 4)) == 0:
            order.append(draw(st.sampled_from(read)))
    return order


async def _answers(prelabel: Prelabel, order: list[Step]) -> list[Prediction]:
    found: list[Prediction] = []
    prelabel.project(make.MOODS)
    for name, part in order:
        if name == "models":
            version = f"m{part[0]}"
            prelabel.register(make.table_model([MIXES[part[0] - 1]]), make.table_manifest(), version=version)
            prelabel.promote(version, part[0])
        else:
            handle: Any = prelabel.handlers.on_items if name == "items" else prelabel.handlers.on_refreshes
            found += predictions(await handle(received(part)))
    return found


@given(one=_orders(), other=_orders())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.timeout(120)
async def test_any_interleaving_with_repeats_gives_the_same_answers(
    one: list[Step], other: list[Step], tmp_path_factory: pytest.TempPathFactory
) -> None:
    said: dict[str, Prediction] = {}
    for order in (one, other):
        with pytest.MonkeyPatch.context() as monkeypatch:
            prelabel = Prelabel.make(tmp_path_factory.mktemp("models"), monkeypatch)
            try:
                found = await _answers(prelabel, order)
            finally:
                await prelabel.media.close()
        for prediction in found:
            assert said.setdefault(str(prediction.event_id), prediction) == prediction, "one id says two things"
        assert {prediction.item_id for prediction in found} == {f"i{n}" for n in range(len(CONTENTS))}
        newest = {item: max(p.generation for p in found if p.item_id == item) for item in ("i0", "i1", "i2", "i3")}
        assert set(newest.values()) == {2}, "a refresh was answered by an older model than it asked for"
