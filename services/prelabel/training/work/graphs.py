"""ONNX graphs of what was learned: small enough to write by hand, so that they say exactly what was fitted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

OPSET, IR_VERSION = 17, 8
DOMAINS = (("", OPSET), ("com.microsoft", 1), ("ai.onnx.ml", 3))
INPUT, VECTOR, LOGITS = "input", "vector", "logits"
HEAD_LOGITS = f"head_{LOGITS}"
"""The logits of a head behind an encoder."""


@dataclass(slots=True)
class Part:
    """Nodes and constants of a graph. A head reads `vector`, shape (n, d), and writes `logits`, shape (n, classes)."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output


def single(values: Any) -> NDArray[Any]:
    """In single precision, as the models compute."""
    return np.asarray(values, dtype=np.float32)


def linear_head(weights: NDArray[Any], bias: NDArray[Any], *, reads: str = VECTOR) -> Part:
    """Reads @ weights + bias, weights of shape (d, classes)."""
    part = Part()
    inputs = [
        reads,
        part.constant("weights", weights.astype(np.float32)),
        part.constant("bias", bias.astype(np.float32)),
    ]
    part.node("Gemm", inputs, LOGITS)
    return part


def kernel_head(
    landmarks: NDArray[Any], gamma: float, weights: NDArray[Any], bias: NDArray[Any], *, units: NDArray[Any] | None
) -> Part:
    """exp(-gamma |units * x - landmark|^2) @ weights + bias, weights of shape (landmarks, classes)."""
    part, vector = Part(), VECTOR
    if units is not None:
        vector = part.node("Mul", [VECTOR, part.constant("units", single(units))], "in_units")
    points = landmarks.astype(np.float32)
    squares = part.constant("landmark_squares", (points.astype(np.float64) ** 2).sum(axis=1).astype(np.float32))
    crossed = part.node("MatMul", [vector, part.constant("landmarks", np.ascontiguousarray(points.T))], "crossed")
    doubled = part.node("Mul", [crossed, part.constant("minus_two", single([-2.0]))], "doubled")
    second = part.constant("second_axis", np.array([1], dtype=np.int64))
    own = part.node("ReduceSum", [part.node("Mul", [vector, vector], "squares"), second], "own_squares", keepdims=1)
    summed = part.node("Add", [part.node("Add", [doubled, own], "with_own"), squares], "distances")
    positive = part.node("Relu", [summed], "positive")
    scaled = part.node("Mul", [positive, part.constant("minus_gamma", single([-gamma]))], "scaled")
    head = linear_head(weights, bias, reads=part.node("Exp", [scaled], "kernel"))
    return Part(part.nodes + head.nodes, part.constants + head.constants)


def as_model(
    part: Part, *, numbers: int | None, classes: int, kind: int = TensorProto.FLOAT, feeds: str = VECTOR
) -> bytes:
    """A whole model around a part, its input (n, numbers); names are fixed, so the same part gives the same bytes."""
    graph = helper.make_graph(
        part.nodes,
        "labelstream",
        [helper.make_tensor_value_info(feeds, kind, ["batch", numbers])],
        [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, ["batch", classes])],
        initializer=part.constants,
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in DOMAINS]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="labelstream")
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString(deterministic=True))


def behind(encoder: bytes, output: str, head: bytes) -> bytes:
    """The head behind an encoder: one model that reads what the encoder reads, and gives its vectors, too.

    Raises:
        ValueError: the two do not fit together.
    """
    first, second = onnx.load_model_from_string(encoder), onnx.load_model_from_string(head)
    known = {one.domain for one in first.opset_import}
    for one in second.opset_import:
        if one.domain not in known:
            first.opset_import.append(one)
    wanted = {one.domain: one.version for one in first.opset_import}
    for one in second.opset_import:
        one.version = wanted[one.domain]
    first.ir_version = second.ir_version = max(first.ir_version, IR_VERSION)
    second = compose.add_prefix(second, "head_")
    joined = compose.merge_models(first, second, io_map=[(output, f"head_{VECTOR}")], outputs=[HEAD_LOGITS, output])
    return bytes(joined.SerializeToString(deterministic=True))
