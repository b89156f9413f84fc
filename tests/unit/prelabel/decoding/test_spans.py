"""Tags against conlleval's own rules, every legal sequence, and texts with characters of all sizes."""

import itertools
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.prelabel.domain.decoding import Answer, Decoded, Seen, decode
from services.prelabel.domain.decoding.spans import TagSet, code_points, entities, viterbi
from services.prelabel.domain.questions import Abstained
from services.prelabel.domain.tokens import prepare_tokens, tokenize
from shared.events import TagsDecoder, TextContent, TokensInput
from shared.events.decoders import tags_of
from shared.events.inputs import PatternTokenizer, WhitespaceTokenizer, WordpieceTokenizer
from shared.labels import Spans

CLASSES = ("PER", "LOC")
Scheme = Literal["bio", "bilou"]


def end_of_chunk(before: str, tag: str) -> bool:
    """conlleval.pl, endOfChunk, with L for E and U for S."""
    old, new = before[0], tag[0]
    if old in "LU" or (old in "BI" and new in "BUO"):
        return True
    return old != "O" and before[2:] != tag[2:]


def start_of_chunk(before: str, tag: str) -> bool:
    """conlleval.pl, startOfChunk."""
    old, new = before[0], tag[0]
    if new in "BU" or (old in "LUO" and new in "IL"):
        return True
    return new != "O" and before[2:] != tag[2:]


def plain_entities(tags: list[str]) -> list[tuple[int, int, str]]:
    """As seqeval does it, one token after the other."""
    found, begin, before = [], 0, "O"
    for place, tag in enumerate([*tags, "O"]):
        if end_of_chunk(before, tag):
            found.append((begin, place - 1, before[2:]))
        if start_of_chunk(before, tag):
            begin = place
        before = tag
    return found


@pytest.mark.parametrize("scheme", ["bio", "bilou"])
@given(data=st.data())
def test_entities_are_those_of_conlleval(scheme: Scheme, data: st.DataObject) -> None:
    """Whatever the sequence, legal or not."""
    decoder = TagsDecoder(scores="s", scheme=scheme)
    names = tags_of(decoder, CLASSES)
    path = data.draw(st.lists(st.integers(0, len(names) - 1), min_size=1, max_size=12))
    first, last, owners = entities(np.array(path), TagSet.of(decoder, CLASSES))
    found = list(zip(first.tolist(), last.tolist(), [CLASSES[owner] for owner in owners], strict=True))
    assert found == plain_entities([names[tag] for tag in path])


def legal(tags: tuple[str, ...], scheme: Scheme) -> bool:
    """By the words of the schemes, not by their table."""
    for before, tag in itertools.pairwise(("O", *tags, "O")):
        inside = before[0] in "BI"
        if tag[0] in "IL" and not (inside and before[2:] == tag[2:]):
            return False
        if scheme == "bilou" and inside and tag[0] not in "IL":
            return False
    return True


@pytest.mark.parametrize("scheme", ["bio", "bilou"])
@given(seed=st.integers(0, 10_000), tokens=st.integers(1, 4))
def test_viterbi_finds_the_best_of_all_legal_sequences(scheme: Scheme, seed: int, tokens: int) -> None:
    decoder = TagsDecoder(scores="s", scheme=scheme)
    names = tags_of(decoder, ("PER",))
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(len(names), 0.5), size=(2, 4))
    path = viterbi(p, np.array([tokens, 4]), TagSet.of(decoder, ("PER",)))[0, :tokens]
    closed = [tags for tags in itertools.product(names, repeat=tokens) if legal(tags, scheme)]

    def score(tags: tuple[str, ...]) -> float:
        return float(np.prod([p[0, place, names.index(tag)] for place, tag in enumerate(tags)]))

    found = tuple(names[tag] for tag in path)
    assert found in closed
    assert score(found) == pytest.approx(max(map(score, closed)))


def answers(p: Any, seen: list[Seen], more: dict[str, Any] | None = None, **fields: Any) -> list[Answer]:
    decoder = TagsDecoder(**{"scores": "s", "activation": "none", **fields})
    outputs = {"s": np.asarray(p, dtype=np.float32), **{k: np.asarray(v) for k, v in (more or {}).items()}}
    return decode(outputs, seen, decoder, CLASSES, TokensInput())


def one_hot(tags: list[str], sure: float = 0.9, scheme: Scheme = "bio") -> list[list[float]]:
    names = tags_of(TagsDecoder(scores="s", scheme=scheme), CLASSES)
    rest = (1 - sure) / (len(names) - 1)
    return [[sure if name == tag else rest for name in names] for tag in tags]


def seen(text: str, spec: TokensInput | None = None) -> Seen:
    made = prepare_tokens([TextContent(text=text)], spec or TokensInput(), {}, np.dtype(object))
    return made.seen[0]


def cut(one: Answer, text: str) -> list[tuple[str, str]]:
    assert isinstance(one, Decoded), one
    assert isinstance(one.value, Spans)
    return [(text[span.start : span.end], span.label) for span in one.value.spans]


def test_spans_are_cut_in_code_points() -> None:
    """An emoji beyond the basic plane, a combining accent, a flag of two code points: each counts by code points."""
    text = "👩🏽‍🚀 Ame\u0301lie  Poulain lebt in 🇫🇷 Paris"
    tags = ["O", "B-PER", "I-PER", "O", "O", "O", "B-LOC"]
    (found,) = answers([one_hot(tags)], [seen(text)])
    assert cut(found, text) == [("Ame\u0301lie  Poulain", "PER"), ("Paris", "LOC")]
    assert isinstance(found, Decoded)
    assert found.scores == pytest.approx((0.9, 0.9))


