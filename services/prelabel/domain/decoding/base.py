"""What the decoders share: what is known of a row beside its scores, and what comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.prelabel.domain.questions import Abstained
from shared.events import Abstention
from shared.labels import LabelValue

Tensor = NDArray[Any]
Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]
Outputs = Mapping[str, Tensor]

SIGNIFICANT_DIGITS = 7
TINIEST = 1e-300
SLACK = 1e-3
TOO_MANY = "more objects than decoder.max_objects"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the decoder must know of one row.

    Attributes:
        size: width and height of the picture in pixels, as it came.
        text: the item's text.
        offsets: (tokens, 2), start and end of each token in code points; () where the graph says them.
        first: (tokens,), whether a token is the first of its word; None: each is.
        seconds: length of the sound; None: not known.
    """

    size: tuple[int, int] | None = None
    text: str = ""
    offsets: Whole | None = None
    first: Flags | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a model says of one item.

    Attributes:
        value: the label.
        confidence: of the whole, 0 to 1: the least sure of the decisions that made it.
        scores: of each object, in their order; empty for text.
    """

    value: LabelValue
    confidence: float
    scores: tuple[float, ...] = ()


Answer = Decoded | Abstained


def bad(detail: str) -> Abstained:
    """An abstention from what the model said."""
    return Abstained(Abstention.BAD_OUTPUT, detail)


def sure(p: float) -> float:
    """A confidence as it travels: within 0 to 1, seven significant digits."""
    return min(1.0, max(0.0, float(f"{p:.{SIGNIFICANT_DIGITS}g}")))


def sure_all(values: Sequence[float] | Floats) -> tuple[float, ...]:
    """`sure` of each."""
    return tuple(map(sure, np.asarray(values, dtype=np.float64).tolist()))


def activate(raw: Tensor, activation: str, axis: int = -1) -> tuple[Floats, Flags]:
    """Scores to probabilities, and which rows (of the first axis) are whole.

    Rows with NaN, infinity or, after the activation, numbers outside 0 to 1 are zeros and not whole.

    Args:
        raw: shape (rows, ...).
        activation: none, sigmoid, softmax, or log, which means the scores are logarithms of probabilities.
        axis: that softmax is over.
    """
    scores = np.asarray(raw, dtype=np.float64)
    inner = tuple(range(1, scores.ndim))
    whole: Flags = np.asarray(np.isfinite(scores).all(axis=inner))
    if activation == "log":
        whole = np.asarray(~(np.isnan(scores) | np.isposinf(scores)).any(axis=inner))
    scores = np.where(whole.reshape(-1, *(1,) * len(inner)), scores, 0.0)
    match activation:
        case "sigmoid":
            p = 0.5 * (1.0 + np.tanh(0.5 * scores))
        case "softmax":
            p = np.exp(scores - scores.max(axis=axis, keepdims=True)) if scores.size else scores
            p = p / p.sum(axis=axis, keepdims=True)
        case "log":
            p = np.exp(np.minimum(scores, SLACK))
        case _:
            p = scores
    whole = whole & np.asarray(((p >= -SLACK) & (p <= 1.0 + SLACK)).all(axis=inner))
    return np.clip(p, 0.0, 1.0), whole


def not_whole(activation: str) -> Abstained:
    """Why a row that is not whole has no answer."""
    hint = "" if activation in ("sigmoid", "softmax") else ", or numbers outside 0 to 1: see decoder.activation"
    return bad(f"the model answered with NaN or infinity{hint}")


def lengths_of(outputs: Outputs, name: str | None, rows: int, frames: int) -> Whole:
    """How many frames of each row count; -1 where the model says nonsense.

    Returns:
        Shape (rows,).
    """
    if name is None:
        return np.full(rows, frames, dtype=np.int64)
    raw = np.asarray(outputs[name], dtype=np.float64).reshape(rows, -1)[:, 0]
    fits = np.isfinite(raw) & (raw >= 0) & (raw <= frames)
    return np.where(fits, np.where(np.isfinite(raw), raw, 0.0), -1.0).astype(np.int64)


def expect(outputs: Outputs, name: str, shape: tuple[int | None, ...]) -> str | None:
    """What is wrong with the shape of an output; None where nothing is."""
    found = outputs[name].shape
    if len(found) == len(shape) and all(want in (None, have) for have, want in zip(found, shape, strict=True)):
        return None
    wanted = ", ".join("any" if n is None else str(n) for n in shape)
    return f"output {name!r} has shape {tuple(found)}, the manifest says ({wanted})"
