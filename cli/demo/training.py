"""The demo's models: logistic regression on pixels, exported to ONNX."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cli.demo.digits import SIZE, Picture
from shared.events import ImageInput, Manifest

INPUT = ImageInput(width=SIZE, height=SIZE, channels=1, layout="flat")


def train(pictures: Sequence[Picture], labels: Sequence[str], file: Path, *, seed: int) -> Manifest:
    """Fit a classifier and write it as ONNX.

    Args:
        pictures: what to learn from.
        labels: what people or the gold set say they show, aligned with `pictures`.
        file: where the model goes.
        seed: of the solver.

    Returns:
        How to feed it: pixels divided by 255, flat, shape (batch, 64); probabilities come out, shape (batch, classes).
    """
    classes = sorted(set(labels))
    pixels: NDArray[np.float32] = np.stack([picture.pixels for picture in pictures])
    model = make_pipeline(StandardScaler(with_std=False), LogisticRegression(C=2.0, max_iter=500, random_state=seed))
    model.fit(pixels, [classes.index(label) for label in labels])
    graph = to_onnx(model, pixels[:1], options={"zipmap": False}, target_opset=17)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(graph.SerializeToString())
    return Manifest(input=INPUT, classes=tuple(classes))