def test_a_score_is_the_least_sure_tag_and_the_item_counts_what_is_outside_too() -> None:
    text = "Ann Lee went home"
    p = one_hot(["B-PER", "I-PER", "O", "O"])
    p[1] = one_hot(["I-PER"], sure=0.7)[0]
    p[3] = one_hot(["O"], sure=0.6)[0]
    (found,) = answers([p], [seen(text)])
    assert isinstance(found, Decoded)
    assert found.scores == pytest.approx((0.7,))
    assert found.confidence == pytest.approx(0.6)


def test_texts_of_unlike_length_share_a_batch_and_padding_is_nothing() -> None:
    texts = ["Ann went", "", "Bob"]
    table = np.full((3, 2, 5), np.nan)
    table[0] = one_hot(["B-PER", "O"])
    table[2, 0] = one_hot(["B-PER"])[0]
    for decoding in ("greedy", "viterbi"):
        found = answers(table, [seen(text) for text in texts], decoding=decoding)
        assert [cut(one, text) for one, text in zip(found, texts, strict=True)] == [
            [("Ann", "PER")],
            [],
            [("Bob", "PER")],
        ]


def test_offsets_of_the_graph_in_bytes() -> None:
    text = "né à Köln"
    offsets = [[[0, 0], [0, 3], [4, 6], [7, 12], [0, 0]]]  # of UTF-8; the ends are a start, an end, and special tokens
    p = [one_hot(["O", "O", "O", "B-LOC", "O"])]
    (found,) = answers(p, [Seen(text=text)], {"o": offsets}, offsets="o", offsets_unit="utf8_bytes")
    assert cut(found, text) == [("Köln", "LOC")]
    inside = [[[0, 0], [0, 2], [4, 6], [7, 12], [0, 0]]]
    (bad,) = answers(p, [Seen(text=text)], {"o": inside}, offsets="o", offsets_unit="utf8_bytes")
    assert isinstance(bad, Abstained)
    assert "offsets" in bad.detail


@pytest.mark.parametrize("offsets", [[[0, 3], [4, 99]], [[4, 8], [0, 3]], [[-1, 3], [4, 8]]])
def test_offsets_outside_the_text_or_out_of_order_abstain(offsets: list[list[int]]) -> None:
    p = [one_hot(["B-PER", "O"])]
    (bad,) = answers(p, [Seen(text="Ann went")], {"o": [offsets]}, offsets="o")
    assert isinstance(bad, Abstained)


@given(st.text(max_size=30))
def test_bytes_to_code_points_and_back(text: str) -> None:
    assume(not any(0xD800 <= ord(character) <= 0xDFFF for character in text))
    sizes = [len(character.encode()) for character in text]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    assert code_points(starts, text).tolist() == list(range(len(text) + 1))
    within = sorted(set(range(int(starts[-1]) + 1)) - set(starts.tolist()))
    assert (code_points(np.array(within, dtype=np.int64), text) == -1).all()


@given(st.text(max_size=40), st.sampled_from([WhitespaceTokenizer(), PatternTokenizer()]), st.booleans())
def test_tokens_are_where_their_offsets_say(text: str, tokenizer: Any, lowercase: bool) -> None:
    tokens = tokenize(text, TokensInput(tokenizer=tokenizer, lowercase=lowercase), {})
    parts = [text[start:end] for start, end in tokens.offsets]
    assert tokens.pieces == [part.lower() if lowercase else part for part in parts]
    if isinstance(tokenizer, WhitespaceTokenizer):
        assert parts == text.split() or any(c in text for c in "\x1c\x1d\x1e\x1f")


PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "##a", "ann", "##e", ".")


def test_wordpiece_takes_the_longest_piece_and_gives_the_word_its_first_tag() -> None:
    spec = TokensInput(tokenizer=WordpieceTokenizer(), vocabulary=PIECES, lowercase=True)
    numbers = {piece: number for number, piece in enumerate(PIECES)}
    text = "Unaffable Anne. xyz"
    made = prepare_tokens([TextContent(text=text)], spec, numbers, np.dtype(np.int64))
    assert [PIECES[number] for number in made.table[0]] == [
        "[CLS]", "un", "##aff", "##able", "ann", "##e", ".", "[UNK]", "[SEP]",
    ]  # fmt: skip
    assert made.mask.tolist() == [[1] * 9]
    p = [one_hot(["O", "O", "B-LOC", "I-LOC", "B-PER", "B-LOC", "O", "O", "B-LOC"])]
    (found,) = answers(p, made.seen)
    assert cut(found, text) == [("Anne", "PER")]  # the later pieces' tags count for nothing
    each = TokensInput(tokenizer=WordpieceTokenizer(word_tag="each_piece"), vocabulary=PIECES, lowercase=True)
    pieces = prepare_tokens([TextContent(text=text)], each, numbers, np.dtype(np.int64))
    (found,) = answers(p, pieces.seen)
    assert cut(found, text) == [("affable", "LOC"), ("Ann", "PER"), ("e", "LOC")]


def test_a_text_with_too_many_tokens_abstains_alone() -> None:
    made = prepare_tokens(
        [TextContent(text="a b c"), TextContent(text="a")], TokensInput(max_tokens=2), {}, np.dtype(object)
    )
    assert made.rows == [1]
    assert "3 tokens, the model reads at most 2" in made.abstained[0].detail
