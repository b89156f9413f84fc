"""Live models: loaded, refused with a reason while the old one serves, swapped between batches."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.prelabel.store.sessions import LoadedModel
from shared.events import Abstention, FeaturesContent, FeaturesInput, Manifest, TextInput
from shared.labels import Choice
from tests.support import onnx_models as make
from tests.support.prelabel import PROJECT, Prelabel

OLD = (0.2, 0.7, 0.1)
ASKED = [FeaturesContent(features=(0.0,))]
GOOD = make.constant_model(*OLD)
OTHER = make.constant_model(0.1, 0.1, 0.8)


def nan_model() -> bytes:
    return make.constant_model(float("nan"), 0.5, 0.5)


REFUSED: dict[str, tuple[Callable[[], bytes], dict[str, Any], dict[str, Any], str]] = {
    "external data": (lambda: make.with_external_data(GOOD), {}, {}, "external files"),
    "external data in a branch": (lambda: make.with_nested_external_data(GOOD), {}, {}, "external files"),
    "external data in a large model": (
        lambda: make.with_external_data(make.large_model(), 1),
        {},
        {},
        "external files",
    ),
    "a large file cut short": (lambda: make.large_model()[:-50], {}, {}, "not an ONNX model"),
    "wrong hash": (lambda: GOOD + b"\n", {"sha256": "0" * 64}, {}, "sha256"),
    "wrong size": (lambda: OTHER, {"size_bytes": 10}, {}, "or more bytes, 10 were registered"),
    "truncated": (lambda: make.iris().content[:200], {}, {}, "ONNX"),
    "another format": (lambda: b"\x80\x04pickle" * 50, {}, {}, "not an ONNX model"),
    "nothing": (lambda: b"", {}, {}, "not an ONNX model"),
    "NaN": (nan_model, {}, {}, "NaN"),
    "no distribution": (lambda: make.constant_model(0.9, 0.9, 0.9), {}, {}, "no distributions"),
    "wrong input shape": (make.wide_model, {}, {"classes": ("negative", "positive")}, "input 'x' has shape"),
    "wrong input kind": (lambda: GOOD, {}, {"input": TextInput()}, "text needs tensor"),
    "fixed batch": (make.fixed_batch_model, {}, {}, "fixed batch"),
    "one row for all": (make.collapsing_model, {}, {}, "shape (1, 3), not (8, 3)"),
    "fewer classes than said": (lambda: make.constant_model(0.5, 0.5), {}, {}, "2 classes, the manifest 3"),
    "declared classes": (lambda: make.table_model([[0.5, 0.5]], classes=2), {}, {}, "2 classes"),
    "classes of another project": (lambda: GOOD, {}, {"classes": ("a", "b", "c")}, "not a class of the project"),
    "unknown output": (lambda: GOOD, {}, {"output_name": "q"}, "no 'q'"),
    "unknown input": (lambda: GOOD, {}, {"input_name": "q"}, "no input 'q'"),
    "larger than allowed": (lambda: OTHER, {"size_bytes": 10**12}, {}, "the limit is"),
    "another scheme": (lambda: GOOD, {"uri": "https://a.example/m.onnx", "sha256": "1" * 64}, {}, "not file:///"),
}


def manifest(**more: Any) -> Manifest:
    fields = {"input": FeaturesInput(size=1), "classes": make.MOODS, **more}
    return Manifest(**fields)


async def _serve_old(prelabel: Prelabel) -> None:
    prelabel.project(make.MOODS)
    prelabel.register(GOOD, manifest(), version="old")
    prelabel.promote("old", 1)
    await prelabel.follower.start()


@pytest.mark.parametrize("fault", REFUSED)
async def test_a_refused_model_leaves_the_old_one_serving(prelabel: Prelabel, fault: str) -> None:
    content, spoiled, described, reason = REFUSED[fault]
    await _serve_old(prelabel)
    prelabel.register(content(), manifest(**described), version="new", **spoiled)
    prelabel.promote("new", 2)
    await prelabel.follower.poll()
    slot = prelabel.live.slot(PROJECT)
    assert slot is not None
    assert reason in slot.refusal
    (found,) = await prelabel.predict(ASKED)
    assert (found.model_version, found.generation, found.value) == ("old", 1, Choice(choice="neutral"))
    assert prelabel.counted("labelstream_prelabel_model_loads_total", project=PROJECT, outcome="refused") == 1
    assert prelabel.counted("labelstream_prelabel_model_refused", project=PROJECT) == 1
    assert prelabel.counted("labelstream_prelabel_model_generation", project=PROJECT) == 1


async def test_a_refused_first_model_abstains_with_its_reason(prelabel: Prelabel) -> None:
    prelabel.project(make.MOODS)
    prelabel.register(nan_model(), manifest())
    prelabel.promote("m1", 1)
    assert prelabel.follower.unready() == "live models are loading"
    await prelabel.follower.start()
    assert prelabel.follower.unready() is None
    (found,) = await prelabel.predict(ASKED)
    assert (found.abstention, found.generation) == (Abstention.NO_MODEL, 0)
    assert "NaN" in found.detail


async def test_a_refusal_is_tried_once(prelabel: Prelabel) -> None:
    await _serve_old(prelabel)
    prelabel.register(nan_model(), manifest(), version="new")
    prelabel.promote("new", 2)
    for _ in range(3):
        await prelabel.follower.poll()
    assert prelabel.counted("labelstream_prelabel_model_loads_total", project=PROJECT, outcome="refused") == 1


async def test_after_a_refusal_a_good_promotion_serves(prelabel: Prelabel) -> None:
    await _serve_old(prelabel)
    prelabel.register(nan_model(), manifest(), version="bad")
    prelabel.promote("bad", 2)
    await prelabel.follower.poll()
    prelabel.register(make.constant_model(0.1, 0.1, 0.8), manifest(), version="good")
    prelabel.promote("good", 3)
    await prelabel.follower.poll()
    (found,) = await prelabel.predict(ASKED)
    assert (found.model_version, found.generation) == ("good", 3)
    assert prelabel.counted("labelstream_prelabel_model_refused", project=PROJECT) == 0


async def test_a_file_that_comes_late_is_tried_again(prelabel: Prelabel, monkeypatch: pytest.MonkeyPatch) -> None:
    prelabel.project(make.MOODS)
    version = prelabel.register(GOOD, manifest())
    kept = prelabel.directory / f"{version.sha256}.onnx"
    away = kept.rename(kept.with_suffix(".away"))
    prelabel.promote("m1", 1)
    await prelabel.follower.poll()
    (found,) = await prelabel.predict(ASKED)
    assert found.abstention is Abstention.NO_MODEL
    assert "cannot read" in found.detail
    away.rename(kept)
    monkeypatch.setattr("time.monotonic", lambda: 1e12)
    await prelabel.follower.poll()
    (found,) = await prelabel.predict(ASKED)
    assert found.model_version == "m1"


async def test_a_pipe_in_place_of_the_file_does_not_hang(prelabel: Prelabel) -> None:
    prelabel.project(make.MOODS)
    version = prelabel.register(GOOD, manifest())
    kept = prelabel.directory / f"{version.sha256}.onnx"
    kept.unlink()
    os.mkfifo(kept)
    prelabel.promote("m1", 1)
    async with asyncio.timeout(5):
        await prelabel.follower.poll()
    slot = prelabel.live.slot(PROJECT)
    assert slot is not None
    assert "not a regular file" in slot.refusal


async def test_a_rollback_serves_the_older_version_under_a_higher_generation(prelabel: Prelabel) -> None:
    await _serve_old(prelabel)
    prelabel.register(make.constant_model(0.1, 0.1, 0.8), manifest(), version="new")
    for version, generation in (("new", 2), ("old", 3)):
        prelabel.promote(version, generation)
        await prelabel.follower.poll()
        (found,) = await prelabel.predict(ASKED)
        assert (found.model_version, found.generation) == (version, generation)


async def test_a_project_that_gains_a_class_keeps_its_model(prelabel: Prelabel) -> None:
    await _serve_old(prelabel)
    before = prelabel.live.slot(PROJECT)
    prelabel.project((*make.MOODS, "mixed"), version=2)
    await prelabel.follower.poll()
    after = prelabel.live.slot(PROJECT)
    assert before is not None
    assert after is not None
    assert before.model is not None
    assert after.model is not None
    assert after.model.session is before.model.session
    assert not after.refusal


async def test_a_project_that_loses_a_class_loses_its_model(prelabel: Prelabel) -> None:
    await _serve_old(prelabel)
    prelabel.project(make.MOODS[:2], version=2)
    await prelabel.follower.poll()
    (found,) = await prelabel.predict(ASKED)
    assert found.abstention is Abstention.NO_MODEL
    assert "not a class of the project" in found.detail


async def test_the_first_batch_waits_for_a_model_that_is_loading(prelabel: Prelabel) -> None:
    prelabel.project(make.MOODS)
    prelabel.register(GOOD, manifest())
    prelabel.promote("m1", 1)
    (found,) = await prelabel.predict(ASKED)
    assert found.model_version == "m1"


async def test_swaps_under_load_mix_nothing_and_lose_nothing(
    prelabel: Prelabel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each version answers with its own distribution; a swap arrives in the middle of every batch."""
    prelabel.project(make.MOODS)
    rows = [(round(0.1 + 0.02 * n, 2), 0.3, round(0.6 - 0.02 * n, 2)) for n in range(20)]
    for number, row in enumerate(rows):
        prelabel.register(make.constant_model(*row), manifest(max_batch=10), version=f"v{number}")
    prelabel.promote("v0", 1)
    await prelabel.follower.poll()
    loop, run = asyncio.get_running_loop(), LoadedModel.run
    swaps: list[int] = []

    def run_and_swap(model: LoadedModel, tensor: Any, beside: Any, *, features: bool = False) -> Any:
        answer = run(model, tensor, beside, features=features)
        if len(tensor) == 10 and len(swaps) < len(rows) - 1 and model.identity.generation == len(swaps) + 1:
            swaps.append(model.identity.generation)
            prelabel.promote(f"v{len(swaps)}", len(swaps) + 1)
            asyncio.run_coroutine_threadsafe(prelabel.follower.poll(), loop).result(10)
        return answer

    monkeypatch.setattr(LoadedModel, "run", run_and_swap)
    batches = [await prelabel.predict(ASKED * 50) for _ in range(25)]
    assert len(swaps) == len(rows) - 1
    for batch in batches:
        assert len(batch) == 50
        (version,) = {one.model_version for one in batch}
        number = int((version or "").removeprefix("v"))
        assert {one.generation for one in batch} == {number + 1}
        for one in batch:
            assert list((one.distribution or {}).values()) == pytest.approx(rows[number])
    assert [batch[0].generation for batch in batches] == [*range(1, 21), 20, 20, 20, 20, 20]


async def test_a_large_model_serves_like_a_small_one(prelabel: Prelabel) -> None:
    prelabel.project(make.MOODS)
    prelabel.register(make.large_model(), manifest(), version="large")
    prelabel.promote("large", 1)
    await prelabel.follower.start()
    (found,) = await prelabel.predict(ASKED)
    assert (found.model_version, found.value) == ("large", Choice(choice="neutral"))


async def test_a_large_model_gets_no_file_that_is_there(
    prelabel: Prelabel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the file lies where it is looked for."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.bin").write_bytes((1).to_bytes(8, "little"))
    prelabel.project(make.MOODS)
    prelabel.register(make.with_external_data(make.large_model(), 1, "weights.bin"), manifest(), version="outside")
    prelabel.promote("outside", 1)
    await prelabel.follower.start()
    slot = prelabel.live.slot(PROJECT)
    assert slot is not None
    assert "external files" in slot.refusal
    assert slot.model is None
