"""A model file becomes a session that may serve: checked, warmed up, or refused with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]  # has no stubs of its own

from services.prelabel.domain.postprocess import Head, read_rows
from services.prelabel.domain.preprocess import Tensor, rehearsal, row_shape
from services.prelabel.domain.questions import Identity
from services.prelabel.store.files import ModelRefused
from shared.events import ImageInput, Manifest, ModelVersion, TextInput
from shared.labels import LabelSchema

NUMBERS: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(float16)": np.dtype(np.float16),
}
TEXT = np.dtype(object)
REHEARSED_ROWS = 8
LARGE_BYTES = 1_000_000
EXTERNAL = b"location"
"""The key of the entry that says in which file a tensor lies (onnx.proto, TensorProto.external_data)."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that serves. Immutable: a batch that holds it is answered by it and by no other."""

    identity: Identity
    sha256: str
    manifest: Manifest
    head: Head
    session: ort.InferenceSession
    input_name: str
    output_name: str
    dtype: np.dtype[Any]

    def run(self, tensor: Tensor) -> Tensor:
        """One call of the model: shape (rows, ...) to shape (rows, classes)."""
        rows: Tensor = self.session.run([self.output_name], {self.input_name: tensor})[0]
        return rows


def _external_tensors(message: Message) -> bool:
    """Whether any tensor anywhere in the graph keeps its data in another file."""
    if isinstance(message, onnx.TensorProto):
        return message.data_location == onnx.TensorProto.EXTERNAL or len(message.external_data) > 0
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        nested = [value] if isinstance(value, Message) else value
        if any(_external_tensors(part) for part in nested):
            return True
    return False


def _may_be_large(content: bytes) -> bool:
    """Whether the graph can go unparsed here: no tensor lies in another file where no such entry is named at all.

    Parsing holds the interpreter, 6 ms a megabyte in which nothing else is answered; ONNX Runtime's own does not.
    """
    return len(content) > LARGE_BYTES and EXTERNAL not in content


def _check_graph(content: bytes) -> None:
    try:
        graph = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise ModelRefused("the file is not an ONNX model (truncated or of another format)") from error
    if not graph.graph.node:
        raise ModelRefused("the file is not an ONNX model (its graph is empty)")
    if _external_tensors(graph):
        raise ModelRefused("the model keeps tensors in external files; save it as one file")


def _session(content: bytes, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors share no base below Exception
        _check_graph(content)
        raise ModelRefused(f"ONNX Runtime cannot load the model: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _pick_input(session: ort.InferenceSession, manifest: Manifest) -> ort.NodeArg:
    inputs = session.get_inputs()
    names = [node.name for node in inputs]
    if manifest.input_name is not None and manifest.input_name not in names:
        raise ModelRefused(f"the model has no input {manifest.input_name!r}, it has {names}")
    if len(inputs) != 1:
        raise ModelRefused(f"the model has {len(inputs)} inputs {names}, exactly one can be fed")
    return inputs[0]


def _check_dimensions(node: ort.NodeArg, expected: Sequence[int | None], what: str) -> None:
    found = list(node.shape)
    fits = len(found) == len(expected) and all(
        not isinstance(have, int) or want is None or have == want
        for have, want in zip(found[1:], expected[1:], strict=True)
    )
    if not fits:
        wanted = ", ".join("batch" if n is None else str(n) for n in expected)
        raise ModelRefused(f"{what} {node.name!r} has shape {found}, the manifest says ({wanted})")
    if isinstance(found[0], int):
        raise ModelRefused(f"{what} {node.name!r} has a fixed batch of {found[0]}; export it with a dynamic batch axis")


def _check_input(node: ort.NodeArg, manifest: Manifest) -> np.dtype[Any]:
    """The dtype to feed."""
    _check_dimensions(node, (None, *row_shape(manifest.input)), "input")
    if isinstance(manifest.input, TextInput):
        if node.type != "tensor(string)":
            raise ModelRefused(f"input {node.name!r} is {node.type}, text needs tensor(string)")
        return TEXT
    if node.type not in NUMBERS:
        raise ModelRefused(f"input {node.name!r} is {node.type}, {manifest.input.kind} needs one of {sorted(NUMBERS)}")
    if isinstance(manifest.input, ImageInput):
        for name, values in (("mean", manifest.input.mean), ("std", manifest.input.std)):
            if len(values) not in (1, manifest.input.channels):
                raise ModelRefused(f"{name} has {len(values)} values for {manifest.input.channels} channels")
    return NUMBERS[node.type]


def _pick_output(session: ort.InferenceSession, manifest: Manifest) -> ort.NodeArg:
    outputs = session.get_outputs()
    names = [f"{node.name}: {node.type}{node.shape}" for node in outputs]
    for node in outputs:
        if manifest.output_name in (None, node.name) and node.type in NUMBERS and len(node.shape) == 2:  # noqa: PLR2004
            classes = node.shape[1]
            if isinstance(classes, int) and classes != len(manifest.classes):
                raise ModelRefused(f"output {node.name!r} has {classes} classes, the manifest {len(manifest.classes)}")
            return node
    wanted = "a float output of two dimensions" if manifest.output_name is None else repr(manifest.output_name)
    raise ModelRefused(f"the model has no {wanted} (of two dimensions), it has {names}; for scikit-learn, zipmap=False")


def _warm_up(model: LoadedModel) -> None:
    for rows in sorted({1, min(REHEARSED_ROWS, model.manifest.max_batch)}):
        try:
            answer = model.run(rehearsal(model.manifest.input, rows, model.dtype))
        except Exception as error:  # as above
            raise ModelRefused(f"the model fails on a batch of {rows}: {_first_line(error)}") from error
        expected = (rows, len(model.manifest.classes))
        if answer.shape != expected:
            raise ModelRefused(f"the model answered a batch of {rows} with shape {answer.shape}, not {expected}")
        if not np.isfinite(answer).all():
            raise ModelRefused(f"the model answered a batch of {rows} with NaN or infinity")
        if not read_rows(answer, model.head).ok.all():
            raise ModelRefused("the rows of the output are no distributions; the manifest may want output: logits")


def load_model(
    content: bytes, version: ModelVersion, *, generation: int, schema: LabelSchema, threads: int = 1
) -> LoadedModel:
    """Verified bytes to a model that serves. Slow: run it in a thread.

    Args:
        content: of a file whose hash was checked.
        version: says how to feed it and read it.
        generation: of the promotion that made it live.
        schema: the project's labels; the model may know no others.
        threads: that ONNX Runtime may use inside one call.

    Raises:
        ModelRefused: external data, wrong shapes or classes, no distributions, or a failing warm-up.
    """
    try:
        head = Head.of(version.manifest, schema)
    except ValueError as error:
        raise ModelRefused(f"the classes of the model are not those of the project: {error}") from error
    if not _may_be_large(content):
        _check_graph(content)
    session = _session(content, threads)
    feed = _pick_input(session, version.manifest)
    dtype = _check_input(feed, version.manifest)
    answer = _pick_output(session, version.manifest)
    model = LoadedModel(
        identity=Identity(version.version, generation),
        sha256=version.sha256,
        manifest=version.manifest,
        head=head,
        session=session,
        input_name=feed.name,
        output_name=answer.name,
        dtype=dtype,
    )
    _warm_up(model)
    return model
