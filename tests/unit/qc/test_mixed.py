"""A mix of several kinds in one item: validation, consensus by part, the worst part drives, offline the same."""

import csv
import json
from pathlib import Path as File
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from cli.__main__ import build
from services.qc.domain.fusing.agreeing import by_part
from services.qc.domain.fusing.told import part_skills
from services.qc.domain.gold import score_all
from services.qc.domain.item import Answer
from services.qc.domain.kinds.kind import Given
from services.qc.domain.kinds.mixed import MIXED, measure
from services.qc.domain.kinds.tolerance import distance, right
from services.qc.domain.scale import scale_of
from shared.events import Escalation, GoldResult, Label
from shared.labels import (
    Boxes,
    Choice,
    ChoiceSchema,
    ChoicesSchema,
    Mixed,
    MixedSchema,
    Rating,
    RatingSchema,
    Transcript,
    TranscriptSchema,
    category,
    check_label,
)
from tests.support import events as make
from tests.support.live import CAREFUL, CARELESS, Live, Person, Thing, boxes, objects, seen, things, transcript
from tests.support.qc_domain import policy

MOODS = ("calm", "loud", "sad")
SCHEMA = MixedSchema(
    parts={"mood": ChoiceSchema(classes=MOODS), "shapes": objects("boxes"), "words": TranscriptSchema()},
    optional=("words",),
)


def value(mood: str, drawn: list[Thing], text: str | None = "a b") -> Mixed:
    parts: dict[str, Any] = {"mood": Choice(choice=mood), "shapes": boxes(drawn)}
    if text is not None:
        parts["words"] = Transcript(text=text)
    return Mixed(parts=parts)


ONE: list[Thing] = [(0.1, 0.1, 0.5, "car")]


def made(rng: Random, person: Person, mood: str, true: list[Thing]) -> Mixed:
    """What a person makes of it, in all three parts."""
    chosen = rng.choice(MOODS) if rng.random() < 2 * person.confuse else mood
    drawn = seen(true, person, rng)
    return Mixed(parts={"mood": Choice(choice=chosen), "shapes": boxes(drawn), "words": transcript(drawn)})


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"mood": {"kind": "choice", "choice": "calm"}}, "parts.shapes: missing"),
        ({"other": {"kind": "choice", "choice": "calm"}}, "parts.other: the project has no such part"),
        (
            {"mood": {"kind": "choice", "choice": "odd"}, "shapes": {"kind": "boxes", "boxes": []}},
            "parts.mood.choice: 'odd'",
        ),
        ({"mood": {"kind": "boxes", "boxes": []}, "shapes": {"kind": "boxes", "boxes": []}}, "parts.mood.kind: "),
    ],
)
def test_what_does_not_fit_is_named_with_its_part(parts: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=r".+") as refused:
        check_label(Mixed.model_validate({"parts": parts}), SCHEMA)
    assert str(refused.value).startswith(said)


def test_a_mix_is_well_formed_equal_whatever_the_order_and_its_schema_renames_nothing() -> None:
    check_label(value("calm", ONE, None), SCHEMA)
    turned = Mixed(parts=dict(reversed(value("calm", ONE).parts.items())))
    assert turned == value("calm", ONE)
    assert category(turned) == category(value("calm", ONE))
    assert hash(turned) == hash(value("calm", ONE))
    for wrong in ({}, {"No Name": {"kind": "transcript", "text": ""}}, {"a": {"kind": "mixed", "parts": {}}}):
        with pytest.raises(ValidationError):
            Mixed.model_validate({"parts": wrong})
    with pytest.raises(ValidationError, match="are not renamed"):
        MixedSchema(parts={"mood": ChoiceSchema(classes=MOODS, renamed={"quiet": "calm"})})
    with pytest.raises(ValidationError, match="no part 'x'"):
        MixedSchema(parts={"mood": ChoiceSchema(classes=MOODS)}, optional=("x",))


def test_the_distance_is_the_mean_over_parts_and_right_is_every_part() -> None:
    near = [(0.1, 0.102, 0.5, "car")]
    assert distance(value("calm", ONE), value("calm", ONE)) == 0.0
    assert distance(value("calm", ONE), value("loud", ONE)) == pytest.approx(1 / 3)
    assert distance(value("calm", ONE), value("calm", ONE, None)) == pytest.approx(1 / 3)
    assert right(value("calm", ONE), value("calm", near))
    assert not right(value("calm", ONE), value("loud", near))


