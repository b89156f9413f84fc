"""Small ONNX models: trained ones next to the scikit-learn model they come from, and hand-made ones for each fault."""

import base64
import io
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.datasets import load_digits, load_iris
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from shared.events import (
    Content,
    FeaturesContent,
    FeaturesInput,
    ImageInput,
    Manifest,
    MediaContent,
    TextContent,
    TextInput,
)

OPSET = 17
IRIS = ("setosa", "versicolor", "virginica")
DIGITS = tuple("0123456789")
MOODS = ("negative", "neutral", "positive")
TEXTS = (
    ("bad coffee and slow service", 0), ("awful room, bad smell", 0), ("never again, awful", 0), ("bad bad food", 0),
    ("it is a table", 1), ("the shop opens at nine", 1), ("two rooms and a kitchen", 1), ("the bus stops here", 1),
    ("good coffee, good people", 2), ("lovely room, great view", 2), ("great food, will come again", 2),
    ("good service and lovely food", 2),
)  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """A model file, its manifest, inputs as contents, and what scikit-learn itself says of them, (rows, classes)."""

    content: bytes
    manifest: Manifest
    inputs: tuple[Content, ...]
    expected: NDArray[Any]


def _export(model: Any, initial: list[tuple[str, Any]]) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = to_onnx(model, initial_types=initial, options={"zipmap": False}, target_opset=OPSET)
    return bytes(graph.SerializeToString())


@cache
def iris() -> Trained:
    """Feature vectors."""
    data = load_iris()
    rows = data.data.astype(np.float32)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(rows, data.target)
    return Trained(
        content=_export(model, [("x", FloatTensorType([None, 4]))]),
        manifest=Manifest(input=FeaturesInput(size=4), classes=IRIS, max_batch=64),
        inputs=tuple(FeaturesContent(features=tuple(row)) for row in rows.tolist()),
        expected=model.predict_proba(rows),
    )


def png(pixels: NDArray[Any], mode: str = "L") -> str:
    """Base64 of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8), mode=None if mode == "L" else mode).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@cache
def digits(count: int = 400) -> Trained:
    """Flat grey images of 8 x 8 pixels, as PNG."""
    data = load_digits()
    pixels = np.round(data.images * 255 / 16).astype(np.uint8)
    rows = (pixels.reshape(len(pixels), -1) / 255).astype(np.float32)
    model = LogisticRegression(tol=1e-2).fit(rows, data.target)
    return Trained(
        content=_export(model, [("x", FloatTensorType([None, 64]))]),
        manifest=Manifest(
            input=ImageInput(width=8, height=8, channels=1, layout="flat"), classes=DIGITS, max_batch=128
        ),
        inputs=tuple(MediaContent(kind="image", data=png(image)) for image in pixels[:count]),
        expected=model.predict_proba(rows[:count]),
    )


@cache
def moods(*, tfidf: bool = False) -> Trained:
    """Texts; the graph holds the vectoriser."""
    texts = [text for text, _ in TEXTS]
    kind = TfidfVectorizer if tfidf else CountVectorizer
    vectoriser = kind(token_pattern="[a-zA-Z]+", lowercase=False)
    model = make_pipeline(vectoriser, LogisticRegression()).fit(texts, [label for _, label in TEXTS])
    asked = [*texts, "great bad table", "unseen words only", ""]
    return Trained(
        content=_export(model, [("x", StringTensorType([None, 1]))]),
        manifest=Manifest(input=TextInput(), classes=MOODS),
        inputs=tuple(TextContent(text=text) for text in asked),
        expected=model.predict_proba(asked),
    )


def _model(nodes: list[Any], inputs: list[Any], outputs: list[Any], tensors: list[Any]) -> bytes:
    graph = helper.make_graph(nodes, "made", inputs, outputs, initializer=tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    return bytes(made.SerializeToString())


def table_model(table: list[list[float]], *, classes: int | None = None) -> bytes:
    """Row `int(feature)` of a table; ONNX Runtime fails on a feature outside it. The one feature's input is `x`."""
    values = np.array(table, dtype=np.float32)
    return _model(
        [
            helper.make_node("Cast", ["x"], ["whole"], to=TensorProto.INT64),
            helper.make_node("Squeeze", ["whole", "axes"], ["index"]),
            helper.make_node("Gather", ["table", "index"], ["p"], axis=0),
        ],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", classes])],
        [numpy_helper.from_array(values, "table"), numpy_helper.from_array(np.array([1], dtype=np.int64), "axes")],
    )


