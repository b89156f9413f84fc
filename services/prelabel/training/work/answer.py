"""Ask a model about contents, exactly as prelabel would: its own loading, preparing and reading."""

from datetime import UTC, datetime
from pathlib import Path

from services.prelabel.domain.questions import Question
from services.prelabel.store.files import ModelRefused, sha256_of
from services.prelabel.store.inference import Work, predict
from services.prelabel.store.sessions import load_model
from services.prelabel.training.work.files import (
    ANSWERS,
    CONTENTS,
    MODEL,
    Job,
    Refused,
    read_columns,
    read_contents,
    read_manifest,
    write_table,
)
from shared.events import ModelVersion
from shared.labels import category

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def answer(directory: Path) -> None:
    """Write what the model in the directory says of its contents; an abstention is an empty category.

    Raises:
        Refused: prelabel would refuse the model.
    """
    job, manifest, content = Job.read(directory), read_manifest(directory), (directory / MODEL).read_bytes()
    version = ModelVersion(
        project_id=job.project,
        version="asked",
        uri="file:///asked",
        sha256=sha256_of(content),
        size_bytes=len(content),
        manifest=manifest,
        registered_at=EPOCH,
    )
    try:
        model = load_model(content, version, generation=0, schema=job.label)
    except ModelRefused as error:
        raise Refused(str(error)) from error
    hashes, texts = read_columns(directory / CONTENTS, "content_hash", "content")
    questions = [
        Question(job.project, name, content, EPOCH) for name, content in zip(hashes, read_contents(texts), strict=True)
    ]
    found = predict(
        questions, model, {}, why_no_model="", predicted_at=EPOCH, max_pixels=job.image_max_pixels, work=Work()
    )
    write_table(
        directory / ANSWERS,
        {
            "content_hash": hashes,
            "category": ["" if one.value is None else category(one.value) for one in found],
            "probabilities": [list((one.distribution or {}).values()) for one in found],
        },
    )
