"""What a token tagger and a model of sound are fed with."""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.events.base import Name
from shared.labels.text import NoNul

MAX_TOKENS = 100_000
Piece = Annotated[str, Field(max_length=200), NoNul()]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class WhitespaceTokenizer(Part):
    """Tokens are what white space separates."""

    kind: Literal["whitespace"] = "whitespace"


class PatternTokenizer(Part):
    r"""Tokens are the matches of a regular expression (of Python), left to right: `\\w+|[^\\w\\s]`."""

    kind: Literal["pattern"] = "pattern"
    pattern: Annotated[str, Field(min_length=1, max_length=1000), NoNul()] = r"\w+|[^\w\s]"

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"pattern: {error.msg} at position {error.pos}") from error
        return self


class WordpieceTokenizer(Part):
    """Words of a pattern, each cut into the longest pieces of the vocabulary, greedily from its start (BERT).

    Later pieces begin with `prefix`. A word that cannot be cut, or has more than `max_word` characters, is `unknown`.
    """

    kind: Literal["wordpiece"] = "wordpiece"
    pattern: Annotated[str, Field(min_length=1, max_length=1000), NoNul()] = r"\w+|[^\w\s]"
    prefix: Annotated[str, Field(max_length=20), NoNul()] = "##"
    max_word: Annotated[int, Field(ge=1, le=1000)] = 100
    first: Piece | None = Field(default="[CLS]", description="Put before the text's pieces; null: nothing.")
    last: Piece | None = Field(default="[SEP]", description="Put after them; null: nothing.")
    word_tag: Literal["first_piece", "each_piece"] = Field(
        default="first_piece", description="Whether a word has the tag of its first piece, or each piece its own."
    )

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        PatternTokenizer(pattern=self.pattern)
        return self


Tokenizer = Annotated[WhitespaceTokenizer | PatternTokenizer | WordpieceTokenizer, Field(discriminator="kind")]


class TokensInput(Part):
    """A text's tokens, padded to the longest text of the batch: a string tensor (batch, tokens), or their numbers.

    The model's input says which: numbers (int64, int32) need the vocabulary, whose order they are.
    """

    kind: Literal["tokens"] = "tokens"
    tokenizer: Tokenizer = WhitespaceTokenizer()
    lowercase: bool = Field(default=False, description="Tokens are looked up in lower case; offsets stay.")
    vocabulary: Annotated[tuple[Piece, ...], Field(max_length=50_000)] = ()
    vocabulary_key: Name | None = Field(
        default=None, description="Instead: the entry of the model file's metadata that holds it, a token a line."
    )
    unknown: Piece = "[UNK]"
    padding: Piece = "[PAD]"
    max_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] = Field(
        default=512, description="A text with more is abstained from: nothing is cut off in silence."
    )
    mask_input: Name | None = Field(
        default=None, description="Input of the same shape that is 1 for tokens and 0 for padding."
    )

    @model_validator(mode="after")
    def _one_vocabulary(self) -> Self:
        if self.vocabulary and self.vocabulary_key is not None:
            raise ValueError("vocabulary: give the list or vocabulary_key, not both")
        if self.tokenizer.kind == "wordpiece" and not self.vocabulary and self.vocabulary_key is None:
            raise ValueError("vocabulary: a wordpiece tokenizer cuts words by it; give it or vocabulary_key")
        return self


class AudioInput(Part):
    """Sound, mixed to one channel and resampled: a tensor (batch, samples) in -1..1, padded to the longest with 0."""

    kind: Literal["audio"] = "audio"
    sample_rate: Annotated[int, Field(ge=1000, le=192_000)] = 16_000
    max_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=60.0, description="Longer sound is abstained from: nothing is cut off in silence, seconds."
    )
    standardise: bool = Field(default=False, description="Mean 0 and variance 1 over each item's samples.")
    lengths_input: Name | None = Field(default=None, description="Input (batch,) with the number of samples of each.")
