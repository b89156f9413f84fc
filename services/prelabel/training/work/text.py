r"""Words and pairs of words, cut by the very operator that will cut them in production.

A word is a run of letters and digits of any script: RE2's `[\p{L}\p{N}]+`. ONNX Runtime's Tokenizer cuts the training
texts too, so training and serving cannot differ. prelabel lowers the text before (the manifest's `lowercase`).
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper
from scipy.sparse import csr_matrix

from services.prelabel.training.work.graphs import DOMAINS, INPUT, IR_VERSION, VECTOR, Part, single

WORD = r"[\p{L}\p{N}]+"
BEGIN, END = "\x02", "\x03"
MOST_TERMS = 30_000
CHUNK = 500
Term = tuple[str, ...]


def tokenizer() -> Part:
    """`input`, shape (n, 1) of texts, to `words`, shape (n, longest), padded with empty ones.

    The operator's marks of begin and end are kept: with them a batch of empty texts has a shape at all.
    """
    part = Part()
    flat = part.node("Squeeze", [INPUT, part.constant("second_axis", np.array([1], dtype=np.int64))], "flat")
    part.node("Tokenizer", [flat], "words", domain="com.microsoft", mark=1, mincharnum=1, pad_value="", tokenexp=WORD)
    return part


def cut(texts: NDArray[Any]) -> Iterator[list[str]]:
    """The words of each text, of shape (n, 1)."""
    part = tokenizer()
    graph = helper.make_graph(
        part.nodes,
        "tokenizer",
        [helper.make_tensor_value_info(INPUT, TensorProto.STRING, ["batch", 1])],
        [helper.make_tensor_value_info("words", TensorProto.STRING, ["batch", "longest"])],
        initializer=part.constants,
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in DOMAINS]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    for start in range(0, len(texts), CHUNK):
        for row in session.run(None, {INPUT: texts[start : start + CHUNK]})[0].tolist():
            yield [word for word in row if word not in {"", BEGIN, END}]


def terms(words: Sequence[str]) -> Iterator[Term]:
    """Its words, and its pairs of neighbours."""
    yield from ((word,) for word in words)
    yield from pairwise(words)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The terms that are looked at, and the weight of each: log((1 + n) / (1 + documents)) + 1."""

    place: dict[Term, int]
    weight: NDArray[np.float64]

    @classmethod
    def of(cls, documents: Sequence[Sequence[str]]) -> "Vocabulary":
        """The terms of at least two documents (of one, where there are few), the most frequent first."""
        counts = Counter(term for words in documents for term in set(terms(words)))
        least = 2 if len(documents) >= 50 else 1  # noqa: PLR2004
        found = sorted(
            (term for term, count in counts.items() if count >= least), key=lambda term: (-counts[term], term)
        )
        # The operator wants words first, then pairs.
        ordered = sorted(found[:MOST_TERMS], key=lambda term: (len(term), term)) or [("",)]
        weight = [math.log((1 + len(documents)) / (1 + counts[term])) + 1.0 for term in ordered]
        return cls({term: place for place, term in enumerate(ordered)}, np.array(weight))

    def table(self, documents: Sequence[Sequence[str]]) -> csr_matrix:
        """log(1 + count) times the weight, each row scaled to length 1: shape (documents, terms)."""
        rows: list[int] = []
        columns: list[int] = []
        values: list[float] = []
        for row, words in enumerate(documents):
            counts = Counter(place for term in terms(words) if (place := self.place.get(term)) is not None)
            found = {place: math.log1p(count) * self.weight[place] for place, count in sorted(counts.items())}
            length = math.sqrt(sum(value * value for value in found.values())) or 1.0
            rows += [row] * len(found)
            columns += found.keys()
            values += [value / length for value in found.values()]
        return csr_matrix((values, (rows, columns)), shape=(len(documents), len(self.place)), dtype=np.float64)

    def graph(self) -> Part:
        """From `input` to `vector`: the same as `table`."""
        part = tokenizer()
        ordered = sorted(self.place, key=lambda term: self.place[term])
        singles = [term for term in ordered if len(term) == 1]
        pairs = [term for term in ordered if len(term) == 2]  # noqa: PLR2004
        starts = [0, len(singles)] if pairs else [0]
        counted = part.node(
            "TfIdfVectorizer",
            ["words"],
            "counts",
            mode="TF",
            min_gram_length=1,
            max_gram_length=2 if pairs else 1,
            max_skip_count=0,
            ngram_counts=starts,
            ngram_indexes=list(range(len(ordered))),
            pool_strings=[word for term in [*singles, *pairs] for word in term],
        )
        one = part.constant("one", single([1.0]))
        logs = part.node("Log", [part.node("Add", [counted, one], "plus_one")], "logs")
        weighted = part.node("Mul", [logs, part.constant("idf", single(self.weight))], "weighted")
        length = part.node("ReduceL2", [weighted], "length", axes=[1], keepdims=1)
        tiny = part.constant("tiny", single([1e-12]))
        part.node("Div", [weighted, part.node("Max", [length, tiny], "at_least")], VECTOR)
        return part
