"""The demo's models, by the trainer's own code: what it fits for pictures, calibrated and exported to ONNX."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from cli.demo.digits import CLASSES, Picture
from services.prelabel.training.work.files import MODEL, TRAIN, Job, read_manifest, write_table
from services.prelabel.training.work.fit import fit
from shared.events import Manifest
from shared.events.items import content_hash
from shared.labels import ChoiceSchema


def train(pictures: Sequence[Picture], labels: Sequence[str], file: Path, *, seed: int) -> Manifest:
    """Fit a classifier and write it as ONNX.

    Args:
        pictures: what to learn from.
        labels: what people or the gold set say they show, aligned with `pictures`.
        file: where the model goes.
        seed: of everything drawn.

    Returns:
        How to feed it and read it.
    """
    names = [content_hash(picture.content) for picture in pictures]
    columns = {
        "content_hash": names,
        "content": [picture.content.model_dump_json(exclude_none=True) for picture in pictures],
        "label": list(labels),
        "weight": [1.0] * len(names),
        "group": names,
    }
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        Job(project="demo", data="image", label=ChoiceSchema(classes=CLASSES), seed=seed).write(place)
        write_table(place / TRAIN, columns)
        fit(place)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((place / MODEL).read_bytes())
        return read_manifest(place)
