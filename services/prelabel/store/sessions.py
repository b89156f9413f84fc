"""A model file becomes a session that may serve: checked, warmed up, or refused with its reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]  # has no stubs of its own

from services.prelabel.domain.decoding import TOO_MANY, Outputs, decode, output_names
from services.prelabel.domain.postprocess import Head, read_rows
from services.prelabel.domain.preprocess import Prepared, Tensor, rehearsal, row_shape
from services.prelabel.domain.questions import Abstained, Identity
from services.prelabel.store.files import ModelRefused
from shared.events import AudioInput, ImageInput, Manifest, ModelVersion, TextInput, TokensInput
from shared.labels import LabelSchema

NUMBERS: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(float16)": np.dtype(np.float16),
}
WHOLE: dict[str, np.dtype[Any]] = {"tensor(int64)": np.dtype(np.int64), "tensor(int32)": np.dtype(np.int32)}
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
    output_names: tuple[str, ...]
    dtype: np.dtype[Any]
    vocabulary: Mapping[str, int]

    def run(self, tensor: Tensor, beside: Mapping[str, Tensor], *, features: bool = False) -> Outputs:
        """One call of the model: shape (rows, ...), and further inputs, to its outputs by name.

        With `features` also those that the manifest names, if any.
        """
        own = self.manifest.features_output
        names = [*dict.fromkeys((*self.output_names, own))] if features and own else [*self.output_names]
        found: list[Tensor] = self.session.run(names, {self.input_name: tensor, **beside})
        return dict(zip(names, found, strict=True))

    def wrong(self, outputs: Outputs, rows: int) -> str | None:
        """What is wrong with the shape of an answer as a whole; None where nothing is."""
        for name in self.output_names:
            output = outputs[name]
            expected = (rows, len(self.manifest.classes)) if self.manifest.decoder is None else (rows,)
            if output.shape[: len(expected)] != expected or (self.manifest.decoder is None and output.ndim != 2):  # noqa: PLR2004
                return f"output {name!r} of shape {output.shape}, not {expected}"
        return None

    def odd_features(self, outputs: Outputs, rows: int) -> str | None:
        """The same of the features, without which there is an answer all the same."""
        name = self.manifest.features_output
        if name is None or name in self.output_names:
            return None
        if outputs[name].shape[:1] == (rows,) and outputs[name].ndim > 1:
            return None
        return f"output {name!r} of shape {outputs[name].shape}, not ({rows}, features)"


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
    """The input for the contents; the manifest names those beside it."""
    inputs = {node.name: node for node in session.get_inputs()}
    beside = _beside(manifest)
    for name in beside:
        if name not in inputs:
            raise ModelRefused(f"the model has no input {name!r}, it has {[*inputs]}")
        if inputs[name].type != "tensor(int64)":
            raise ModelRefused(f"input {name!r} is {inputs[name].type}, it is fed with tensor(int64)")
    rest = [name for name in inputs if name not in beside]
    if manifest.input_name is not None and manifest.input_name not in rest:
        raise ModelRefused(f"the model has no input {manifest.input_name!r}, it has {[*inputs]}")
    if len(rest) != 1:
        named = f" beside {[*beside]}" if beside else ""
        raise ModelRefused(f"the model has {len(rest)} inputs {rest}{named}, exactly one can be fed")
    return inputs[rest[0]]


def _beside(manifest: Manifest) -> tuple[str, ...]:
    match manifest.input:
        case TokensInput(mask_input=str(name)) | AudioInput(lengths_input=str(name)):
            return (name,)
        case _:
            return ()


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
    if isinstance(manifest.input, TokensInput):
        return _tokens_type(node, manifest.input)
    if node.type not in NUMBERS:
        raise ModelRefused(f"input {node.name!r} is {node.type}, {manifest.input.kind} needs one of {sorted(NUMBERS)}")
    if isinstance(manifest.input, ImageInput):
        for name, values in (("mean", manifest.input.mean), ("std", manifest.input.std)):
            if len(values) not in (1, manifest.input.channels):
                raise ModelRefused(f"{name} has {len(values)} values for {manifest.input.channels} channels")
    return NUMBERS[node.type]


def _tokens_type(node: ort.NodeArg, spec: TokensInput) -> np.dtype[Any]:
    if node.type == "tensor(string)":
        return TEXT
    if node.type not in WHOLE:
        raise ModelRefused(f"input {node.name!r} is {node.type}, tokens need tensor(string) or one of {sorted(WHOLE)}")
    if not spec.vocabulary and spec.vocabulary_key is None:
        raise ModelRefused(f"input {node.name!r} takes numbers of tokens; give input.vocabulary or vocabulary_key")
    return WHOLE[node.type]


def _vocabulary(session: ort.InferenceSession, manifest: Manifest) -> dict[str, int]:
    """Token -> its number; of a repeated one the first."""
    spec = manifest.input
    if not isinstance(spec, TokensInput):
        return {}
    tokens: Sequence[str] = spec.vocabulary
    if spec.vocabulary_key is not None:
        entries = session.get_modelmeta().custom_metadata_map
        if spec.vocabulary_key not in entries:
            raise ModelRefused(f"the file's metadata has no {spec.vocabulary_key!r}, it has {sorted(entries)}")
        tokens = entries[spec.vocabulary_key].splitlines()
    found: dict[str, int] = {}
    for number, token in enumerate(tokens):
        found.setdefault(token, number)
    needed = [spec.unknown, spec.padding]
    if spec.tokenizer.kind == "wordpiece":
        needed += [one for one in (spec.tokenizer.first, spec.tokenizer.last) if one is not None]
    missing = [one for one in needed if one not in found] if found else []
    if missing:
        raise ModelRefused(f"the vocabulary has no {missing}; name its own in input.unknown, padding or tokenizer")
    return found


def _pick_outputs(session: ort.InferenceSession, manifest: Manifest) -> tuple[str, ...]:
    outputs = session.get_outputs()
    names = [f"{node.name}: {node.type}{node.shape}" for node in outputs]
    if manifest.decoder is not None:
        types = {node.name: node.type for node in outputs}
        wanted = output_names(manifest.decoder)
        for name in wanted:
            if types.get(name) not in NUMBERS | WHOLE:
                raise ModelRefused(
                    f"the model has no output of numbers {name!r}, which its decoder reads; it has {names}"
                )
        return wanted
    for node in outputs:
        if manifest.output_name in (None, node.name) and node.type in NUMBERS and len(node.shape) == 2:  # noqa: PLR2004
            classes = node.shape[1]
            if isinstance(classes, int) and classes != len(manifest.classes):
                raise ModelRefused(f"output {node.name!r} has {classes} classes, the manifest {len(manifest.classes)}")
            return (node.name,)
    a_float = "a float output of two dimensions" if manifest.output_name is None else repr(manifest.output_name)
    raise ModelRefused(
        f"the model has no {a_float} (of two dimensions), it has {names}; for scikit-learn, zipmap=False"
    )


def _check_features(session: ort.InferenceSession, manifest: Manifest) -> None:
    types = {node.name: node.type for node in session.get_outputs()}
    if manifest.features_output is not None and types.get(manifest.features_output) not in NUMBERS:
        raise ModelRefused(
            f"the model has no output of numbers {manifest.features_output!r}, which features_output names; it has"
            f" {[*types]}"
        )


def _warm_up(model: LoadedModel) -> None:
    manifest = model.manifest
    for rows in sorted({1, min(REHEARSED_ROWS, manifest.max_batch)}):
        made = rehearsal(manifest.input, rows, model.dtype, model.vocabulary)
        try:
            answer = model.run(made.tensor, made.beside, features=True)
        except Exception as error:  # as above
            raise ModelRefused(f"the model fails on a batch of {rows}: {_first_line(error)}") from error
        wrong = model.wrong(answer, rows) or model.odd_features(answer, rows)
        if wrong is not None:
            raise ModelRefused(f"the model answered a batch of {rows} with {wrong}")
        if manifest.decoder is None:
            _check_rows(model, answer[model.output_names[0]], rows)
        else:
            _check_decoding(model, answer, made)


def _check_rows(model: LoadedModel, answer: Tensor, rows: int) -> None:
    if not np.isfinite(answer).all():
        raise ModelRefused(f"the model answered a batch of {rows} with NaN or infinity")
    if not read_rows(answer, model.head).ok.all():
        raise ModelRefused("the rows of the output are no distributions; the manifest may want output: logits")


def _check_decoding(model: LoadedModel, answer: Outputs, made: Prepared) -> None:
    decoder = model.manifest.decoder
    for one in decode(answer, made.seen, decoder, model.head.classes, model.manifest.input) if decoder else ():
        if isinstance(one, Abstained) and not one.detail.startswith(TOO_MANY):  # a made-up item may well have too many
            raise ModelRefused(f"the answer to a made-up item cannot be decoded: {one.detail}")


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
    outputs = _pick_outputs(session, version.manifest)
    _check_features(session, version.manifest)
    model = LoadedModel(
        identity=Identity(version.version, generation),
        sha256=version.sha256,
        manifest=version.manifest,
        head=head,
        session=session,
        input_name=feed.name,
        output_names=outputs,
        dtype=dtype,
        vocabulary=_vocabulary(session, version.manifest),
    )
    _warm_up(model)
    return model
