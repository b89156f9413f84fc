"""Which copies are found: digits and pieces of photographs, changed a little, among their originals; and what it costs.

Each item is told to `Surroundings` as assignment does it, the originals before their copies. An original that counts as
a copy is a false alarm: of digits many are, for people write alike.
"""

import io
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from sklearn.datasets import load_digits, load_sample_images
from sklearn.neural_network import MLPClassifier

from services.assignment.domain.centres import Centres
from services.assignment.domain.neighbours import WINDOW, Neighbours, words_of
from services.assignment.domain.spread import Space
from shared.sketches import pictures, sketches

Floats = NDArray[Any]
Sketcher = Callable[[Floats], list[bytes | None]]
PIECE, STEP, EDGE = 80, 40, 8
DRAW = np.random.default_rng(1)


def _each(change: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    return lambda several: np.stack([change(one) for one in several])


def _noise(share: float) -> Callable[[Floats], Floats]:
    return lambda several: np.clip(several + DRAW.normal(0, share, several.shape), 0, 1)


def _turned(degrees: float, edge: str = "grid-constant") -> Callable[[Floats], Floats]:
    return _each(lambda one: ndimage.rotate(one, degrees * DRAW.choice([-1, 1]), reshape=False, order=1, mode=edge))


def _moved(pixels: float, edge: str = "grid-constant") -> Callable[[Floats], Floats]:
    return _each(lambda one: ndimage.shift(one, pixels * DRAW.choice([-1, 1], 2), order=1, mode=edge))


def _packed(one: Floats) -> Floats:
    held = io.BytesIO()
    Image.fromarray((one * 255).astype(np.uint8)).save(held, "JPEG", quality=30)
    return np.asarray(Image.open(held)) / 255.0


def _smaller(one: Floats) -> Floats:
    return np.asarray(Image.fromarray((one * 255).astype(np.uint8)).resize((40, 40))) / 255.0


DIGITS: Mapping[str, Callable[[Floats], Floats]] = {
    "noise of 3 % of full ink": _noise(0.03),
    "noise of 6 %": _noise(0.06),
    "half the contrast": lambda several: several * 0.5 + 0.2,
    "turned by 2 degrees": _turned(2),
    "turned by 5 degrees": _turned(5),
    "moved by 0.1 pixels of 8": _moved(0.1),
    "moved by 0.25 pixels of 8": _moved(0.25),
}
PHOTOGRAPHS: Mapping[str, Callable[[Floats], Floats]] = {
    "JPEG of quality 30": _each(_packed),
    "half the size": _each(_smaller),
    "half the contrast": lambda several: several * 0.5 + 0.2,
    "noise of 3 %": _noise(0.03),
    "turned by 2 degrees": _turned(2, "nearest"),
    "turned by 5 degrees": _turned(5, "nearest"),
    "moved by 1 pixel of 80": _moved(1, "nearest"),
    "moved by 2 pixels of 80": _moved(2, "nearest"),
}


def digits() -> Floats:
    """1,797 of 8 x 8, 0 to 1."""
    return np.asarray(load_digits().images / 16)


def pieces() -> Floats:
    """Of two photographs, overlapping by half at most, 80 x 80, grey, 0 to 1."""
    found = []
    for image in load_sample_images().images:
        grey = np.asarray(Image.fromarray(image).convert("L")) / 255.0
        tops, lefts = (range(EDGE, size - PIECE - EDGE, STEP) for size in grey.shape)
        found += [grey[top : top + PIECE, left : left + PIECE] for top in tops for left in lefts]
    return np.stack(found)


def by_pictures(several: Floats) -> list[bytes | None]:
    """As prelabel does for a model without features."""
    return pictures(several.astype(np.float32))


def by_hidden_layer() -> Sketcher:
    """The features of a network that learned the digits' classes: 100 numbers."""
    images, truths = load_digits(return_X_y=True)
    network = MLPClassifier((100,), max_iter=60, random_state=1).fit(images / 16, truths)

    def sketch(several: Floats) -> list[bytes | None]:
        hidden = np.maximum(0.0, several.reshape(len(several), -1) @ network.coefs_[0] + network.intercepts_[0])
        return sketches(hidden, centred=True)

    return sketch


def near(space: Space, several: list[bytes | None]) -> Floats:
    """How near each is to what came before, 0 to 1."""
    return np.array([space.nearness(words_of(one)) for one in several if one is not None])


def found(originals: Floats, changes: Mapping[str, Callable[[Floats], Floats]], sketch: Sketcher) -> dict[str, float]:
    """The share that counts as copies by half at least: of the originals (false alarms), and of each kind of copies.

    Precision: of all that counts so, where each original has one copy of that kind.
    """
    own = sketch(originals)
    alarms = float(np.mean(near(_space(), own) >= 0.5))
    told = {"originals": alarms}
    for name, change in changes.items():
        space = _space()
        near(space, own)
        recall = float(np.mean(near(space, sketch(change(originals))) >= 0.5))
        told[name] = recall
        told[f"{name}, precision"] = recall / max(1e-9, recall + alarms)
    return told


def _space() -> Space:
    return Space(Neighbours(), Centres())


def cost(number: int) -> tuple[float, float]:
    """Microseconds an item, and MB, after so many different items."""
    space, draw = _space(), np.random.default_rng(number)
    for _ in range(number):
        space.near.add(words_of(draw.bytes(32)))
    asked = [words_of(draw.bytes(32)) for _ in range(2000)]
    started = time.process_time()
    for one in asked:
        space.nearness(one)
        space.far.cover(one)
    return (time.process_time() - started) / len(asked) * 1e6, space.near.size_bytes / 1e6


async def measure() -> dict[str, float]:
    """The tables; returns figures by name."""
    console, told = Console(width=110), dict[str, float]()
    cases = (
        ("digits by their pixels", digits(), DIGITS, by_pictures),
        ("digits by a model's features (not used for this)", digits(), DIGITS, by_hidden_layer()),
        ("photographs", pieces(), PHOTOGRAPHS, by_pictures),
    )
    for about, originals, changes, sketch in cases:
        shares = found(originals, changes, sketch)
        table = Table("copies", "found", "precision", box=None, title=f"{about}, {len(originals)} originals")
        for name in changes:
            table.add_row(name, f"{shares[name]:.1%}", f"{shares[f'{name}, precision']:.1%}")
        table.add_row("originals taken for copies", f"{shares['originals']:.1%}", "")
        console.print(table)
        told |= {f"likeness {about}: {name}": share for name, share in shares.items()}
    for number in (2_000, WINDOW, 2 * WINDOW):
        micros, size = cost(number)
        console.print(f"after {number:,} items: {micros:.0f} us an item, {size:.1f} MB")
        told |= {f"likeness_us_{number}": micros, f"likeness_mb_{number}": size}
    return told
