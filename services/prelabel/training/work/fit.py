"""The built-in training: compare, choose, calibrate, fit on everything, write the model."""

import hashlib
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from services.prelabel.training.work.encoding import encode, output_of
from services.prelabel.training.work.files import (
    MANIFEST,
    MODEL,
    OWN,
    REPORT,
    TRAIN,
    Job,
    Refused,
    Report,
    read_columns,
    read_contents,
    write_table,
)
from services.prelabel.training.work.graphs import HEAD_LOGITS, INPUT, Part, as_model, behind
from services.prelabel.training.work.learners import Fitted, Floats, Integers, Learner, learners
from services.prelabel.training.work.tensors import Table, as_table, choose_input
from services.prelabel.training.work.text import Vocabulary, cut
from shared.events import FeaturesInput, Manifest, TextInput
from shared.events.models import ModelInput

FOLDS, FEW_FOLDS, MANY_ROWS = 4, 2, 4000
LEAST_OF_A_CLASS = 2
MOST_OWN = 500
ROUNDED = 4
Parts = Sequence[tuple[Integers, Integers]]
"""Rows to learn from and rows to ask about, of each fold."""


@dataclass(frozen=True, slots=True)
class Data:
    """What can be learned from: `answers` are places in `classes`, `groups` are never split."""

    table: Any
    answers: Integers
    weights: Floats
    groups: NDArray[Any]
    classes: tuple[str, ...]


def fit(directory: Path) -> None:
    """Read a job, write its model; on one thread, so that the sums are added in one order.

    Raises:
        Refused: there is nothing to learn from.
    """
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        _fit(directory)


def _fit(directory: Path) -> None:
    job = Job.read(directory)
    hashes, texts, labels, weights, groups = read_columns(
        directory / TRAIN, "content_hash", "content", "label", "weight", "group"
    )
    contents = read_contents(texts)
    spec = job.encoder.input if job.encoder is not None else choose_input(contents, job)
    read = as_table(contents, spec, job)
    kept = _enough(labels, read)
    documents = list(cut(read.rows)) if isinstance(spec, TextInput) and job.encoder is None else None
    classes = tuple(sorted({labels[read.kept[row]] for row in kept}))
    if len(classes) < 2:  # noqa: PLR2004
        raise Refused(f"labels of one class only: {', '.join(classes) or 'none'}")
    rows = np.array(kept)
    encoded = encode(job.encoder, read.rows[rows]) if job.encoder is not None else None
    vocabulary = Vocabulary.of([documents[row] for row in kept]) if documents is not None else None
    if encoded is not None:
        table: Any = encoded
    elif vocabulary is not None and documents is not None:
        table = vocabulary.table([documents[row] for row in kept])
    else:
        table = read.rows[rows].astype(np.float64)
    data = Data(
        table=table,
        answers=np.array([classes.index(labels[read.kept[row]]) for row in kept], dtype=np.intp),
        weights=np.array([weights[read.kept[row]] for row in kept], dtype=np.float64),
        groups=np.array([groups[read.kept[row]] for row in kept], dtype=object),
        classes=classes,
    )
    compared = learners(job.data, table, encoded=encoded is not None, scale=_scale(spec, job))
    chosen, report, temperature = choose(data, compared, job.seed)
    fitted = chosen.fit(data.table, data.answers, data.weights, job.seed)
    content, output = export(fitted, job, data, vocabulary)
    (directory / MODEL).write_bytes(content)
    manifest = Manifest(input=spec, classes=classes, output=output, temperature=temperature)
    manifest = manifest.model_copy(update=_features(job))
    (directory / MANIFEST).write_text(manifest.model_dump_json(exclude_none=True))
    (directory / REPORT).write_text(report.model_dump_json())
    _write_own(directory, [hashes[read.kept[row]] for row in kept], fitted, data, temperature)


def _scale(spec: ModelInput, job: Job) -> Floats | None:
    """By what features were divided that are learned from as they are; None for all else."""
    if not isinstance(spec, FeaturesInput) or spec.scale is None or job.encoder is not None:
        return None
    return np.array(spec.scale)


def _features(job: Job) -> dict[str, str]:
    """Where a model's manifest finds its features: an encoder's, which compare whatever head is behind it."""
    if job.encoder is None:
        return {}
    space = f"encoder/{hashlib.sha256(job.encoder.path.read_bytes()).hexdigest()[:16]}"
    return {"output_name": HEAD_LOGITS, "features_output": output_of(job.encoder), "features_space": space}


def _enough(labels: Sequence[str], read: Table) -> list[int]:
    """The rows of classes that have more than one of them: of one alone nothing can be said."""
    counts = Counter(labels[place] for place in read.kept)
    return [row for row, place in enumerate(read.kept) if counts[labels[place]] >= LEAST_OF_A_CLASS]


@dataclass(frozen=True, slots=True)
class Compared:
    """A learner by what it says out of fold: `logits` of shape (n, classes), of the rows that are `known`."""

    learner: Learner
    logits: Floats
    known: NDArray[np.bool_]
    temperature: float
    loss: float