def constant_model(*row: float) -> bytes:
    """The same row for everything."""
    return table_model([list(row)])


def hidden_model() -> bytes:
    """64 numbers `x` to two logits `p`, by 100 hidden features `h`, which see but the sign of the first number."""
    draw = np.random.default_rng(6)
    first = np.zeros((64, 100))
    first[0] = draw.normal(size=100)
    return _model(
        [
            helper.make_node("Sign", ["x"], ["s"]),
            helper.make_node("MatMul", ["s", "first"], ["m"]),
            helper.make_node("Relu", ["m"], ["h"]),
            helper.make_node("MatMul", ["h", "last"], ["p"]),
        ],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 64])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size]) for name, size in (("p", 2), ("h", 100))],
        [
            numpy_helper.from_array(table.astype(np.float32), name)
            for name, table in (("first", first), ("last", draw.normal(size=(100, 2))))
        ],
    )


def table_manifest(classes: tuple[str, ...] = MOODS, **more: Any) -> Manifest:
    """The manifest of `table_model`."""
    return Manifest(input=FeaturesInput(size=1), classes=classes, **more)


def large_model() -> bytes:
    """More than a megabyte, whose graph prelabel leaves to ONNX Runtime to parse."""
    return table_model([[0.2, 0.7, 0.1]] * 100_000)


def with_external_data(content: bytes, which: int = 0, location: str = "../../etc/passwd") -> bytes:
    """The same graph, one of its tensors moved to another file."""
    model = onnx.load_model_from_string(content)
    tensor = model.graph.initializer[which]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return bytes(model.SerializeToString())


def with_nested_external_data(content: bytes) -> bytes:
    """The same graph with a constant inside a branch that lies in another file."""
    model = onnx.load_model_from_string(content)
    outside = TensorProto(dims=[1], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    entry = outside.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=outside)],
        "branch",
        [],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])],
    )
    model.graph.node.append(helper.make_node("If", ["cond"], ["unused"], then_branch=branch, else_branch=branch))
    return bytes(model.SerializeToString())


def wide_model() -> bytes:
    """Reads two features, not one."""
    return _model(
        [helper.make_node("Softmax", ["x"], ["p"], axis=1)],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", 2])],
        [],
    )


def fixed_batch_model() -> bytes:
    return _model(
        [helper.make_node("Concat", ["x", "x", "x"], ["p"], axis=1)],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, [1, 3])],
        [],
    )


def collapsing_model() -> bytes:
    """Answers one row however many it is asked."""
    return _model(
        [
            helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1),
            helper.make_node("Concat", ["m", "m", "m"], ["s"], axis=1),
            helper.make_node("Softmax", ["s"], ["p"], axis=1),
        ],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["M", 3])],
        [],
    )


@cache
def digit_features(*, wrong: bool = False) -> bytes:
    """Digits as 64 numbers; `wrong` says of each the next one."""
    data = load_digits()
    rows = data.data.astype(np.float32)
    model = LogisticRegression(tol=1e-2).fit(rows, (data.target + 1) % 10 if wrong else data.target)
    return _export(model, [("x", FloatTensorType([None, 64]))])


def wrong_pictures(pixels: NDArray[Any], truths: list[str]) -> bytes:
    """A model of flat pictures, shape (n, pixels), that says of each digit the next one."""
    said = [(int(truth) + 1) % 10 for truth in truths]
    model = LogisticRegression(tol=1e-2).fit(pixels.astype(np.float32), said)
    return _export(model, [("x", FloatTensorType([None, pixels.shape[1]]))])
