"""Sketches of a batch's items: by the model's own features where it gives them, else by the pictures themselves."""

import numpy as np

from services.prelabel.domain.preprocess import Tensor
from shared.events import ImageInput, Sketch, unchecked
from shared.events.models import ModelInput
from shared.sketches import pictures, sketches

PICTURES = "pictures/1"
"""The space of `shared.sketches.pictures`: changes with it."""
LUMA = (0.299, 0.587, 0.114)


def by_features(features: Tensor, sha256: str) -> list[Sketch | None]:
    """By what a model says of each, shape (rows, ...): two versions of one model file share a space."""
    rows = features.reshape(len(features), -1)
    return _named(f"model/{sha256[:16]}", sketches(rows, centred=True))


def by_content(tensor: Tensor, spec: ModelInput) -> list[Sketch | None]:
    """By the pictures that a model reads, as they are laid out in its input; None of anything else.

    The pixels are what they were before the manifest's mean and std, but for brightness, so that another model's are
    compared with these.
    """
    if not isinstance(spec, ImageInput):
        return [None] * len(tensor)
    height, width, channels = spec.height, spec.width, spec.channels
    shape = (-1, channels, height, width) if spec.layout == "nchw" else (-1, height, width, channels)
    weights = np.broadcast_to(np.asarray(spec.std, dtype=np.float32), (channels,))
    if channels == len(LUMA):
        weights = weights * np.asarray(LUMA, dtype=np.float32)
    pixels = tensor.reshape(shape).astype(np.float32, copy=False)
    grey = np.tensordot(pixels, weights, axes=(1 if spec.layout == "nchw" else 3, 0))
    return _named(PICTURES, pictures(grey.astype(np.float32, copy=False)))


def _named(space: str, found: list[bytes | None]) -> list[Sketch | None]:
    return [None if one is None else unchecked(Sketch, space=space, bits=one.hex()) for one in found]
