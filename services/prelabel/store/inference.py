"""Questions to predictions with one model: prepare a chunk, call the model once, read its rows."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import TypeVar, cast

from services.prelabel.domain.decoding import Outputs, Seen, decode
from services.prelabel.domain.postprocess import abstain, propose, propose_objects, read_rows
from services.prelabel.domain.preprocess import (
    Media,
    Pixels,
    Prepared,
    Samples,
    Tensor,
    prepare_features,
    prepare_pixels,
    prepare_samples,
    prepare_text,
    prepare_words,
)
from services.prelabel.domain.questions import NOBODY, Abstained, Question
from services.prelabel.domain.sketching import PLAIN, Sketches, by_content, by_features, by_pictures
from services.prelabel.store.images import decode_base64, decode_image
from services.prelabel.store.sessions import LoadedModel
from services.prelabel.store.sounds import decode_sound
from shared.events import (
    Abstention,
    AudioInput,
    FeaturesContent,
    FeaturesInput,
    ImageInput,
    MediaContent,
    Prediction,
    Sketch,
    TextContent,
    TextInput,
    TokensInput,
)
from shared.events.models import ModelInput

T = TypeVar("T")
Answer = Prediction | Abstained
Fetched = Mapping[str, Media | Abstained]
"""URI -> the picture or sound behind it, as `decode_image` and `decode_sound` give them, or why there is none."""


@dataclass(slots=True)
class Work:
    """What a batch cost: rows of each model call, and the seconds of each.

    `unsketched`: sketches that could not be made, by what they were to be of and the class of the error.
    """

    rows: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    unsketched: Counter[tuple[str, str]] = field(default_factory=Counter)


def predict(
    questions: Sequence[Question],
    model: LoadedModel | None,
    fetched: Fetched,
    *,
    why_no_model: str,
    predicted_at: datetime,
    max_pixels: int,
    work: Work,
    sketched: bool = False,
) -> list[Prediction]:
    """One prediction per question, in order, all by the same model. Runs in a thread.

    Args:
        questions: of one project.
        model: None abstains for all of them.
        fetched: the pictures or sounds behind the URIs of the questions.
        why_no_model: the detail of the abstention where there is none.
        predicted_at: the moment of the batch.
        max_pixels: largest picture that is decoded.
        work: collects the model calls.
        sketched: the items are compared with each other, so each prediction carries a sketch where there is one.
    """
    if model is None:
        reason = Abstained(Abstention.NO_MODEL, why_no_model)
        plain = _plain(questions, fetched, max_pixels, work) if sketched else [None] * len(questions)
        return [
            abstain(question, reason, NOBODY, predicted_at, sketch)
            for question, sketch in zip(questions, plain, strict=True)
        ]
    kind = content_kind(model.manifest.input)
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
        prepared = _prepare(asked, model, fetched, max_pixels)
        found = _predict_chunk(asked, model, prepared, predicted_at, work=work, sketched=sketched)
        answers.update(zip(chunk, found, strict=True))
    return [
        abstain(question, answer, model.identity, predicted_at) if isinstance(answer, Abstained) else answer
        for question, answer in ((question, answers[position]) for position, question in enumerate(questions))
    ]


def _predict_chunk(
    questions: Sequence[Question],
    model: LoadedModel,
    prepared: Prepared,
    predicted_at: datetime,
    *,
    work: Work,
    sketched: bool,
) -> list[Answer]:
    answers: dict[int, Answer] = dict(prepared.abstained)
    for rows, outcome in _run(model, prepared, range(len(prepared.rows)), work, sketched=sketched):
        positions = [prepared.rows[row] for row in rows]
        if isinstance(outcome, Abstained):
            answers[positions[0]] = outcome
            continue
        part = slice(rows.start, rows.stop)
        asked = [questions[position] for position in positions]
        seen = prepared.seen[part]
        sketches = _sketch(outcome, prepared.tensor[part], seen, model, work) if sketched else None
        answers.update(zip(positions, _read(asked, outcome, seen, model, predicted_at, sketches=sketches), strict=True))
    return [answers[position] for position in range(len(questions))]


def _sketch(outputs: Outputs, tensor: Tensor, seen: Sequence[Seen], model: LoadedModel, work: Work) -> Sketches:
    own, manifest, rows = model.manifest.features_output, model.manifest, range(len(tensor))
    contents = _hints(lambda part: by_content(tensor[part], manifest, seen[part]), rows, "content", work)
    if own is None:
        return Sketches(contents, [None] * len(rows))
    if model.odd_features(outputs, len(rows)) is not None:
        work.unsketched["features", "shape"] += len(rows)
        return Sketches(contents, [None] * len(rows))
    said = outputs[own]
    return Sketches(
        contents, _hints(lambda part: by_features(said[part], manifest, model.sha256), rows, "features", work)
    )


def _hints(sketch: Callable[[slice], list[Sketch | None]], rows: range, of: str, work: Work) -> list[Sketch | None]:
    """Sketches of rows. They are hints: where one cannot be made, whatever the reason, the prediction goes without."""
    try:
        return sketch(slice(rows.start, rows.stop))
    except Exception as error:  # noqa: BLE001  # a hint may not cost a prediction
        if len(rows) > 1:
            half = len(rows) // 2
            return [one for part in (rows[:half], rows[half:]) for one in _hints(sketch, part, of, work)]
        work.unsketched[of, type(error).__name__] += 1
        return [None] * len(rows)


def _plain(questions: Sequence[Question], fetched: Fetched, max_pixels: int, work: Work) -> list[Sketch | None]:
    """The sketches of pictures that no model reads."""
    found: list[Sketch | None] = [None] * len(questions)
    shown = {
        place: _media(question.content, PLAIN, fetched, max_pixels)
        for place, question in enumerate(questions)
        if isinstance(question.content, MediaContent) and question.content.kind == PLAIN.kind
    }
    seen = {place: one for place, one in shown.items() if isinstance(one, Pixels)}
    pixels = [*seen.values()]
    sketched = _hints(lambda part: by_pictures(pixels[part]), range(len(pixels)), "content", work)
    for place, sketch in zip(seen, sketched, strict=True):
        found[place] = sketch
    return found


def _read(
    questions: Sequence[Question],
    outputs: Outputs,
    seen: Sequence[Seen],
    model: LoadedModel,
    predicted_at: datetime,
    *,
    sketches: Sketches | None,
) -> list[Answer]:
    decoder = model.manifest.decoder
    if decoder is None:
        rows = read_rows(outputs[model.output_names[0]], model.head)
        return propose(questions, rows, model.head, model.identity, predicted_at, sketches=sketches)
    known = seen or [Seen()] * len(questions)
    found = decode(outputs, known, decoder, model.head.classes, model.manifest.input)
    return propose_objects(questions, found, model.identity, predicted_at, sketches=sketches)


def _run(
    model: LoadedModel, prepared: Prepared, rows: range, work: Work, *, sketched: bool
) -> list[tuple[range, Outputs | Abstained]]:
    """The outputs of each call that worked; a failing chunk is halved until the culprit stands alone."""
    if not rows:
        return []
    started, part = perf_counter(), slice(rows.start, rows.stop)
    try:
        beside = {name: tensor[part] for name, tensor in prepared.beside.items()}
        outputs = model.run(prepared.tensor[part], beside, features=sketched)
        failure = model.wrong(outputs, len(rows))
    except Exception as error:  # noqa: BLE001  # the runtime's errors share no base below Exception
        failure = type(error).__name__
    work.rows.append(len(rows))
    work.seconds.append(perf_counter() - started)
    if failure is None:
        return [(rows, outputs)]
    if len(rows) == 1:
        return [(rows, Abstained(Abstention.BAD_OUTPUT, f"model {model.identity.version} failed: {failure}"))]
    half = len(rows) // 2
    first, second = (_run(model, prepared, part, work, sketched=sketched) for part in (rows[:half], rows[half:]))
    return first + second


def _prepare(questions: Sequence[Question], model: LoadedModel, fetched: Fetched, max_pixels: int) -> Prepared:
    spec = model.manifest.input
    if isinstance(spec, FeaturesInput):
        return prepare_features(_contents(questions, FeaturesContent), spec, model.dtype)
    if isinstance(spec, TextInput):
        return prepare_text(_contents(questions, TextContent), spec, whole=model.manifest.decoder is not None)
    if isinstance(spec, TokensInput):
        return prepare_words(_contents(questions, TextContent), spec, model.vocabulary, model.dtype)
    media = [_media(content, spec, fetched, max_pixels) for content in _contents(questions, MediaContent)]
    if isinstance(spec, AudioInput):
        return prepare_samples([cast("Samples | Abstained", one) for one in media], spec, model.dtype)
    return prepare_pixels([cast("Pixels | Abstained", one) for one in media], spec, model.dtype)


def _contents(questions: Sequence[Question], _: type[T]) -> list[T]:
    """The contents, all of the kind that the caller has checked."""
    return [cast("T", question.content) for question in questions]


def content_kind(spec: ModelInput) -> str:
    """The kind of content that an input reads."""
    return "text" if isinstance(spec, TokensInput) else spec.kind


def decode_media(encoded: bytes, spec: ImageInput | AudioInput, *, max_pixels: int) -> Media | Abstained:
    """What is in a file, as the model reads it."""
    if isinstance(spec, AudioInput):
        return decode_sound(encoded, spec)
    return decode_image(encoded, spec, max_pixels=max_pixels)


def _media(
    content: MediaContent, spec: ImageInput | AudioInput, fetched: Fetched, max_pixels: int
) -> Media | Abstained:
    if content.data is not None:
        encoded = decode_base64(content.data)
        return encoded if isinstance(encoded, Abstained) else decode_media(encoded, spec, max_pixels=max_pixels)
    if content.uri is not None:
        return fetched.get(content.uri, Abstained(Abstention.NOT_FETCHED, "the URI was not fetched"))
    return Abstained(Abstention.UNREADABLE, "the item has neither data nor a URI")
