"""The files of a job directory, for both sides."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter

from services.prelabel.training.domain.encoders import Encoder
from shared.errors import LabelstreamError
from shared.events import Content, Manifest
from shared.events.projects import DataKind
from shared.labels import LabelSchema

JOB, TRAIN, CONTENTS = "job.json", "train.parquet", "contents.parquet"
MODEL, MANIFEST, REPORT = "model.onnx", "manifest.json", "report.json"
OWN, ANSWERS, REFUSED = "own.parquet", "answers.parquet", "refused.json"

Floats = NDArray[np.float64]
_CONTENT: TypeAdapter[Content] = TypeAdapter(Content)


class Refused(LabelstreamError):  # noqa: N818  # it is what happened
    """Nothing can be learned from this data, or asked of this model: why."""


class Job(BaseModel):
    """job.json: what is to be done."""

    model_config = ConfigDict(frozen=True)

    project: str
    data: DataKind
    label: LabelSchema
    seed: int
    largest_picture: int = 24
    image_max_pixels: int = 50_000_000
    encoder: Encoder | None = None

    def write(self, directory: Path) -> None:
        (directory / JOB).write_text(self.model_dump_json(indent=1))

    @classmethod
    def read(cls, directory: Path) -> "Job":
        return cls.model_validate_json((directory / JOB).read_bytes())


class Report(BaseModel):
    """report.json: figures for the model's card."""

    model_config = ConfigDict(frozen=True)

    learner: str = ""
    metrics: dict[str, float] = {}


def write_table(path: Path, columns: Mapping[str, Any]) -> None:
    """Columns of equal length as Parquet; the same columns always give the same bytes.

    `content` is text, a content as JSON; `probabilities` a list of numbers; `weight` a number; the rest is text.
    """
    kinds = {"weight": pa.float64(), "probabilities": pa.list_(pa.float64())}
    arrays = {name: pa.array(values, kinds.get(name, pa.string())) for name, values in columns.items()}
    partial = path.with_name(f".{path.name}.partial")
    pq.write_table(pa.table(arrays), partial, compression="zstd")
    partial.replace(path)


def read_columns(path: Path, *names: str) -> list[list[Any]]:
    """Columns of a Parquet file, as lists."""
    table = pq.read_table(path, columns=list(names))
    return [table.column(name).to_pylist() for name in names]


def read_contents(texts: Sequence[str]) -> list[Content]:
    """Contents from their JSON."""
    return [_CONTENT.validate_json(text) for text in texts]


def read_manifest(directory: Path) -> Manifest:
    """What a training says of its model.

    Raises:
        Refused: there is none, or it is not valid.
    """
    try:
        return Manifest.model_validate_json((directory / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise Refused(f"the training wrote no valid {MANIFEST}: {error}") from error


def read_report(directory: Path) -> Report:
    """The figures that a training gives; none where it gives none, or what is not one."""
    try:
        return Report.model_validate_json((directory / REPORT).read_bytes())
    except (OSError, ValueError):
        return Report()


def write_refusal(directory: Path, why: str) -> None:
    (directory / REFUSED).write_text(json.dumps({"why": why}))


def read_refusal(directory: Path) -> str | None:
    """Why a child could not do it, where it said so."""
    try:
        return str(json.loads((directory / REFUSED).read_bytes())["why"])
    except (OSError, ValueError, KeyError):
        return None
