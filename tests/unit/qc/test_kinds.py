"""Kinds on a line: spans, relations, transcripts, segments; how they are read, fused, compared and measured."""

import itertools
from typing import Any

import numpy as np
import pytest

from services.qc.domain.kinds import spans as spans_kind
from services.qc.domain.kinds.kind import Given, medoid
from services.qc.domain.kinds.registry import KINDS
from services.qc.domain.kinds.tags import best_path, flat, stretches
from services.qc.domain.kinds.words import NOTHING, keys, text_of, words

SPANS, RELATIONS = KINDS["spans"], KINDS["relations"]
TRANSCRIPT, SEGMENTS = KINDS["transcript"], KINDS["segments"]


def given(kind: Any, **answers: Any) -> list[Given[Any]]:
    return [Given(who, kind.parse(raw)) for who, raw in answers.items()]


def tagged_crowd(items: int, opinions: int, seed: int) -> tuple[dict[str, list[Given[Any]]], dict[str, Any]]:
    """Sentences with names; some people miss many, one in five marks at random."""
    rng = np.random.default_rng(seed)
    answers, truth = {}, {}
    for item in range(items):
        real = [
            [at, at + int(rng.integers(1, 4)), "AB"[rng.integers(2)]] for at in range(0, 40, 8) if rng.random() < 0.6
        ]
        truth[f"t{item}"] = SPANS.parse(real)
        answers[f"t{item}"] = [
            Given(f"p{who}", SPANS.parse(_marks(real, rng, careless=who % 5 == 4)))
            for who in rng.choice(10, opinions, replace=False)
        ]
    return answers, truth


def _marks(real: list[list[Any]], rng: np.random.Generator, *, careless: bool) -> list[list[Any]]:
    hit, right = (0.4, 0.6) if careless else (0.75, 0.95)
    found = [
        [s, e, label if rng.random() < right else "AB"[rng.integers(2)]] for s, e, label in real if rng.random() < hit
    ]
    found = [[s, e + int(rng.random() < 0.1), label] for s, e, label in found]
    return [*found, [44, 45, "A"]] if careless and rng.random() < 0.5 else found


def test_fused_spans_beat_majority_and_medoid_and_know_the_careless() -> None:
    answers, truth = tagged_crowd(120, 4, 1)
    fused = SPANS.fuse(answers)
    figure = SPANS.measure([(fused.labels[task].value, truth[task]) for task in truth])["f1"]
    vote = SPANS.measure([(SPANS.majority(answers[task]), truth[task]) for task in truth])["f1"]  # type: ignore[misc]
    near = SPANS.measure([(medoid(answers[task], SPANS.distance), truth[task]) for task in truth])["f1"]
    assert figure > max(vote, near) + 0.02
    skills = fused.skills
    assert max(skills[who]["detection"] for who in ("p4", "p9")) < min(
        skills[f"p{n}"]["detection"] for n in (0, 1, 2, 3)
    )
    assert max(skills[who]["class"] for who in ("p4", "p9")) < min(skills[f"p{n}"]["class"] for n in (0, 1, 2, 3))


def test_the_posterior_of_a_span_says_how_often_it_is_right() -> None:
    answers, truth = tagged_crowd(200, 3, 2)
    labels = SPANS.fuse(answers).labels
    told = [(task, part) for task, label in labels.items() for part in label.parts]
    shares = np.array([part["posterior"] for _, part in told])
    right = np.array(
        [(p["start"], p["end"], p["label"]) in set(spans_kind.stretches_of(truth[task])) for task, p in told]
    )
    assert np.mean(shares) == pytest.approx(np.mean(right), abs=0.07)
    assert np.mean(right[shares > 0.9]) > np.mean(right[(shares > 0.3) & (shares < 0.7)]) + 0.2


def test_a_span_of_one_person_alone_is_told_as_a_question() -> None:
    answers, _ = tagged_crowd(80, 3, 3)
    answers["new"] = given(SPANS, p0=[[0, 2, "A"]], p1=[], p2=[], p3=[])
    label = SPANS.fuse(answers).labels["new"]
    assert not label.value.spans
    [question] = label.parts
    assert (question["kept"], question["votes"]) == (False, 1)
    assert 0 < question["posterior"] < 0.5
    assert question["posterior"] == pytest.approx(label.wrong)


