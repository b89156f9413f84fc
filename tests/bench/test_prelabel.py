"""What prelabel adds to a bare loop over the same records. Gated: model calls; seconds are reported only."""

import base64
import io
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from shared.bus.records import Received
from shared.events import (
    Content,
    FeaturesContent,
    FeaturesInput,
    ImageInput,
    Item,
    Manifest,
    MediaContent,
    TextContent,
)
from tests.support import onnx_models as make
from tests.support.prelabel import Prelabel, items, received

pytestmark = pytest.mark.timeout(240)

RECORDS, BATCH, REPEATS, HIDDEN = 2_000, 500, 5, 512
SIDE = 32


@dataclass(frozen=True)
class Case:
    """A model, its records, and the same records as the tensor that a bare loop feeds."""

    name: str
    data: str
    model: bytes
    manifest: Manifest
    contents: Sequence[Content]
    prepare: Callable[[Sequence[Any]], NDArray[Any]]


def network(inputs: int, classes: int) -> bytes:
    """Two dense layers of random weights: about inputs x 512 multiplications a row."""
    draw = np.random.default_rng(7)
    first = draw.normal(0, 0.05, (inputs, HIDDEN)).astype(np.float32)
    last = draw.normal(0, 0.05, (HIDDEN, classes)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "first"], ["h"]),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("MatMul", ["r", "last"], ["p"]),
        ],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", inputs])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", classes])],
        initializer=[numpy_helper.from_array(first, "first"), numpy_helper.from_array(last, "last")],
    )
    opset = [helper.make_opsetid("", make.OPSET)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())


def features() -> Case:
    rows = np.random.default_rng(1).normal(size=(RECORDS, 256)).round(4)
    return Case(
        "features, 256 -> 512 -> 10",
        "features",
        network(256, 10),
        Manifest(input=FeaturesInput(size=256), classes=make.DIGITS, output="logits", max_batch=BATCH),
        [FeaturesContent(features=tuple(row)) for row in rows.tolist()],
        lambda contents: np.array([content.features for content in contents], dtype=np.float32),
    )


def images() -> Case:
    pictures = np.random.default_rng(2).integers(0, 255, (RECORDS, SIDE, SIDE), dtype=np.uint8)

    def prepare(contents: Sequence[Any]) -> NDArray[Any]:
        decoded = [np.asarray(Image.open(io.BytesIO(base64.b64decode(content.data)))) for content in contents]
        return (np.stack(decoded).reshape(len(contents), -1) / np.float32(255)).astype(np.float32)

    return Case(
        f"PNG {SIDE} x {SIDE}, {SIDE * SIDE} -> 512 -> 10",
        "image",
        network(SIDE * SIDE, 10),
        Manifest(
            input=ImageInput(width=SIDE, height=SIDE, channels=1, layout="flat"),
            classes=make.DIGITS,
            output="logits",
            max_batch=BATCH,
        ),
        [MediaContent(kind="image", data=make.png(picture)) for picture in pictures],
        prepare,
    )


def texts() -> Case:
    trained = make.moods(tfidf=True)
    words = ["good", "bad", "coffee", "service", "room", "great", "awful", "table"]
    draw = np.random.default_rng(3)
    made = [" ".join(draw.choice(words, 40)) for _ in range(RECORDS)]
    return Case(
        "text of 40 words, tf-idf -> 3",
        "text",
        trained.content,
        trained.manifest.model_copy(update={"max_batch": BATCH}),
        [TextContent(text=text) for text in made],
        lambda contents: np.array([[content.text] for content in contents], dtype=object),
    )


def _session(model: bytes) -> tuple[ort.InferenceSession, list[str]]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session, [node.name for node in session.get_outputs() if len(node.shape) == 2]


def bare(case: Case, *, prepared: bool) -> float:
    """Seconds of ONNX Runtime alone (`prepared`), or of the shortest loop from the same records."""
    session, outputs = _session(case.model)
    chunks = [case.contents[start : start + BATCH] for start in range(0, RECORDS, BATCH)]
    tensors = [case.prepare(chunk) for chunk in chunks]
    started = time.perf_counter()
    for chunk, tensor in zip(chunks, tensors, strict=True):
        session.run(outputs, {"x": tensor if prepared else case.prepare(chunk)})
    return time.perf_counter() - started


async def ours(prelabel: Prelabel, batches: Sequence[Sequence[Received[Item]]]) -> float:
    started = time.perf_counter()
    for batch in batches:
        assert len(await prelabel.handlers.on_items(batch)) == len(batch)
    return time.perf_counter() - started


@pytest.mark.parametrize("case", [features, images, texts], ids=lambda case: case.__name__)
async def test_throughput(case: Callable[[], Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = case()
    prelabel = Prelabel.make(tmp_path, monkeypatch)
    prelabel.project(chosen.manifest.classes, data=chosen.data)
    prelabel.register(chosen.model, chosen.manifest)
    prelabel.promote("m1", 1)
    await prelabel.follower.start()
    records = received(items(chosen.contents))
    batches = [records[start : start + BATCH] for start in range(0, RECORDS, BATCH)]
    seconds: dict[str, list[float]] = {"ONNX Runtime alone": [], "bare loop": [], "prelabel": []}
    for _ in range(REPEATS):
        seconds["ONNX Runtime alone"].append(bare(chosen, prepared=True))
        seconds["bare loop"].append(bare(chosen, prepared=False))
        seconds["prelabel"].append(await ours(prelabel, batches))
    calls = prelabel.counted("labelstream_prelabel_model_call_rows_count")
    assert calls == REPEATS * RECORDS / BATCH, "one model call per chunk"
    report(chosen.name, seconds)


def report(name: str, seconds: dict[str, list[float]]) -> None:
    print(f"\n{name}: {RECORDS} records, batches of {BATCH}, n = {REPEATS}, {os.cpu_count()} x {platform.machine()}")
    best = {what: min(found) for what, found in seconds.items()}
    for what, found in seconds.items():
        rate, spread = RECORDS / statistics.median(found), (max(found) - min(found)) / statistics.median(found)
        print(f"  {what:20} {rate:10,.0f} /s median, spread {spread:.0%}")
    for other in ("ONNX Runtime alone", "bare loop"):
        print(f"  prelabel / {other}: {best[other] / best['prelabel']:.2f} (best of each)")
    added = (best["prelabel"] - best["bare loop"]) / RECORDS * 1e6
    print(f"  added per record: {added:.0f} us")
