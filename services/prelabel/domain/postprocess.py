"""A model's rows to predictions: distribution, confidence, margin, entropy."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from services.prelabel.domain.decoding import Answer
from services.prelabel.domain.questions import Abstained, Identity, Question
from services.prelabel.domain.sketching import Sketches, nothing
from shared.events import Abstention, Decoder, Manifest, Prediction, Sketch, unchecked
from shared.labels import (
    Choice,
    Choices,
    ChoicesSchema,
    LabelSchema,
    LabelValue,
    ObjectSchema,
    Rating,
    RatingSchema,
    check_label,
    class_set,
    names_of,
)

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MASS_TOLERANCE = 1e-3
NEGATIVE_TOLERANCE = 1e-6
SIGNIFICANT_DIGITS = 7
TINIEST = 1e-300


@dataclass(frozen=True, slots=True)
class Head:
    """How to read a row: the classes in the order of its columns, each with the label it stands for.

    `values` is empty where a decoder makes the labels.
    """

    classes: tuple[str, ...]
    values: tuple[LabelValue, ...]
    output: Literal["probabilities", "logits"]
    temperature: float

    @classmethod
    def of(cls, manifest: Manifest, schema: LabelSchema) -> "Head":
        """The model's classes in the project's present names: a rename does not stop a model that learned the old ones.

        Raises:
            ValueError: a class of the model is no label of the project, or its decoder makes labels of another kind.
        """
        if manifest.decoder is not None:
            return cls(_classes_of_objects(manifest.classes, manifest.decoder, schema), (), "probabilities", 1.0)
        classes = tuple(map(names_of(schema).symbol, manifest.classes))
        if len(set(classes)) != len(classes):
            raise ValueError("the manifest names a class twice")
        values = tuple(label_value(name, schema) for name in classes)
        return cls(classes, values, manifest.output, manifest.temperature)


@dataclass(frozen=True, slots=True)
class Scores:
    """Read rows, one entry per row; `ok` is false where a row is no distribution.

    `probabilities` has shape (rows, classes); `best`, `margin`, `entropy` (nats) and `ok` have shape (rows,).
    """

    probabilities: Floats
    best: NDArray[np.intp]
    margin: Floats
    entropy: Floats
    ok: Flags


def _classes_of_objects(classes: tuple[str, ...], decoder: Decoder, schema: LabelSchema) -> tuple[str, ...]:
    if schema.kind != decoder.makes:
        raise ValueError(f"a decoder of {decoder.kind} makes {decoder.makes}, the project asks for {schema.kind}")
    if isinstance(schema, ObjectSchema):
        known = class_set(schema.classes)
        for name in classes:
            if name not in known:
                raise ValueError(f"{name!r} is not a class of the project (it has {len(known)})")
    if len(set(classes)) != len(classes):
        raise ValueError("the manifest names a class twice")
    return classes


def label_value(name: str, schema: LabelSchema) -> LabelValue:
    """The label that a class, by its present name or a former one, stands for; else the inverse of `category`.

    Raises:
        ValueError: the name is no label of the project.
    """
    value: LabelValue
    if isinstance(schema, RatingSchema):
        value = Rating(rating=float(name))
    elif isinstance(schema, ChoicesSchema):
        value = Choices(choices=tuple(part for part in name.split("|") if part))
    else:
        value = Choice(choice=name)
    value = names_of(schema).value(value)
    check_label(value, schema)
    return value


def _to_significant(p: Floats) -> Floats:
    """Seven significant digits: all that a float32 model knows, and half the bytes on the wire."""
    kept = np.where(p < TINIEST, 0.0, p)
    exponent = np.floor(np.log10(np.maximum(kept, TINIEST)))
    scale = 10.0 ** (SIGNIFICANT_DIGITS - 1 - exponent)
    return np.minimum(np.round(kept * scale) / scale, 1.0)


def read_rows(rows: NDArray[Any], head: Head) -> Scores:
    """Read a model's output.

    Args:
        rows: shape (rows, classes); probabilities or logits, as the head says.
        head: the temperature T gives softmax(logits / T), where probabilities stand for the logits log(p)
            (Guo et al. 2017, On Calibration of Modern Neural Networks).
    """
    raw = np.asarray(rows, dtype=np.float64)
    ok: Flags = np.asarray(np.isfinite(raw).all(axis=1))
    if head.output == "probabilities":
        with np.errstate(invalid="ignore"):
            ok &= (raw >= -NEGATIVE_TOLERANCE).all(axis=1) & (np.abs(raw.sum(axis=1) - 1.0) <= MASS_TOLERANCE)
    p = np.where(ok[:, None], raw, 1.0 if head.output == "logits" else 1.0 / raw.shape[1])
    if head.output == "probabilities":
        p = np.maximum(p, 0.0)
        p /= p.sum(axis=1, keepdims=True)
    if head.output == "logits" or head.temperature != 1.0:
        with np.errstate(divide="ignore"):
            logits = (p if head.output == "logits" else np.log(p)) / head.temperature
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
    logs = np.log(np.maximum(p, TINIEST))
    entropy = np.maximum(-(p * logs).sum(axis=1), 0.0)
    p = _to_significant(p)
    top = np.partition(p, -2, axis=1)[:, -2:]
    margin = np.round(top[:, 1] - top[:, 0], SIGNIFICANT_DIGITS)
    return Scores(p, p.argmax(axis=1), margin, np.round(entropy, SIGNIFICANT_DIGITS), ok)


def propose(
    questions: Sequence[Question],
    scores: Scores,
    head: Head,
    identity: Identity,
    predicted_at: datetime,
    *,
    sketches: Sketches | None = None,
) -> list[Prediction | Abstained]:
    """One prediction per row; a row that is no distribution abstains."""
    columns = zip(
        questions,
        *(sketches or nothing(len(questions))),
        scores.probabilities.tolist(),
        scores.best.tolist(),
        scores.margin.tolist(),
        scores.entropy.tolist(),
        scores.ok.tolist(),
        strict=True,
    )
    bad = Abstained(Abstention.BAD_OUTPUT, f"model {identity.version} answered with NaN, infinity or no distribution")
    return [
        unchecked(
            Prediction,
            project_id=question.project_id,
            item_id=question.item_id,
            value=head.values[best],
            distribution=dict(zip(head.classes, row, strict=True)),
            confidence=row[best],
            margin=margin,
            entropy=entropy,
            model_version=identity.version,
            generation=identity.generation,
            source=question.along.source,
            client=question.along.client,
            slice=question.along.slice,
            held_out=question.held_out,
            sketch=sketch,
            features=features,
            item_created_at=question.created_at,
            predicted_at=predicted_at,
        )
        if ok
        else bad
        for question, sketch, features, row, best, margin, entropy, ok in columns
    ]


def propose_objects(
    questions: Sequence[Question],
    answers: Sequence[Answer],
    identity: Identity,
    predicted_at: datetime,
    *,
    sketches: Sketches | None = None,
) -> list[Prediction | Abstained]:
    """One prediction per decoded row, with the confidence of each of its objects; who has no answer abstains."""
    return [
        answer
        if isinstance(answer, Abstained)
        else unchecked(
            Prediction,
            project_id=question.project_id,
            item_id=question.item_id,
            value=answer.value,
            confidence=answer.confidence,
            object_scores=None if answer.value.kind == "transcript" else answer.scores,
            model_version=identity.version,
            generation=identity.generation,
            source=question.along.source,
            client=question.along.client,
            slice=question.along.slice,
            held_out=question.held_out,
            sketch=sketch,
            features=features,
            item_created_at=question.created_at,
            predicted_at=predicted_at,
        )
        for question, answer, sketch, features in zip(
            questions, answers, *(sketches or nothing(len(questions))), strict=True
        )
    ]


def abstain(
    question: Question, why: Abstained, identity: Identity, predicted_at: datetime, sketch: Sketch | None = None
) -> Prediction:
    """The prediction that proposes nothing, with its reason and the model, if any, that could not answer."""
    return Prediction(
        project_id=question.project_id,
        item_id=question.item_id,
        abstention=why.reason,
        detail=why.detail[:2000],
        model_version=identity.version,
        generation=identity.generation,
        source=question.along.source,
        client=question.along.client,
        held_out=question.held_out,
        sketch=sketch,
        item_created_at=question.created_at,
        predicted_at=predicted_at,
    )