def choose(data: Data, compared: Sequence[Learner], seed: int) -> tuple[Learner, Report, float]:
    """The learner of the least weighted log loss out of fold, its figures, and the temperature that its logits want.

    A group is never split between folds. The temperature is fitted on the same predictions out of fold: each is of a
    row that its model did not see (Guo et al. 2017).
    """
    folds = FOLDS if len(data.answers) <= MANY_ROWS else FEW_FOLDS
    folds = max(2, min(folds, len(set(data.groups.tolist()))))
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class of fewer rows than folds
        parts = list(splitter.split(np.zeros(len(data.answers)), data.answers, data.groups))
    best = _best(data, compared, parts, seed)
    if best is None:
        raise Refused("the labels do not suffice to compare models: too few groups of each class")
    known, weights = best.known, data.weights[best.known]
    accuracy = float(np.average(best.logits[known].argmax(axis=1) == data.answers[known], weights=weights))
    metrics = {"cv_log_loss": round(best.loss, 6), "cv_accuracy": round(accuracy, 6), "rows": float(len(data.answers))}
    return best.learner, Report(learner=best.learner.name, metrics=metrics), best.temperature


def _best(data: Data, compared: Sequence[Learner], parts: Parts, seed: int) -> Compared | None:
    """The best of all, the first of equals, after the best of those that name something `further` was refined."""
    found = [one for learner in compared if (one := _compared(data, learner, parts, seed)) is not None]
    refined = min((one for one in found if one.learner.further), key=_rounded_loss, default=None)
    further = refined.learner.further if refined is not None else ()
    while refined is not None and further:
        finer = _compared(data, further[0], parts, seed)
        if finer is not None and _rounded_loss(finer) < _rounded_loss(refined):
            refined, further = finer, finer.learner.further
        else:
            further = further[1:]
    return min((*found, *((refined,) if refined is not None else ())), key=_rounded_loss, default=None)


def _rounded_loss(one: Compared) -> float:
    return round(one.loss, 6)


def _compared(data: Data, learner: Learner, parts: Parts, seed: int) -> Compared | None:
    logits, known = _out_of_fold(data, learner, parts, seed)
    if not known.any():
        return None
    said, answers, weights = logits[known], data.answers[known], data.weights[known]
    temperature = _temperature(said, answers, weights)
    return Compared(learner, logits, known, temperature, _loss(said / temperature, answers, weights))


def _out_of_fold(data: Data, learner: Learner, parts: Parts, seed: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Logits of each row by a model that did not see it, and of which rows there are any."""
    classes = len(data.classes)
    logits, known = np.zeros((len(data.answers), classes)), np.zeros(len(data.answers), dtype=bool)
    for learn, test in parts:
        present = np.unique(data.answers[learn])
        if len(present) < 2 or not len(test):  # noqa: PLR2004
            continue
        places = np.searchsorted(present, data.answers[learn])
        fitted = learner.fit(data.table[learn], places, data.weights[learn], seed)
        found = fitted.logits(data.table[test])
        absent = found.min(axis=1, keepdims=True) - 5.0
        full = np.repeat(absent, classes, axis=1)
        full[:, present] = found
        logits[test], known[test] = full, True
    return logits, known


def _loss(logits: Floats, answers: Integers, weights: Floats) -> float:
    picked = log_softmax(logits, axis=1)[np.arange(len(answers)), answers]
    return float(-np.average(picked, weights=weights))


def _temperature(logits: Floats, answers: Integers, weights: Floats) -> float:
    found = minimize_scalar(
        lambda log: _loss(logits / np.exp(log), answers, weights), bounds=(-3.0, 3.0), method="bounded"
    )
    return round(float(np.exp(found.x)), ROUNDED)


def export(fitted: Fitted, job: Job, data: Data, vocabulary: Vocabulary | None) -> tuple[bytes, Any]:
    """The model as ONNX, and whether it gives logits or probabilities."""
    head, classes, numbers = fitted.head(), len(data.classes), data.table.shape[1]
    if isinstance(head, bytes):
        return head, "probabilities"
    if vocabulary is not None:
        whole = vocabulary.graph()
        whole = Part(whole.nodes + head.nodes, whole.constants + head.constants)
        return as_model(whole, numbers=1, classes=classes, kind=TensorProto.STRING, feeds=INPUT), "logits"
    content = as_model(head, numbers=numbers, classes=classes)
    if job.encoder is not None:
        return behind(job.encoder.path.read_bytes(), output_of(job.encoder), content), "logits"
    return content, "logits"


def _write_own(directory: Path, hashes: Sequence[str], fitted: Fitted, data: Data, temperature: float) -> None:
    """The trainer's own predictions of some of its rows, which the exported model must give too."""
    own = softmax(fitted.logits(data.table[:MOST_OWN]) / temperature, axis=1)
    rows = [dict(zip(data.classes, row, strict=True)) for row in own.tolist()]
    write_table(
        directory / OWN,
        {"content_hash": hashes[:MOST_OWN], "probabilities": [[row[name] for name in data.classes] for row in rows]},
    )
