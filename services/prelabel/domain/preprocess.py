"""Contents to one tensor per chunk. What cannot be put into the tensor abstains; its neighbours are not touched."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from services.prelabel.domain.questions import Abstained
from shared.events import Abstention, FeaturesContent, FeaturesInput, ImageInput, TextContent, TextInput
from shared.events.models import ModelInput

Tensor = NDArray[Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A chunk made ready.

    Attributes:
        tensor: first axis = the rows that could be read.
        rows: for each row of the tensor, its position in the chunk.
        abstained: position in the chunk -> why it is not in the tensor.
    """

    tensor: Tensor
    rows: list[int]
    abstained: dict[int, Abstained]


def row_shape(spec: ModelInput) -> tuple[int, ...]:
    """The shape of one row of the model's input, without the batch axis."""
    match spec:
        case FeaturesInput():
            return (spec.size,)
        case TextInput():
            return (1,)
        case ImageInput(layout="nchw"):
            return (spec.channels, spec.height, spec.width)
        case ImageInput(layout="nhwc"):
            return (spec.height, spec.width, spec.channels)
        case ImageInput():
            return (spec.height * spec.width * spec.channels,)


def _split(contents: Sequence[T | Abstained]) -> tuple[list[T], list[int], dict[int, Abstained]]:
    good: list[T] = []
    rows: list[int] = []
    abstained: dict[int, Abstained] = {}
    for position, content in enumerate(contents):
        if isinstance(content, Abstained):
            abstained[position] = content
        else:
            good.append(content)
            rows.append(position)
    return good, rows, abstained


def _drop_infinite(tensor: Tensor, rows: list[int], abstained: dict[int, Abstained]) -> Prepared:
    finite = np.isfinite(tensor).all(axis=1)
    if finite.all():
        return Prepared(tensor, rows, abstained)
    for row in np.flatnonzero(~finite).tolist():
        abstained[rows[row]] = Abstained(Abstention.UNREADABLE, "a feature is outside the range of the model's numbers")
    return Prepared(tensor[finite], [rows[row] for row in np.flatnonzero(finite).tolist()], abstained)


def prepare_features(contents: Sequence[FeaturesContent], spec: FeaturesInput, dtype: np.dtype[Any]) -> Prepared:
    """Feature vectors to a tensor of shape (rows, size), standardised in float64 before the cast."""
    checked: list[tuple[float, ...] | Abstained] = [
        content.features
        if len(content.features) == spec.size
        else Abstained(Abstention.SHAPE, f"{len(content.features)} features, the model reads {spec.size}")
        for content in contents
    ]
    vectors, rows, abstained = _split(checked)
    pack = struct.Struct(f"{spec.size}d").pack  # four times as fast as np.array
    table = np.frombuffer(b"".join([pack(*vector) for vector in vectors]), np.float64).reshape(-1, spec.size)
    with np.errstate(over="ignore", invalid="ignore"):
        if spec.mean is not None:
            table = table - np.asarray(spec.mean)
        if spec.scale is not None:
            table = table / np.asarray(spec.scale)
        return _drop_infinite(table.astype(dtype), rows, abstained)


def prepare_text(contents: Sequence[TextContent], spec: TextInput) -> Prepared:
    """Texts to a string tensor of shape (rows, 1)."""
    texts = [content.text[: spec.max_chars] for content in contents]
    if spec.lowercase:
        texts = [text.lower() for text in texts]
    tensor = np.empty((len(texts), 1), dtype=object)
    tensor[:, 0] = texts
    return Prepared(tensor, list(range(len(texts))), {})


def prepare_pixels(pixels: Sequence[bytes | Abstained], spec: ImageInput, dtype: np.dtype[Any]) -> Prepared:
    """Decoded pictures to a tensor in the model's layout.

    Args:
        pixels: per picture height x width x channels bytes, row by row, or why it could not be decoded.
        spec: says the layout and `(pixel / 255 - mean) / std` per channel.
        dtype: of the model's input.
    """
    good, rows, abstained = _split(pixels)
    shape = (len(good), spec.height, spec.width, spec.channels)
    tensor = np.frombuffer(b"".join(good), dtype=np.uint8).reshape(shape).astype(np.float32)
    tensor /= 255.0
    tensor -= np.asarray(spec.mean, dtype=np.float32)
    tensor /= np.asarray(spec.std, dtype=np.float32)
    if spec.layout == "nchw":
        tensor = np.ascontiguousarray(tensor.transpose(0, 3, 1, 2))
    return Prepared(tensor.reshape(len(good), *row_shape(spec)).astype(dtype, copy=False), rows, abstained)


def rehearsal(spec: ModelInput, rows: int, dtype: np.dtype[Any]) -> Tensor:
    """A made-up batch to warm a model up with: no zeros, and no two rows alike."""
    if isinstance(spec, TextInput):
        tensor = np.empty((rows, 1), dtype=object)
        tensor[:, 0] = [f"warm up {row}" for row in range(rows)]
        return tensor
    size = int(np.prod(row_shape(spec)))
    ramp = np.linspace(0.1, 0.9, size) + np.linspace(0.0, 0.05, rows)[:, None]
    return ramp.astype(dtype).reshape(rows, *row_shape(spec))