def test_tags_are_decoded_legally() -> None:
    """An I of B after a B of A would be likelier alone; the legal path takes one class for both."""
    shares = np.array([[0.0, 0.6, 0.0, 0.4, 0.0], [0.1, 0.0, 0.3, 0.0, 0.6]])
    path = best_path(shares)
    assert path == [3, 4]
    assert stretches(path, shares, (5, 7, 9), ("A", "B")) == [((5, 9, "B"), 0.4)]
    assert flat([(0, 5, "A"), (3, 4, "B"), (7, 8, "B")]) == [(0, 5, "A"), (7, 8, "B")]


def test_the_path_is_the_likeliest_of_all_legal_ones() -> None:
    rng = np.random.default_rng(4)
    every = [path for path in itertools.product(range(5), repeat=4) if all(map(_follows, (0, *path), path))]
    for _ in range(30):
        shares = rng.dirichlet(np.full(5, 0.5), 4)
        assert tuple(best_path(shares)) == max(every, key=lambda path: float(np.prod(shares[np.arange(4), path])))


def _follows(before: int, tag: int) -> bool:
    return tag % 2 == 1 or tag in (0, before, before + 1 if before % 2 else 0)


def test_spans_are_measured_exactly_and_in_part() -> None:
    pair = (SPANS.parse([[0, 2, "A"], [5, 9, "B"]]), SPANS.parse([[0, 2, "A"], [5, 7, "B"]]))
    found = SPANS.measure([pair])
    assert found["f1"] == 0.5
    assert found["partial_f1"] == pytest.approx(2 * 4 / (6 + 4))
    assert SPANS.distance(*pair) == 0.5
    assert SPANS.measure([(SPANS.parse([]), SPANS.parse([]))])["f1"] == 1


@pytest.mark.parametrize(
    ("kind", "raw", "said"),
    [
        ("spans", [[3, 3, "A"]], "not after its start"),
        ("spans", "x", "list"),
        ("spans", [[1, 2]], "start, end, class"),
        ("segments", [[2.5, 1, "A"]], "not after its start"),
        ("segments", [[-1, 1, "A"]], "greater than or equal to 0"),
        ("relations", [], "relations"),
        ("relations", {"spans": [], "relations": [["a", "b", "r"]]}, "not in spans"),
        ("transcript", 3, "text"),
    ],
)
def test_what_cannot_be_read_says_why(kind: str, raw: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        KINDS[kind].parse(raw)


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("spans", [[0, 2, "A"]]),
        ("segments", [[0.5, 2.0, "A"]]),
        ("relations", {"spans": [[0, 1, "A", "s0"], [2, 3, "B", "s1"]], "relations": [["s0", "s1", "r"]]}),
        ("transcript", "Hello, world."),
    ],
)
def test_json_comes_back_as_it_was_and_the_union_is_read_too(kind: str, raw: Any) -> None:
    value = KINDS[kind].parse(raw)
    assert KINDS[kind].encode(value) == raw
    assert KINDS[kind].parse(value.model_dump(mode="json")) == value
    assert KINDS[kind].distance(value, value) == 0


def test_relations_are_voted_over_fused_arguments() -> None:
    """Two people cut an argument differently; the relation is one."""

    def says(end: int, label: str) -> Any:
        return {"spans": [[0, 5, "PER", "a"], [10, end, "ORG", "b"]], "relations": [["a", "b", label]]}

    alone = {"spans": [[0, 5, "PER", "a"], [30, 35, "ORG", "c"]], "relations": [["a", "c", "works"]]}
    items = {
        f"t{n}": given(
            RELATIONS, x=says(16, "works"), y=says(16, "works"), v=says(16, "works"), z=says(14, "works"), w=alone
        )
        for n in range(20)
    }
    fused = RELATIONS.fuse(items)
    value = fused.labels["t0"].value
    assert RELATIONS.encode(value)["relations"] == [["s0", "s1", "works"]]
    assert [(each.start, each.end) for each in value.spans] == [(0, 5), (10, 16)]
    assert RELATIONS.measure([(value, RELATIONS.parse(says(16, "works")))]) == {
        "f1": 1, "precision": 1, "recall": 1, "span_f1": 1
    }  # fmt: skip
    assert fused.skills["w"]["relation_detection"] < fused.skills["x"]["relation_detection"]
    assert RELATIONS.majority is not None
    assert RELATIONS.encode(RELATIONS.majority(items["t0"])) == RELATIONS.encode(value)