def test_each_part_is_fused_and_the_worst_one_asks() -> None:
    live, rules = Live(SCHEMA), policy(2, 5, target=0.9)
    near = [(0.1, 0.101, 0.5, "car")]
    (asked,) = live.give(
        make.annotation(by="ada", value=value("calm", ONE), policy=rules),
        make.annotation(by="bob", value=value("loud", near), policy=rules),
    )
    assert isinstance(asked, Escalation)
    assert asked.reason.startswith("class of mood[0]")
    assert asked.posterior is not None
    assert asked.posterior < 0.6
    done = live.give(*(make.annotation(by=f"p{n}", value=value("calm", ONE), policy=rules) for n in range(3)))
    label = done[-1]
    assert isinstance(label, Label)
    assert isinstance(label.value, Mixed)
    assert label.value.parts["mood"] == Choice(choice="calm")
    assert isinstance(label.value.parts["shapes"], Boxes)
    told = {(one.part, one.place) for one in label.evidence.sureness}
    assert told == {("mood", 0), ("shapes", 0), ("words", 0), ("words", 1)}
    worst = min(min(one.existence, one.right_class, one.extent) for one in label.evidence.sureness)
    assert label.posterior == pytest.approx(worst)
    assert live.total.answers["bob", "calm", "loud", "mood/consensus"] == 1
    assert live.total.answers["bob", "", "=", "shapes/found"] == 1


def test_numbers_sets_and_missing_parts_are_questions_too() -> None:
    schema = MixedSchema(
        parts={"stars": RatingSchema(min=1, max=5, step=1), "tags": ChoicesSchema(classes=MOODS)}, optional=("tags",)
    )
    live, rules = Live(schema), policy(2, 3, target=0.9)

    def says(stars: int, tags: list[str] | None) -> Mixed:
        parts: dict[str, Any] = {"stars": Rating(rating=stars)}
        return Mixed.model_validate(
            {"parts": parts | ({} if tags is None else {"tags": {"kind": "choices", "choices": tags}})}
        )

    (far,) = live.give(
        *(make.annotation("far", by=f"p{n}", value=says(s, ["sad"]), policy=rules) for n, s in ((1, 1), (2, 5)))
    )
    assert isinstance(far, Escalation)
    assert far.reason.startswith("number of stars[0]")
    (gone,) = live.give(
        *(make.annotation("gone", by=f"p{n}", value=says(3, t), policy=rules) for n, t in ((1, None), (2, ["sad"])))
    )
    assert isinstance(gone, Escalation)
    assert "tags" in gone.reason
    *_, label = live.give(*(make.annotation("gone", by=f"p{n}", value=says(3, None), policy=rules) for n in (3, 4)))
    assert isinstance(label, Label)
    assert label.value == says(3, None)


def test_skill_is_kept_by_part_and_a_careless_one_is_found_in_each() -> None:
    rng, live = Random(4), Live(SCHEMA, most=4, target=0.8)
    people = {"p0": CAREFUL, "p1": CAREFUL, "p2": CAREFUL, "bad": CARELESS}
    wrong = 0.0
    for n in range(16):
        true, mood = things(rng, 3), rng.choice(MOODS)
        empty = value(mood, true, None)
        given = [(who, made(rng, people[who], mood, true)) for who in rng.sample(sorted(people), 4)]
        label = live.run(f"i{n}", given)
        assert label is not None
        check_label(label.value, SCHEMA)
        wrong += distance(label.value, Mixed(parts={**empty.parts, "words": transcript(true)})) / 16
        if n % 4 == 3:
            live.snapshot()
    assert wrong < 0.2
    good, bad = ({one.part: one for one in part_skills(who, live.parameters.fused)} for who in ("p0", "bad"))
    assert set(good) == set(bad) == {"shapes", "words"}
    assert (bad["shapes"].detection or 0) < (good["shapes"].detection or 0)
    assert (bad["words"].words or 0) > (good["words"].words or 0)
    mood_of = live.parameters.parts["mood"].annotators
    assert mood_of["bad"].correct / mood_of["bad"].total < mood_of["p0"].correct / mood_of["p0"].total


