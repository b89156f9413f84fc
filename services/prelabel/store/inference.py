"""Questions to predictions with one model: prepare a chunk, call the model once, read its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import TypeVar, cast

from services.prelabel.domain.postprocess import abstain, propose, read_rows
from services.prelabel.domain.preprocess import Prepared, Tensor, prepare_features, prepare_pixels, prepare_text
from services.prelabel.domain.questions import NOBODY, Abstained, Question
from services.prelabel.store.images import decode_base64, decode_image
from services.prelabel.store.sessions import LoadedModel
from shared.events import (
    Abstention,
    FeaturesContent,
    FeaturesInput,
    ImageInput,
    MediaContent,
    Prediction,
    TextContent,
    TextInput,
)

T = TypeVar("T")
Answer = Prediction | Abstained
Fetched = Mapping[str, bytes | Abstained]
"""URI -> the pixels of the picture behind it, as `decode_image` gives them, or why there are none."""


@dataclass(slots=True)
class Work:
    """What a batch cost: rows of each model call, and the seconds of each."""

    rows: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def predict(
    questions: Sequence[Question],
    model: LoadedModel | None,
    fetched: Fetched,
    *,
    why_no_model: str,
    predicted_at: datetime,
    max_pixels: int,
    work: Work,
) -> list[Prediction]:
    """One prediction per question, in order, all by the same model. Runs in a thread.

    Args:
        questions: of one project.
        model: None abstains for all of them.
        fetched: the pictures behind the URIs of the questions.
        why_no_model: the detail of the abstention where there is none.
        predicted_at: the moment of the batch.
        max_pixels: largest picture that is decoded.
        work: collects the model calls.
    """
    if model is None:
        reason = Abstained(Abstention.NO_MODEL, why_no_model)
        return [abstain(question, reason, NOBODY, predicted_at) for question in questions]
    kind = model.manifest.input.kind
    answers: dict[int, Answer] = {}
    readable: list[int] = []
    for position, question in enumerate(questions):
        if question.content.kind == kind:
            readable.append(position)
        else:
            detail = f"the item is {question.content.kind}, model {model.identity.version} reads {kind}"
            answers[position] = Abstained(Abstention.CONTENT_KIND, detail)
    size = model.manifest.max_batch
    for start in range(0, len(readable), size):
        chunk = readable[start : start + size]
        asked = [questions[position] for position in chunk]
        found = _predict_chunk(asked, model, fetched, predicted_at, max_pixels=max_pixels, work=work)
        answers.update(zip(chunk, found, strict=True))
    return [
        abstain(question, answer, model.identity, predicted_at) if isinstance(answer, Abstained) else answer
        for question, answer in ((question, answers[position]) for position, question in enumerate(questions))
    ]


def _predict_chunk(
    questions: Sequence[Question],
    model: LoadedModel,
    fetched: Fetched,
    predicted_at: datetime,
    *,
    max_pixels: int,
    work: Work,
) -> list[Answer]:
    prepared = _prepare(questions, model, fetched, max_pixels)
    answers: dict[int, Answer] = dict(prepared.abstained)
    for first, outcome in _run(model, prepared.tensor, 0, work):
        positions = prepared.rows[first : first + (1 if isinstance(outcome, Abstained) else len(outcome))]
        if isinstance(outcome, Abstained):
            answers[positions[0]] = outcome
            continue
        asked = [questions[position] for position in positions]
        found = propose(asked, read_rows(outcome, model.head), model.head, model.identity, predicted_at)
        answers.update(zip(positions, found, strict=True))
    return [answers[position] for position in range(len(questions))]


def _run(model: LoadedModel, tensor: Tensor, first: int, work: Work) -> list[tuple[int, Tensor | Abstained]]:
    """(first row, output rows) of each call that worked; a failing chunk is halved until the culprit stands alone."""
    if len(tensor) == 0:
        return []
    started = perf_counter()
    try:
        rows = model.run(tensor)
        failure = None if rows.shape == (len(tensor), len(model.head.classes)) else f"shape {rows.shape}"
    except Exception as error:  # noqa: BLE001  # the runtime's errors share no base below Exception
        failure = type(error).__name__
    work.rows.append(len(tensor))
    work.seconds.append(perf_counter() - started)
    if failure is None:
        return [(first, rows)]
    if len(tensor) == 1:
        return [(first, Abstained(Abstention.BAD_OUTPUT, f"model {model.identity.version} failed: {failure}"))]
    half = len(tensor) // 2
    return _run(model, tensor[:half], first, work) + _run(model, tensor[half:], first + half, work)


def _prepare(questions: Sequence[Question], model: LoadedModel, fetched: Fetched, max_pixels: int) -> Prepared:
    spec = model.manifest.input
    if isinstance(spec, FeaturesInput):
        return prepare_features(_contents(questions, FeaturesContent), spec, model.dtype)
    if isinstance(spec, TextInput):
        return prepare_text(_contents(questions, TextContent), spec)
    pixels = [_pixels(picture, spec, fetched, max_pixels) for picture in _contents(questions, MediaContent)]
    return prepare_pixels(pixels, spec, model.dtype)


def _contents(questions: Sequence[Question], _: type[T]) -> list[T]:
    """The contents, all of the kind that the caller has checked."""
    return [cast("T", question.content) for question in questions]


def _pixels(picture: MediaContent, spec: ImageInput, fetched: Fetched, max_pixels: int) -> bytes | Abstained:
    if picture.data is not None:
        encoded = decode_base64(picture.data)
        return encoded if isinstance(encoded, Abstained) else decode_image(encoded, spec, max_pixels=max_pixels)
    if picture.uri is not None:
        return fetched.get(picture.uri, Abstained(Abstention.NOT_FETCHED, "the URI was not fetched"))
    return Abstained(Abstention.UNREADABLE, "the item has neither data nor a URI")
