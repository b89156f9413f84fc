"""Texts to tokens with their offsets in code points, and tokens to the numbers of a vocabulary."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.prelabel.domain.decoding.base import Seen
from services.prelabel.domain.questions import Abstained
from shared.events import Abstention, TextContent, TokensInput
from shared.events.inputs import Tokenizer, WordpieceTokenizer

WHITESPACE = r"\S+"
NOWHERE = (0, 0)


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text's tokens.

    Attributes:
        pieces: as they are looked up.
        offsets: start and end of each in the text; equal where a token stands for none of it.
        first: whether each is the first of its word.
    """

    pieces: list[str]
    offsets: list[tuple[int, int]]
    first: list[bool]


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> "re.Pattern[str]":
    return re.compile(pattern)


def words(text: str, tokenizer: Tokenizer) -> list[tuple[int, int]]:
    """Start and end of each word; empty matches are none."""
    pattern = WHITESPACE if tokenizer.kind == "whitespace" else tokenizer.pattern
    return [found.span() for found in _compiled(pattern).finditer(text) if found.end() > found.start()]


def tokenize(text: str, spec: TokensInput, vocabulary: Mapping[str, int]) -> Tokens:
    """Cut a text as the manifest says.

    Args:
        text: of the item.
        spec: the tokenizer.
        vocabulary: token -> its number; only wordpiece cuts by it.
    """
    tokenizer = spec.tokenizer
    found = words(text, tokenizer)
    lower = str.lower if spec.lowercase else str
    if not isinstance(tokenizer, WordpieceTokenizer):
        return Tokens([lower(text[start:end]) for start, end in found], found, [True] * len(found))
    made = Tokens([], [], [])
    if tokenizer.first is not None:
        _add(made, tokenizer.first, NOWHERE, first=False)
    for start, end in found:
        cut = _cut(text[start:end], tokenizer, vocabulary, lowercase=spec.lowercase)
        whole = [(spec.unknown, 0, end - start)] if cut is None else cut
        for place, (piece, begins, ends) in enumerate(whole):
            _add(made, piece, (start + begins, start + ends), first=place == 0)
    if tokenizer.last is not None:
        _add(made, tokenizer.last, NOWHERE, first=False)
    return made


def _add(made: Tokens, piece: str, place: tuple[int, int], *, first: bool) -> None:
    made.pieces.append(piece)
    made.offsets.append(place)
    made.first.append(first)


def _cut(
    word: str, tokenizer: WordpieceTokenizer, vocabulary: Mapping[str, int], *, lowercase: bool
) -> list[tuple[str, int, int]] | None:
    """Longest piece first, from the start of the word (Schuster & Nakajima 2012); None where a rest has no piece."""
    if len(word) > tokenizer.max_word:
        return None
    found, start = [], 0
    while start < len(word):
        prefix = tokenizer.prefix if start else ""
        for end in range(len(word), start, -1):
            letters = word[start:end]
            piece = prefix + (letters.lower() if lowercase else letters)
            if piece in vocabulary:
                found.append((piece, start, end))
                start = end
                break
        else:
            return None
    return found


@dataclass(frozen=True, slots=True)
class TokenTable:
    """Texts made ready.

    Attributes:
        table: (rows, tokens) of strings or numbers, padded.
        mask: (rows, tokens), 1 for tokens.
        rows: for each row, its position among the texts.
        abstained: position -> why it is not in the table.
        seen: of each row.
    """

    table: NDArray[Any]
    mask: NDArray[np.int64]
    rows: list[int]
    abstained: dict[int, Abstained]
    seen: list[Seen]


def prepare_tokens(
    contents: Sequence[TextContent], spec: TokensInput, vocabulary: Mapping[str, int], dtype: np.dtype[Any]
) -> TokenTable:
    """Texts to one table, as wide as the longest of them, at least 1.

    Args:
        contents: the texts.
        spec: says how they are cut and how many tokens a text may have.
        vocabulary: token -> its number; not used for strings.
        dtype: object for strings, else the model's kind of whole numbers.
    """
    cut: list[Tokens] = []
    rows: list[int] = []
    abstained: dict[int, Abstained] = {}
    for position, content in enumerate(contents):
        tokens = tokenize(content.text, spec, vocabulary)
        if len(tokens.pieces) > spec.max_tokens:
            detail = f"the text has {len(tokens.pieces)} tokens, the model reads at most {spec.max_tokens}"
            abstained[position] = Abstained(Abstention.SHAPE, detail)
            continue
        cut.append(tokens)
        rows.append(position)
    width = max([1, *(len(tokens.pieces) for tokens in cut)])
    mask = np.zeros((len(cut), width), dtype=np.int64)
    numbers = dtype != np.dtype(object)
    unknown = vocabulary.get(spec.unknown, 0)
    empty: Any = vocabulary.get(spec.padding, 0) if numbers else ""
    table = np.full((len(cut), width), empty, dtype=dtype)
    for row, tokens in enumerate(cut):
        count = len(tokens.pieces)
        mask[row, :count] = 1
        if count:
            table[row, :count] = [vocabulary.get(one, unknown) for one in tokens.pieces] if numbers else tokens.pieces
    each = isinstance(spec.tokenizer, WordpieceTokenizer) and spec.tokenizer.word_tag == "first_piece"
    seen = [
        Seen(
            text=contents[position].text,
            offsets=np.array(tokens.offsets, dtype=np.int64).reshape(-1, 2),
            first=np.array(tokens.first, dtype=np.bool_) if each else None,
        )
        for position, tokens in zip(rows, cut, strict=True)
    ]
    return TokenTable(table, mask, rows, abstained, seen)