def crowd(rng: Random, items: int) -> tuple[dict[str, list[Given[Mixed]]], dict[str, Mixed]]:
    answers: dict[str, list[Given[Mixed]]] = {}
    truth: dict[str, Mixed] = {}
    for n in range(items):
        true, mood = things(rng, 3), rng.choice(MOODS)
        whole = Mixed(parts={"mood": Choice(choice=mood), "shapes": boxes(true), "words": transcript(true)})
        truth[f"t{n:02}"] = whole
        people = {"a": CAREFUL, "b": CAREFUL, "c": CAREFUL, "bad": CARELESS}
        answers[f"t{n:02}"] = [Given(who, made(rng, one, mood, true)) for who, one in sorted(people.items())]
    return answers, truth


def test_offline_each_part_is_fused_by_its_kind_and_agreement_is_told_by_part() -> None:
    answers, truth = crowd(Random(6), 12)
    fused = MIXED.fuse(answers)
    figures = measure([(fused.labels[task].value, truth[task]) for task in answers])
    alone = measure([(one.value, truth[task]) for task, each in answers.items() for one in each])
    assert figures["accuracy"] > alone["accuracy"]
    assert figures["mood.accuracy"] > alone["mood.accuracy"]
    assert figures["shapes.mean_iou"] > alone["shapes.mean_iou"]
    assert figures["words.wer"] < alone["words.wer"]
    assert {"shapes.detection", "words.wer"} <= fused.skills["bad"].keys()
    told = by_part(answers, resamples=0)
    assert [(one.scope, one.name) for one in told] == [("part", "mood"), ("part", "shapes"), ("part", "words")]
    assert all(one.alpha is not None and one.rounds == 12 for one in told)


def test_the_command_takes_a_mix(tmp_path: File) -> None:
    answers, truth = crowd(Random(7), 8)
    rows = [
        (task, one.annotator, json.dumps(MIXED.encode(one.value))) for task, each in answers.items() for one in each
    ]
    for name, head, body in (
        ("answers.csv", ("task", "worker", "label"), rows),
        (
            "truth.csv",
            ("task", "label"),
            [(task, json.dumps(MIXED.encode(one)["parts"])) for task, one in truth.items()],
        ),
    ):
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file).writerows([head, *body])
    files = ["--answers", str(tmp_path / "answers.csv"), "--truth", str(tmp_path / "truth.csv")]
    done = CliRunner().invoke(
        build(["consensus"]), ["consensus", "--kind", "mixed", *files, "--output", str(tmp_path / "out.csv"), "--json"]
    )
    assert done.exit_code == 0, done.output
    ran = CliRunner().invoke(
        build(["agreement"]), ["agreement", "--kind", "mixed", *files[:2], "--resamples", "50", "--json"]
    )
    assert ran.exit_code == 0, ran.output
    told = json.loads(done.stdout)
    assert told["headline"] == "accuracy"
    assert told["shapes.mean_iou"] > told["baselines"]["one_annotator"]["shapes.mean_iou"]
    with (tmp_path / "out.csv").open() as file:
        first = next(csv.DictReader(file))
    assert Mixed.model_validate_json(first["label"]).parts.keys() == {"mood", "shapes", "words"}
    ran = CliRunner().invoke(
        build(["agreement"]), ["agreement", "--kind", "mixed", *files[:2], "--resamples", "50", "--json"]
    )
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert told["alpha"] is not None


def test_gold_of_a_mix_is_compared_by_part() -> None:
    schema = MixedSchema(parts={**SCHEMA.parts, "loudness": RatingSchema(min=0, max=100)}, optional=("words",))
    scale, true = scale_of(schema), Mixed(parts={**value("calm", ONE).parts, "loudness": Rating(rating=50.0)})
    known = make.gold_answer("g").model_copy(update={"value": true})

    def scored(**changed: Any) -> GoldResult:
        given = Mixed(parts={name: part for name, part in (true.parts | changed).items() if part is not None})
        answer = Answer.of(make.annotation("g", by="ann", value=given, gold=True))
        (result,) = score_all([(("p", "g"), answer, known, scale)], make.AT)
        assert result.event is not None
        assert isinstance(result.event.measurement, GoldResult)
        assert result.correct is result.event.measurement.correct
        return result.event.measurement

    near = scored(loudness=Rating(rating=54.0))  # within the scale's tolerance, as ratings alone are
    assert near.parts == dict.fromkeys(("loudness", "mood", "shapes", "words"), True)
    assert near.correct
    wrong = scored(mood=Choice(choice="loud"), words=None)
    assert wrong.parts == {"loudness": True, "mood": False, "shapes": True, "words": False}
    assert not wrong.correct
    assert scored(loudness=Rating(rating=56.0)).parts["loudness"] is False
