"""CTC against every path there is, on alphabets small enough to try them all."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.prelabel.domain.decoding import Decoded, Seen, decode
from services.prelabel.domain.decoding import ctc as module
from services.prelabel.domain.decoding.ctc import beam_search, greedy
from services.prelabel.domain.questions import Abstained
from shared.events import CtcDecoder, FeaturesInput
from shared.labels import Transcript


def collapse(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    """By the definition: repeats together, then the blanks away."""
    return tuple(column for column, _ in itertools.groupby(path) if column != blank)


def every_text(p: Any, blank: int) -> dict[tuple[int, ...], float]:
    """The probability of each text: the sum over all paths that write it."""
    found: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(p.shape[1]), repeat=len(p)):
        text = collapse(path, blank)
        found[text] = found.get(text, 0.0) + float(np.prod([p[frame, column] for frame, column in enumerate(path)]))
    return found


def made(seed: int, rows: int, frames: int, columns: int, spread: float) -> Any:
    return np.random.default_rng(seed).dirichlet(np.full(columns, spread), size=(rows, frames))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 100_000),
    frames=st.integers(1, 5),
    columns=st.integers(2, 4),
    spread=st.sampled_from([0.2, 1.0, 5.0]),
    data=st.data(),
)
def test_a_wide_beam_is_exact(seed: int, frames: int, columns: int, spread: float, data: st.DataObject) -> None:
    blank = data.draw(st.integers(0, columns - 1))
    p = made(seed, 3, frames, columns, spread)
    for row, found in enumerate(beam_search(p, blank, 2000)):
        all_texts = every_text(p[row], blank)
        best = max(all_texts.values())
        assert np.exp(found.log_p) == pytest.approx(best, rel=1e-9)
        assert all_texts[tuple(found.columns)] == pytest.approx(best, rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 100_000), width=st.integers(1, 6))
def test_a_narrow_beam_claims_no_more_than_the_text_has(seed: int, width: int) -> None:
    """Pruning only loses alignments; a prefix that met itself twice would count them twice."""
    p = made(seed, 2, 5, 3, 0.7)
    for row, found in enumerate(beam_search(p, 0, width)):
        assert np.exp(found.log_p) <= every_text(p[row], 0)[tuple(found.columns)] * (1 + 1e-9)


def test_the_beam_finds_what_greedy_misses() -> None:
    """Graves 2012, figure 7.5: the best path writes nothing, the best text is a letter."""
    p = np.array([[[0.6, 0.4], [0.6, 0.4]]])
    assert greedy(p, 0)[0].columns == []
    (found,) = beam_search(p, 0, 10)
    assert (found.columns, np.exp(found.log_p)) == ([1], pytest.approx(0.64))


@given(seed=st.integers(0, 100_000), frames=st.integers(1, 8), blank=st.integers(0, 2))
def test_greedy_is_the_collapsed_best_path(seed: int, frames: int, blank: int) -> None:
    p = made(seed, 3, frames, 3, 0.5)
    for row, found in enumerate(greedy(p, blank)):
        path = tuple(int(column) for column in p[row].argmax(axis=1))
        assert tuple(found.columns) == collapse(path, blank)
        assert np.exp(found.log_p) == pytest.approx(float(p[row].max(axis=1).prod()))


def test_a_batch_in_parts_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    p = made(3, 7, 6, 4, 0.5)
    whole = beam_search(p, 1, 8)
    monkeypatch.setattr(module, "ELEMENTS", 130)
    assert beam_search(p, 1, 8) == whole


def texts(p: Any, more: dict[str, Any] | None = None, **fields: Any) -> list[str | Abstained]:
    decoder = CtcDecoder(**{"scores": "s", "alphabet": ("", "a", "b", " "), "activation": "none", **fields})
    outputs = {"s": np.asarray(p, dtype=np.float32), **{k: np.asarray(v) for k, v in (more or {}).items()}}
    found = decode(outputs, [Seen()] * len(outputs["s"]), decoder, (), FeaturesInput(size=1))
    said: list[str | Abstained] = []
    for one in found:
        if isinstance(one, Decoded):
            assert isinstance(one.value, Transcript)
            assert one.scores == ()
            said.append(one.value.text)
        else:
            assert isinstance(one, Abstained)
            said.append(one)
    return said


def frames(columns: str, sure: float = 0.94) -> list[list[float]]:
    place = {"-": 0, "a": 1, "b": 2, " ": 3}
    return [[sure if place[one] == column else (1 - sure) / 3 for column in range(4)] for one in columns]


@pytest.mark.parametrize("beam", [1, 16])
def test_text_of_an_alphabet(beam: int) -> None:
    assert texts([frames("aa-a  b-b"), frames("  -a-   b")], beam=beam) == ["aa bb", "a b"]


@pytest.mark.parametrize("beam", [1, 16])
def test_frames_past_the_length_count_for_nothing(beam: int) -> None:
    table = np.array([frames("ab--"), frames("abab")])
    table[0, 2:] = np.nan
    assert texts(table, {"n": [2, 4]}, lengths="n", beam=beam) == ["ab", "abab"]
    wrong = texts(np.array([frames("ab--")] * 2), {"n": [9, 4]}, lengths="n", beam=beam)
    assert isinstance(wrong[0], Abstained)
    assert wrong[1] == "ab"


def test_logits_and_logarithms_say_the_same_as_probabilities() -> None:
    logs = np.log(np.array([frames("a-ab")]))
    assert texts(logs, activation="log") == texts(logs * 1.0 + 3.0, activation="softmax") == ["aab"]


def test_probabilities_that_are_none_abstain() -> None:
    (bad, good) = texts([[[2.0, -1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0, 0.0]]])
    assert isinstance(bad, Abstained)
    assert good == "a"
    (unsummed,) = texts([[[0.1, 0.1, 0.1, 0.1]]])
    assert isinstance(unsummed, Abstained)


def test_the_confidence_is_that_of_a_letter() -> None:
    decoder = CtcDecoder(scores="s", alphabet=("", "a", "b", " "), activation="none")
    table = np.array([frames("ab", 0.9)], dtype=np.float64)
    (found,) = decode({"s": table}, [Seen()], decoder, (), FeaturesInput(size=1))
    assert isinstance(found, Decoded)
    assert found.confidence == pytest.approx(0.9, rel=1e-6)