def test_a_relation_that_nobody_cut_as_another_did_is_still_one() -> None:
    def says(head: int, tail: int) -> Any:
        return {"spans": [[0, head, "PER", "a"], [10, tail, "ORG", "b"]], "relations": [["a", "b", "works"]]}

    items = {f"t{n}": given(RELATIONS, x=says(5, 14), y=says(3, 16), z=says(5, 16)) for n in range(20)}
    label = RELATIONS.fuse(items).labels["t0"]
    assert [part["votes"] for part in label.parts if "head" in part] == [3]
    assert len(label.value.relations) == 1


def test_words_are_compared_without_case_and_punctuation_and_scripts_without_spaces_by_character() -> None:
    assert keys("Don't STOP, well-known — 3.5!") == ["dont", "stop", "well", "known", "3", "5"]
    assert keys("東京 へ行く") == ["東", "京", "へ", "行", "く"]
    assert text_of([each.written for each in words("東京へ行く。 I went, too.")]) == "東京へ行く。 I went, too."
    assert keys("...") == []


def test_transcripts_are_fused_word_by_word() -> None:
    """No answer is right, and the fused text is."""
    items = {
        f"t{n}": given(
            TRANSCRIPT,
            a="The quick brown fox jumps over a dog",
            b="the quick fox jumps over the lazy dog",
            c="the quack brown fox jumps over the lazy",
        )
        for n in range(3)
    }
    label = TRANSCRIPT.fuse(items).labels["t0"]
    assert keys(label.value.text) == keys("the quick brown fox jumps over the lazy dog")
    assert 0.5 < label.posterior < 1
    assert min(label.parts, key=lambda each: each["posterior"])["word"] in {"quick", "brown", "the", "lazy", "dog"}


def test_those_who_hear_badly_are_outvoted_by_one_who_does_not() -> None:
    rng = np.random.default_rng(0)
    vocabulary = np.array(["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"])
    items, truth = {}, {}
    for item in range(60):
        line = rng.choice(vocabulary, 8)
        noisy = [np.where(rng.random(8) < 0.45, rng.choice(vocabulary, 8), line) for _ in range(2)]
        truth[f"t{item}"] = TRANSCRIPT.parse(" ".join(line))
        items[f"t{item}"] = given(TRANSCRIPT, good=" ".join(line), bad=" ".join(noisy[0]), worse=" ".join(noisy[1]))
    fused = TRANSCRIPT.fuse(items)
    pairs = [(fused.labels[task].value, truth[task]) for task in truth]
    assert TRANSCRIPT.measure(pairs)["wer"] < 0.05
    assert fused.skills["good"]["wer"] < 0.1 < fused.skills["bad"]["wer"]


def test_empty_transcripts_are_answers() -> None:
    assert TRANSCRIPT.fuse({"t": given(TRANSCRIPT, a="", b="", c="hm")}).labels["t"].value.text == ""
    assert TRANSCRIPT.fuse({"t": given(TRANSCRIPT, a="", b="")}).labels["t"].wrong == 0
    assert TRANSCRIPT.measure([(TRANSCRIPT.parse(""), TRANSCRIPT.parse("a b"))])["wer"] == 1
    assert NOTHING not in keys("a")


def test_segments_are_fused_with_their_class() -> None:
    items = {
        f"t{n}": given(
            SEGMENTS,
            a=[[1.0, 2.0, mood]],
            b=[[1.1, 2.1, mood]],
            c=[[1.2, 2.4, ("joy", "fear")[n // 2 % 2]], [8.0, 9.0, "joy"]],
        )
        for n, mood in enumerate(["joy", "fear"] * 12)
    }
    label = SEGMENTS.fuse(items).labels["t0"]
    [kept] = label.value.segments
    assert kept.label == "joy"
    assert (kept.start, kept.end) == (pytest.approx(1.1, abs=0.1), pytest.approx(2.1, abs=0.1))
    assert [part["kept"] for part in label.parts] == [True, False]
    figures = SEGMENTS.measure([(label.value, SEGMENTS.parse([[1.1, 2.1, "joy"], [5, 6, "joy"]]))])
    assert figures["f1"] == pytest.approx(2 / 3)
    assert figures["recall"] == 0.5
