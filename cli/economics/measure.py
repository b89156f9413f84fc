"""How good a model is, by the truth, on items that it has never seen: the side of the split that is held out."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from cli.economics.contents import Contents
from services.prelabel.domain.questions import Question
from services.prelabel.store.files import read_model
from services.prelabel.store.inference import Work, predict
from services.prelabel.store.sessions import load_model
from shared.events import ModelVersion, ProjectSpec, Training, content_hash
from shared.heldout import group_of, is_held_out
from shared.labels import category

AT_MOST = 5000
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def model_accuracy(
    version: ModelVersion, spec: ProjectSpec, contents: Contents, truth: Mapping[str, str], directory: Path
) -> float | None:
    """The share of held-out contents of known truth that a model labels right.

    Runs in a thread.

    Args:
        version: as registered.
        spec: of its project; without `training` nothing is held out.
        contents: of all tasks.
        truth: task -> class.
        directory: of model files.

    Returns:
        None where no content is held out whose truth is known.
    """
    training = spec.training
    if training is None:
        return None
    tasks = held_out(spec.project, training, contents, truth)[:AT_MOST]
    if not tasks:
        return None
    content = read_model(
        version.uri, sha256=version.sha256, size_bytes=version.size_bytes, directory=directory,
        max_bytes=version.size_bytes,
    )  # fmt: skip
    model = load_model(content, version, generation=0, schema=spec.label)
    questions = [Question(spec.project, task, contents.by_task[task], EPOCH) for task in tasks]
    said = predict(questions, model, {}, why_no_model="", predicted_at=EPOCH, max_pixels=1, work=Work())
    right = sum(one.value is not None and category(one.value) == truth[one.item_id] for one in said)
    return right / len(tasks)


def held_out(project_id: str, training: Training, contents: Contents, truth: Mapping[str, str]) -> list[str]:
    """The tasks of known truth that the trainer holds out, in their order."""
    seed, share = training.holdout_seed or project_id, training.holdout_share
    groups = {task: group_of(contents.groups.get(task), content_hash(contents.by_task[task])) for task in truth}
    return [task for task in sorted(truth) if is_held_out(seed, groups[task], share)]
