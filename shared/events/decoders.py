"""How a model's answer becomes objects or text: the `decoder` of its manifest. docs/models.md shows each."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.events.base import Name
from shared.labels.text import NoNul
from shared.labels.values import MAX_OBJECTS

MAX_MASKS = 1000
MAX_SYMBOLS = 50_000

Activation = Literal["none", "sigmoid", "softmax"]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]
Threshold = Annotated[float, Field(gt=0.0, lt=1.0)]
Column = Annotated[int, Field(ge=0, le=10_000)]
ObjectLimit = Annotated[int, Field(ge=1, le=MAX_OBJECTS)]
Tag = Annotated[str, Field(min_length=1, max_length=202), NoNul()]
Symbol = Annotated[str, Field(max_length=100), NoNul()]


class _Decoder(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    makes: ClassVar[str]
    """The kind of label that comes out."""

    scores: Name = Field(description="The output with the scores, its first axis the batch.")


class BoxesDecoder(_Decoder):
    """Boxes of a detector: each box's best class, a threshold on its score, then non-maximum suppression.

    `scores` has shape (batch, boxes, columns); with `labels`, (batch, boxes). Scores and boxes may share one output of
    shape (batch, boxes, 4 + columns).
    """

    makes: ClassVar[str] = "boxes"

    kind: Literal["detection"] = "detection"
    boxes: Name = Field(description="The output with the boxes, (batch, boxes, 4); may be that of the scores.")
    labels: Name | None = Field(default=None, description="Output (batch, boxes) with the index of each box's class.")
    format: Literal["xyxy", "xywh", "cxcywh"] = Field(
        default="xyxy", description="Two corners; top left corner and size; centre and size."
    )
    coordinates: Literal["pixels", "normalised"] = Field(
        default="pixels", description="Pixels of the model's input, or shares of its width and height."
    )
    transposed: bool = Field(default=False, description="The outputs are (batch, columns, boxes).")
    objectness: bool = Field(default=False, description="The first column of the scores multiplies the others.")
    activation: Activation = "none"
    background: Column | None = Field(default=None, description="Column of the scores that stands for no object.")
    score_threshold: Threshold = 0.25
    iou_threshold: Unit = Field(default=0.45, description="A box that overlaps a better one by more is left out.")
    class_wise: bool = Field(default=True, description="Only boxes of the same class suppress each other.")
    max_candidates: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=1000, description="Boxes of an item that are looked at, best scores first."
    )
    max_objects: ObjectLimit = Field(default=300, description="An item with more is abstained from.")

    @model_validator(mode="after")
    def _labels_stand_alone(self) -> Self:
        if self.labels is not None and (self.objectness or self.background is not None or self.boxes == self.scores):
            raise ValueError("labels: with an output of labels there are no objectness, background or shared output")
        if self.labels is not None and self.activation == "softmax":
            raise ValueError("activation: one score for each box has no softmax; give none or sigmoid")
        return self


class TagsDecoder(_Decoder):
    """Spans of a token tagger, from BIO or BILOU tags; `scores` has shape (batch, tokens, tags).

    An entity that starts without its B is begun all the same, as conlleval does; with `viterbi` the most probable
    sequence without such errors is taken instead.
    """

    makes: ClassVar[str] = "spans"

    kind: Literal["token_tags"] = "token_tags"
    scheme: Literal["bio", "bilou"] = "bio"
    tags: Annotated[tuple[Tag, ...], Field(max_length=5000)] = Field(
        default=(), description="The tag of each column; absent: O, then for each class B- and I- (BILOU: B- I- L- U-)."
    )
    offsets: Name | None = Field(
        default=None,
        description="Output (batch, tokens, 2): start and end of each token, of a graph that takes the text itself. "
        "A token of no length is none.",
    )
    offsets_unit: Literal["code_points", "utf8_bytes"] = "code_points"
    activation: Literal["none", "softmax"] = "softmax"
    decoding: Literal["greedy", "viterbi"] = "greedy"
    max_objects: ObjectLimit = Field(default=MAX_OBJECTS, description="An item with more is abstained from.")


class SemanticMasksDecoder(_Decoder):
    """One mask for each class that is present: the best class of each pixel. `scores` is (batch, columns, h, w)."""

    makes: ClassVar[str] = "masks"

    kind: Literal["semantic_masks"] = "semantic_masks"
    layout: Literal["nchw", "nhwc"] = "nchw"
    activation: Literal["none", "softmax"] = "softmax"
    background: Column | None = Field(default=None, description="Column that stands for no class.")
    min_pixels: Annotated[int, Field(ge=1)] = Field(
        default=1, description="A class with fewer pixels of the model's output is left out."
    )


class InstanceMasksDecoder(_Decoder):
    """One mask for each object: `masks` (batch, objects, h, w), over the whole picture, with a threshold.

    `scores` has shape (batch, objects, columns); with `labels`, (batch, objects).
    """

    makes: ClassVar[str] = "masks"

    kind: Literal["instance_masks"] = "instance_masks"
    masks: Name = Field(description="Output (batch, objects, h, w).")
    labels: Name | None = Field(default=None, description="Output (batch, objects): index of each object's class.")
    activation: Activation = "none"
    background: Column | None = Field(default=None, description="Column of the scores that stands for no object.")
    masks_activation: Literal["none", "sigmoid"] = "sigmoid"
    score_threshold: Threshold = 0.5
    mask_threshold: Threshold = 0.5
    iou_threshold: Unit = Field(default=0.7, description="A mask that overlaps a better one by more is left out.")
    class_wise: bool = Field(default=True, description="Only masks of the same class suppress each other.")
    max_objects: Annotated[int, Field(ge=1, le=MAX_MASKS)] = Field(
        default=100, description="An item with more is abstained from."
    )

    @model_validator(mode="after")
    def _labels_stand_alone(self) -> Self:
        if self.labels is not None and (self.background is not None or self.activation == "softmax"):
            raise ValueError("labels: with an output of labels there are no background and no softmax")
        return self


class CtcDecoder(_Decoder):
    """Text of a CTC model (Graves et al. 2006): `scores` has shape (batch, frames, symbols)."""

    makes: ClassVar[str] = "transcript"

    kind: Literal["ctc"] = "ctc"
    alphabet: Annotated[tuple[Symbol, ...], Field(min_length=2, max_length=MAX_SYMBOLS)] = Field(
        description="What each column writes; that of the blank is never written. A space separates words."
    )
    blank: Column = 0
    activation: Literal["none", "log", "softmax"] = Field(
        default="softmax", description="The scores are probabilities, their logarithms, or logits."
    )
    lengths: Name | None = Field(default=None, description="Output (batch,) with the number of frames that count.")
    beam: Annotated[int, Field(ge=1, le=512)] = Field(
        default=1, description="1: the best symbol of each frame; more: prefix beam search of that width."
    )

    @model_validator(mode="after")
    def _blank_is_a_column(self) -> Self:
        if self.blank >= len(self.alphabet):
            raise ValueError(f"blank: {self.blank} is past the {len(self.alphabet)} columns of the alphabet")
        return self


class FramesDecoder(_Decoder):
    """Stretches of time from scores of frames: `scores` has shape (batch, frames, columns)."""

    makes: ClassVar[str] = "segments"

    kind: Literal["frames"] = "frames"
    hop_s: Annotated[float, Field(gt=0, le=3600)] = Field(description="From the start of a frame to that of the next.")
    offset_s: Annotated[float, Field(ge=0, le=3600)] = Field(default=0.0, description="Start of the first frame.")
    activation: Activation = Field(
        default="sigmoid", description="softmax: a frame has its best class alone; else each class is judged by itself."
    )
    background: Column | None = Field(default=None, description="Column that stands for no class.")
    threshold: Threshold = 0.5
    lengths: Name | None = Field(default=None, description="Output (batch,) with the number of frames that count.")
    join_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=0.0, description="Segments of a class with a gap of at most this become one."
    )
    min_s: Annotated[float, Field(ge=0, le=3600)] = Field(default=0.0, description="Shorter segments are left out.")
    max_objects: ObjectLimit = Field(default=1000, description="An item with more is abstained from.")


Decoder = Annotated[
    BoxesDecoder | TagsDecoder | SemanticMasksDecoder | InstanceMasksDecoder | CtcDecoder | FramesDecoder,
    Field(discriminator="kind"),
]


def tags_of(decoder: TagsDecoder, classes: tuple[str, ...]) -> tuple[str, ...]:
    """The tag of each column."""
    if decoder.tags:
        return decoder.tags
    letters = "BI" if decoder.scheme == "bio" else "BILU"
    return ("O", *(f"{letter}-{name}" for name in classes for letter in letters))


def columns_of(decoder: Decoder, classes: tuple[str, ...]) -> int:
    """How many columns the scores must have; for boxes and masks with `labels`, that of an output of labels: none.

    Raises:
        ValueError: says what of the decoder does not fit the classes.
    """
    match decoder:
        case CtcDecoder():
            if classes:
                raise ValueError("classes: a CTC model writes text and has none; its symbols are decoder.alphabet")
            return len(decoder.alphabet)
        case TagsDecoder():
            return len(_checked_tags(decoder, classes))
        case _:
            if not classes:
                raise ValueError(f"classes: a decoder of {decoder.kind} needs at least one")
            if decoder.background is None:
                return len(classes)
            if decoder.background > len(classes):
                raise ValueError(
                    f"decoder.background: {decoder.background} is past the {len(classes) + 1} columns of the scores"
                )
            return len(classes) + 1


def _checked_tags(decoder: TagsDecoder, classes: tuple[str, ...]) -> tuple[str, ...]:
    if not classes:
        raise ValueError("classes: a decoder of tags needs at least one")
    tags, letters = tags_of(decoder, classes), "BI" if decoder.scheme == "bio" else "BILU"
    if len(set(tags)) != len(tags):
        raise ValueError("decoder.tags holds a tag twice")
    if "O" not in tags:
        raise ValueError("decoder.tags: there is no O")
    for place, tag in enumerate(tags):
        letter, dash, name = tag.partition("-")
        if tag != "O" and not (dash and letter in tuple(letters) and name in classes):
            raise ValueError(
                f"decoder.tags[{place}]: {tag!r} is neither O nor one of {letters} with a class, as in B-x"
            )
    return tags
