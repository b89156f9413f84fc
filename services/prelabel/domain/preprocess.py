"""Contents to one tensor per chunk. What cannot be put into the tensor abstains; its neighbours are not touched."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from services.prelabel.domain.decoding import Seen
from services.prelabel.domain.questions import Abstained
from services.prelabel.domain.tokens import prepare_tokens
from shared.events import (
    Abstention,
    AudioInput,
    FeaturesContent,
    FeaturesInput,
    ImageInput,
    TextContent,
    TextInput,
    TokensInput,
)
from shared.events.models import ModelInput

Tensor = NDArray[Any]
T = TypeVar("T")

QUIET = 1e-7
"""Added to the variance of a sound, so that silence stays silent (as in wav2vec 2.0)."""
REHEARSED_S = 1.0


@dataclass(frozen=True, slots=True)
class Pixels:
    """A decoded picture: height x width x channels bytes as the model reads it, and its own size in pixels."""

    data: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Samples:
    """Decoded sound of one channel, (samples,) in -1..1 at the model's rate, and its length."""

    data: Tensor
    seconds: float


Media = Pixels | Samples


@dataclass(frozen=True, slots=True)
class Prepared:
    """A chunk made ready.

    Attributes:
        tensor: first axis = the rows that could be read.
        rows: for each row of the tensor, its position in the chunk.
        abstained: position in the chunk -> why it is not in the tensor.
        seen: what a decoder must know of each row; empty where none needs anything.
        beside: further inputs by name, the same first axis.
    """

    tensor: Tensor
    rows: list[int]
    abstained: dict[int, Abstained]
    seen: list[Seen] = field(default_factory=list)
    beside: dict[str, Tensor] = field(default_factory=dict)


def row_shape(spec: ModelInput) -> tuple[int | None, ...]:
    """The shape of one row of the model's input, without the batch axis; None: as long as the longest of a batch."""
    match spec:
        case FeaturesInput():
            return (spec.size,)
        case TextInput():
            return (1,)
        case TokensInput() | AudioInput():
            return (None,)
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


def prepare_text(contents: Sequence[TextContent], spec: TextInput, *, whole: bool = False) -> Prepared:
    """Texts to a string tensor of shape (rows, 1); a longer one is cut, or abstains where only the whole will do."""
    checked: list[TextContent | Abstained] = [
        Abstained(Abstention.SHAPE, f"{len(content.text)} characters, the model reads {spec.max_chars}")
        if whole and len(content.text) > spec.max_chars
        else content
        for content in contents
    ]
    good, rows, abstained = _split(checked)
    texts = [content.text[: spec.max_chars] for content in good]
    if spec.lowercase:
        texts = [text.lower() for text in texts]
    tensor = np.empty((len(texts), 1), dtype=object)
    tensor[:, 0] = texts
    return Prepared(tensor, rows, abstained, [Seen(text=content.text) for content in good])


def prepare_words(
    contents: Sequence[TextContent], spec: TokensInput, vocabulary: Mapping[str, int], dtype: np.dtype[Any]
) -> Prepared:
    """Texts to a tensor of tokens, see `prepare_tokens`."""
    made = prepare_tokens(contents, spec, vocabulary, dtype)
    beside: dict[str, Tensor] = {} if spec.mask_input is None else {spec.mask_input: made.mask}
    return Prepared(made.table, made.rows, made.abstained, made.seen, beside)


def prepare_samples(samples: Sequence[Samples | Abstained], spec: AudioInput, dtype: np.dtype[Any]) -> Prepared:
    """Decoded sounds to a tensor of shape (rows, samples of the longest, at least 1), padded with zeros."""
    good, rows, abstained = _split(samples)
    lengths = np.array([len(one.data) for one in good], dtype=np.int64)
    tensor = np.zeros((len(good), max(1, int(lengths.max(initial=0)))), dtype=np.float32)
    for row, one in enumerate(good):
        data = one.data
        if spec.standardise and len(data):
            data = (data - data.mean()) / np.sqrt(data.var() + QUIET)
        tensor[row, : len(data)] = data
    beside: dict[str, Tensor] = {} if spec.lengths_input is None else {spec.lengths_input: lengths}
    return Prepared(
        tensor.astype(dtype, copy=False), rows, abstained, [Seen(seconds=one.seconds) for one in good], beside
    )


def prepare_pixels(pixels: Sequence[Pixels | Abstained], spec: ImageInput, dtype: np.dtype[Any]) -> Prepared:
    """Decoded pictures to a tensor in the model's layout.

    Args:
        pixels: per picture its bytes, row by row, or why it could not be decoded.
        spec: says the layout and `(pixel / 255 - mean) / std` per channel.
        dtype: of the model's input.
    """
    good, rows, abstained = _split(pixels)
    shape = (len(good), spec.height, spec.width, spec.channels)
    tensor = np.frombuffer(b"".join(one.data for one in good), dtype=np.uint8).reshape(shape).astype(np.float32)
    tensor /= 255.0
    tensor -= np.asarray(spec.mean, dtype=np.float32)
    tensor /= np.asarray(spec.std, dtype=np.float32)
    if spec.layout == "nchw":
        tensor = np.ascontiguousarray(tensor.transpose(0, 3, 1, 2))
    shaped = tensor.reshape(len(good), *(n or 1 for n in row_shape(spec))).astype(dtype, copy=False)
    return Prepared(shaped, rows, abstained, [Seen(size=(one.width, one.height)) for one in good])


def rehearsal(spec: ModelInput, rows: int, dtype: np.dtype[Any], vocabulary: Mapping[str, int]) -> Prepared:
    """A made-up batch to warm a model up with: no zeros, and no two rows alike."""
    texts = [TextContent(text=f"warm up {row}") for row in range(rows)]
    if isinstance(spec, TextInput):
        return prepare_text(texts, spec)
    if isinstance(spec, TokensInput):
        return prepare_words(texts, spec, vocabulary, dtype)
    if isinstance(spec, AudioInput):
        steps = np.arange(int(min(spec.max_s, REHEARSED_S) * spec.sample_rate), dtype=np.float32)
        tones = [np.sin(steps * (0.05 + 0.01 * row)).astype(np.float32) / 2 for row in range(rows)]
        return prepare_samples([Samples(tone, len(tone) / spec.sample_rate) for tone in tones], spec, dtype)
    shape = tuple(n or 1 for n in row_shape(spec))
    ramp = np.linspace(0.1, 0.9, int(np.prod(shape))) + np.linspace(0.0, 0.05, rows)[:, None]
    size = (spec.width, spec.height) if isinstance(spec, ImageInput) else None
    return Prepared(ramp.astype(dtype).reshape(rows, *shape), list(range(rows)), {}, [Seen(size=size)] * rows)
