"""prelabel's batch throughput beside ONNX Runtime alone, on the same model and the same rows.

The model is a perceptron of 18 million weights, 0.2 ms a row on one core of 2025. What prelabel adds to a row
(`prelabel_added_us`) does not depend on the model, but on the length of its input.
"""

import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from shared.bus.records import Received, Record, outgoing
from shared.bus.validate import decode
from shared.events import FeaturesContent, FeaturesInput, Item, Manifest
from shared.runtime.serve import tune_collector
from shared.topics import ITEMS
from tests.support import onnx_models as make
from tests.support.prelabel import PROJECT, Prelabel, items

INPUTS, HIDDEN, RECORDS, BATCH, REPEATS = 256, 4_096, 1_000, 500, 9
FEATURES, LOOKING = "r1", "looking"
"""The last hidden layer; the project whose items are sketched by it."""


def perceptron() -> bytes:
    """INPUTS -> HIDDEN -> HIDDEN -> 10 classes, random weights."""
    draw = np.random.default_rng(7)
    sizes = (INPUTS, HIDDEN, HIDDEN, len(make.DIGITS))
    nodes, weights, name = [], [], "x"
    for layer, shape in enumerate(pairwise(sizes)):
        table = draw.normal(0, 1 / np.sqrt(shape[0]), shape).astype(np.float32)
        weights.append(numpy_helper.from_array(table, f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [name, f"w{layer}"], [f"h{layer}"]))
        nodes.append(helper.make_node("Relu", [f"h{layer}"], [f"r{layer}"]))
        name = f"r{layer}"
    nodes[-1] = helper.make_node("Softmax", [f"h{len(sizes) - 2}"], ["p"])
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", INPUTS])],
        [
            helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", len(make.DIGITS)]),
            helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["N", HIDDEN]),
        ],
        initializer=weights,
    )
    opset = [helper.make_opsetid("", make.OPSET)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())


def _records(rows: NDArray[np.float64], project: str) -> list[Record]:
    contents = [FeaturesContent(features=tuple(row)) for row in rows]
    sent = [outgoing(ITEMS, item, source="bench") for item in items(contents, project)]
    return [Record(ITEMS.name, 0, n, out.key, out.value, out.headers, 0) for n, out in enumerate(sent)]


def _alone(session: ort.InferenceSession, table: NDArray[np.float32]) -> float:
    started = time.perf_counter()
    for start in range(0, RECORDS, BATCH):
        session.run(["p"], {"x": table[start : start + BATCH]})
    return time.perf_counter() - started


async def _ours(prelabel: Prelabel, records: Sequence[Record]) -> float:
    """From the records' bytes to those of the predictions."""
    started = time.perf_counter()
    for start in range(0, RECORDS, BATCH):
        judged = [decode(ITEMS, record, max_bytes=1 << 20) for record in records[start : start + BATCH]]
        valid: list[Received[Item]] = [one for one in judged if isinstance(one, Received)]
        made = await prelabel.handlers.on_items(valid)
        if len(made) != BATCH:
            raise AssertionError(f"{len(made)} predictions of {BATCH} items")
    return time.perf_counter() - started


@contextmanager
def _collected_as_a_service() -> Generator[None]:
    """Garbage is collected as in a service's process: not among the modules of this one."""
    before = gc.get_threshold()
    tune_collector()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def measure() -> dict[str, float]:
    """Both, turn by turn in this process; medians of REPEATS. And prelabel with sketches of the model's features.

    Returns:
        prelabel_items_per_second, onnx_items_per_second, prelabel_ratio, prelabel_added_us: microseconds a row; and
        prelabel_sketched_ratio: of a batch's time without sketches and with them, prelabel_sketched_over_onnx.
    """
    model = perceptron()
    rows = np.random.default_rng(1).normal(size=(RECORDS, INPUTS)).round(4)
    plain, looking = (_records(rows, project) for project in (PROJECT, LOOKING))
    manifest = Manifest(
        input=FeaturesInput(size=INPUTS),
        classes=make.DIGITS,
        output_name="p",
        output="probabilities",
        features_output=FEATURES,
        max_batch=BATCH,
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    table = rows.astype(np.float32)
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        prelabel = Prelabel.make(Path(directory), patch)
        for name, policy in ((PROJECT, {}), (LOOKING, {"order": {"duplicates": 0.5}})):
            prelabel.project(make.DIGITS, name=name, policy=policy)
            prelabel.register(model, manifest, project=name)
            prelabel.promote("m1", 1, project=name)
        await prelabel.follower.start()
        for records in (plain, looking):
            await _ours(prelabel, records)
        alone, ours, sketched = [], [], []
        with _collected_as_a_service():
            for _ in range(REPEATS):
                alone.append(_alone(session, table))
                ours.append(await _ours(prelabel, plain))
                sketched.append(await _ours(prelabel, looking))
    raw, whole = statistics.median(alone), statistics.median(ours)
    ratios = sorted(one / other for one, other in zip(alone, ours, strict=True))
    return {
        "prelabel_items_per_second": RECORDS / whole,
        "onnx_items_per_second": RECORDS / raw,
        "prelabel_ratio": raw / whole,
        "prelabel_ratio_spread": (ratios[-2] - ratios[1]) / statistics.median(ratios),
        "prelabel_n": REPEATS,
        "prelabel_added_us": (whole - raw) / RECORDS * 1e6,
        "prelabel_sketched_ratio": whole / statistics.median(sketched),
        "prelabel_sketched_over_onnx": raw / statistics.median(sketched),
    }


if __name__ == "__main__":
    for name, value in asyncio.run(measure()).items():
        print(f"{name:36} {value:10,.2f}")
