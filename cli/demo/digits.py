"""Scikit-learn's handwritten digits (1,797 images of 8 x 8 pixels) as items: real data that needs no network."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from shared.events import MediaContent

SIZE = 8
DEPTH = 16
CLASSES = tuple(str(digit) for digit in range(10))


@dataclass(frozen=True, slots=True)
class Picture:
    """One handwritten digit; `pixels` are `SIZE * SIZE` shares of full ink, `truth` is what its writer meant."""

    name: str
    pixels: NDArray[np.float32]
    truth: str
    content: MediaContent


@dataclass(frozen=True, slots=True)
class Digits:
    """The images, split by seed: a small labelled set to train on, gold to test people with, and the stream."""

    training: Sequence[Picture]
    gold: Sequence[Picture]
    stream: Sequence[Picture]


def load(*, training: int, gold: int, stream: int | None, seed: int) -> Digits:
    """Draw the three sets, disjoint.

    Args:
        training: how many images to train on.
        gold: how many to test people with.
        stream: how many to stream; None for all that are left.
        seed: of the order.
    """
    images, truths = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(images))
    pictures = [_picture(int(place), images[place], str(truths[place])) for place in order]
    rest = pictures[training + gold :]
    return Digits(pictures[:training], pictures[training : training + gold], rest[:stream])


def _picture(place: int, image: NDArray[np.float64], truth: str) -> Picture:
    levels = np.round(image / DEPTH * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels.reshape(SIZE, SIZE)).save(buffer, format="PNG")
    content = MediaContent(kind="image", data=base64.b64encode(buffer.getvalue()).decode(), media_type="image/png")
    return Picture(f"digit-{place:04d}", (levels / 255).astype(np.float32), truth, content)
