"""What decoding costs an item, in milliseconds of one core: outputs of real sizes, made up."""

import statistics
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from services.prelabel.domain.decoding import Seen, decode
from shared.events import (
    AudioInput,
    BoxesDecoder,
    CtcDecoder,
    Decoder,
    FeaturesInput,
    FramesDecoder,
    ImageInput,
    SemanticMasksDecoder,
    TagsDecoder,
    TokensInput,
)
from shared.events.models import ModelInput

REPEATS = 5
Case = tuple[Decoder, Mapping[str, Any], list[Seen], tuple[str, ...], ModelInput]


def _boxes(draw: np.random.Generator, rows: int = 16, number: int = 8400, objects: int = 50) -> Case:
    """A detector's 8,400 boxes: 50 objects of 20 boxes each, the rest near zero."""
    scores = draw.random((rows, number, 80)) * 0.02
    near = draw.integers(0, objects, number)
    centres = draw.random((rows, objects, 2))
    corners = np.take_along_axis(centres, near[None, :, None].repeat(rows, 0), axis=1) + draw.normal(
        0, 0.002, (rows, number, 2)
    )
    boxes = np.concatenate([corners, np.full((rows, number, 2), 0.03)], axis=2)
    scores[:, : objects * 20, 3] = draw.random((rows, objects * 20)) * 0.7 + 0.3
    classes = tuple(f"c{number}" for number in range(80))
    decoder = BoxesDecoder(boxes="b", scores="s", format="cxcywh", coordinates="normalised")
    return (
        decoder,
        {"b": boxes, "s": scores},
        [Seen(size=(1920, 1080))] * rows,
        classes,
        ImageInput(width=640, height=640),
    )


def _tags(draw: np.random.Generator, rows: int = 64, tokens: int = 128) -> Case:
    text = " ".join(["word"] * tokens)
    offsets = np.array([[5 * place, 5 * place + 4] for place in range(tokens)])
    classes = ("PER", "LOC", "ORG", "MISC")
    seen = [Seen(text=text, offsets=offsets)] * rows
    decoder = TagsDecoder(scores="s", decoding="viterbi")
    return decoder, {"s": draw.normal(0, 3, (rows, tokens, 9))}, seen, classes, TokensInput()


def _masks(draw: np.random.Generator, rows: int = 8) -> Case:
    """Large areas, as a segmenter draws them: noise of 16 x 16 cells, enlarged."""
    table = draw.normal(0, 3, (rows, 20, 16, 16)).repeat(10, axis=2).repeat(10, axis=3)
    classes = tuple(f"c{number}" for number in range(20))
    spec = ImageInput(width=160, height=160)
    return SemanticMasksDecoder(scores="s"), {"s": table}, [Seen(size=(1280, 960))] * rows, classes, spec


def _ctc(draw: np.random.Generator, beam: int, rows: int = 16, frames: int = 500) -> Case:
    """Ten seconds of speech at 50 frames a second: mostly blanks, and surely."""
    table = draw.normal(0, 1, (rows, frames, 32))
    table[:, :, 0] += 6
    table[:, ::7, 5] += 12
    decoder = CtcDecoder(scores="s", alphabet=("", *map(chr, range(97, 97 + 31))), beam=beam)
    return decoder, {"s": table}, [Seen()] * rows, (), FeaturesInput(size=1)


def _frames(draw: np.random.Generator, rows: int = 16, frames: int = 3000) -> Case:
    slow = draw.normal(0, 2, (rows, frames // 50, 10)).repeat(50, axis=1)
    classes = tuple(f"c{number}" for number in range(10))
    return FramesDecoder(scores="s", hop_s=0.02), {"s": slow}, [Seen(seconds=60.0)] * rows, classes, AudioInput()


async def measure() -> dict[str, float]:
    """The median of five, by decoder."""
    draw = np.random.default_rng(5)
    cases = {
        "boxes": _boxes(draw),
        "tags_viterbi": _tags(draw),
        "semantic_masks": _masks(draw),
        "ctc_greedy": _ctc(draw, 1),
        "ctc_beam_16": _ctc(draw, 16),
        "frames": _frames(draw),
    }
    found = {}
    for name, (decoder, outputs, seen, classes, spec) in cases.items():
        held = {key: np.asarray(value, dtype=np.float32) for key, value in outputs.items()}
        taken = []
        for _ in range(REPEATS):
            started = time.process_time()
            answers = decode(held, seen, decoder, classes, spec)
            taken.append((time.process_time() - started) / len(answers))
        found[f"decode_{name}_ms"] = statistics.median(taken) * 1000
    return found
