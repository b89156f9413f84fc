"""Sketches of a batch's items: of pictures and sounds, and of the model's own features where it gives them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.prelabel.domain.decoding import Seen
from services.prelabel.domain.preprocess import Pixels, Tensor
from shared.events import AudioInput, ImageInput, Manifest, Sketch, unchecked
from shared.sketches import pictures, sketches

PICTURES, SOUNDS = "pictures/1", "sounds/1"
"""The spaces of the two kinds of media: to be changed with what is done here, or in `shared.sketches.pictures`."""
PLAIN = ImageInput(width=32, height=32, channels=1, layout="flat")
"""How a picture is read that no model reads."""
SIDE, FRAME_S, LOWEST_HZ, HIGHEST_HZ, QUIET = 32, 0.032, 60.0, 3600.0, 1e-3
"""A sound is a picture of SIDE times by SIDE bands; what is below QUIET of the loudest is silence."""
LUMA = (0.299, 0.587, 0.114)


class Sketches(NamedTuple):
    """Of each row: what tells copies, what tells how new it is."""

    contents: Sequence[Sketch | None]
    features: Sequence[Sketch | None]


def nothing(rows: int) -> Sketches:
    """No sketches."""
    return Sketches([None] * rows, [None] * rows)


def by_features(features: Tensor, manifest: Manifest, sha256: str) -> list[Sketch | None]:
    """By what a model says of each, shape (rows, ...)."""
    rows = features.reshape(len(features), -1)
    return _named(manifest.features_space or f"model/{sha256[:16]}", sketches(rows, centred=True))


def by_content(tensor: Tensor, manifest: Manifest, seen: Sequence[Seen]) -> list[Sketch | None]:
    """By the pictures or sounds that a model reads, as they are laid out in its input; None of anything else."""
    match manifest.input:
        case ImageInput():
            return by_pixels(tensor, manifest.input)
        case AudioInput():
            rate = manifest.input.sample_rate
            lengths = [round((one.seconds or 0.0) * rate) for one in seen]
            return by_sounds([row[:length] for row, length in zip(tensor, lengths, strict=True)], rate)
        case _:
            return [None] * len(tensor)


def by_pixels(tensor: Tensor, spec: ImageInput) -> list[Sketch | None]:
    """By pictures in a model's layout.

    The pixels are what they were before the manifest's mean and std, but for brightness, so that another model's are
    compared with these.
    """
    height, width, channels = spec.height, spec.width, spec.channels
    shape = (-1, channels, height, width) if spec.layout == "nchw" else (-1, height, width, channels)
    weights = np.broadcast_to(np.asarray(spec.std, dtype=np.float32), (channels,))
    if channels == len(LUMA):
        weights = weights * np.asarray(LUMA, dtype=np.float32)
    pixels = tensor.reshape(shape).astype(np.float32, copy=False)
    grey = np.tensordot(pixels, weights, axes=(1 if spec.layout == "nchw" else 3, 0))
    return _named(PICTURES, pictures(grey.astype(np.float32, copy=False)))


def by_pictures(plain: Sequence[Pixels]) -> list[Sketch | None]:
    """By pictures that were read as PLAIN says."""
    if not plain:
        return []
    tensor = np.frombuffer(b"".join(one.data for one in plain), dtype=np.uint8).astype(np.float32)
    return by_pixels(tensor.reshape(len(plain), -1), PLAIN)


def by_sounds(sounds: Sequence[Tensor], rate: int) -> list[Sketch | None]:
    """By how loud each band is at each of SIDE times, as a picture; shape of a sound: (samples,).

    Bands are even in the logarithm of the frequency, loudness is logarithmic: how loud the whole is does not matter.
    """
    found: list[Sketch | None] = []
    for one in sounds:
        drawn = _drawn(one.astype(np.float32, copy=False), rate)
        found += [None] if drawn is None else _named(SOUNDS, pictures(drawn[None]))
    return found


def _drawn(samples: Tensor, rate: int) -> NDArray[np.float32] | None:
    """Shape (SIDE, SIDE), times by bands; None: shorter than a frame."""
    long = int(FRAME_S * rate)
    if len(samples) < long:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(samples, long)[:: long // 2]
    power = np.abs(np.fft.rfft(frames * np.hanning(long).astype(np.float32), axis=1)) ** 2
    edges = np.geomspace(LOWEST_HZ, min(HIGHEST_HZ, rate / 2), SIDE + 1) * FRAME_S
    bands = _between(power.T, edges)
    times = _between(bands.T, np.linspace(0.0, len(frames), SIDE + 1))
    found: NDArray[np.float32] = np.log(times + QUIET * times.max() + 1e-12).astype(np.float32)
    return found


def _between(rows: Tensor, edges: Tensor) -> Tensor:
    """The mean of the rows between each two edges; a row counts by how much of it lies there."""
    total = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0, dtype=np.float64)])
    whole = np.minimum(edges.astype(np.intp), len(rows) - 1)
    at = total[whole] + (edges - whole)[:, None] * rows[whole]
    return np.asarray((at[1:] - at[:-1]) / np.diff(edges)[:, None])


def _named(space: str, found: list[bytes | None]) -> list[Sketch | None]:
    return [None if one is None else unchecked(Sketch, space=space, bits=one.hex()) for one in found]
