"""Lanes and fits: what of the queue is for whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.assignment.domain.fit import drawn, fits, judged
from services.assignment.domain.lanes import (
    EXPERTS,
    PLAIN,
    Lane,
    expert_lane_of,
    fall_back_s,
    lane_of,
    lanes_for,
    language_of,
)
from shared import events as ev
from tests.support import events as make

NAMES = st.lists(st.text("abcdefgh-", min_size=1, max_size=5), max_size=3, unique=True)


def test_without_rules_about_people_everybody_has_one_queue() -> None:
    assert lane_of(make.policy(), "de") == PLAIN
    assert lane_of(make.policy(people=ev.People()), None) == PLAIN


def test_a_lane_says_what_somebody_must_speak_and_belong_to() -> None:
    policy = make.policy(people=ev.People(groups=("nurses", "doctors"), languages=("en", "de")))
    assert lane_of(policy, None) == "annotator:de,en|doctors,nurses"
    assert lane_of(policy, "fr") == "annotator:fr|doctors,nurses"
    unmatched = make.policy(people=ev.People(match_language=False))
    assert lane_of(unmatched, "fr") == PLAIN
    lane = Lane.of("annotator:de,en|doctors,nurses")
    assert lane.serves({"en"}, {"nurses"})
    assert lane.serves(None, {"doctors", "cooks"})  # no languages said: all of them
    assert not lane.serves({"fr"}, {"nurses"})
    assert not lane.serves({"en"}, set())
    assert not lane.serves(set(), {"nurses"})


def test_a_person_takes_from_the_lanes_that_they_serve() -> None:
    known = ["annotator:de|", "annotator:fr|", "annotator:|doctors", "annotator:fr|doctors"]
    assert lanes_for(known, None, []) == [PLAIN, "annotator:de|", "annotator:fr|"]
    assert lanes_for(known, ["fr"], ["doctors"]) == [
        PLAIN,
        "annotator:fr|",
        "annotator:fr|doctors",
        "annotator:|doctors",
    ]
    assert lanes_for(known, ["it"], []) == [PLAIN]
    assert lanes_for([], ["it"], []) == [PLAIN]


def test_an_experts_lane_is_by_likely_class_and_language() -> None:
    experts = ev.Experts(groups=("seniors",), classes={"contract": ("lawyers", "notaries")}, fall_back_s=60.0)
    policy = make.policy(people=ev.People(experts=experts))
    assert expert_lane_of(policy, None, "poem") == "expert:|seniors"
    assert expert_lane_of(policy, "de", "contract") == "expert:de|lawyers,notaries"
    assert expert_lane_of(policy, None, None) == "expert:|seniors"
    assert (fall_back_s(policy), fall_back_s(make.policy())) == (60.0, 3600.0)
    assert expert_lane_of(make.policy(people=ev.People(groups=("seniors",))), "de", "contract") == EXPERTS
    anybody = ev.Experts(classes={"contract": ()}, match_language=False)
    assert expert_lane_of(make.policy(people=ev.People(experts=anybody)), "de", "contract") == EXPERTS
    assert lane_of(policy, None) == PLAIN, "annotators are not concerned"
    known = ["annotator:de|", "expert:|lawyers", "expert:de|", "expert:fr|lawyers"]
    assert lanes_for(known, ["de"], ["lawyers"], EXPERTS) == [EXPERTS, "expert:de|", "expert:|lawyers"]
    assert lanes_for(known, ["de"], ["lawyers"]) == [PLAIN, "annotator:de|"]


@given(NAMES, NAMES, st.sampled_from([PLAIN, EXPERTS]))
def test_a_lane_comes_back_from_its_text(languages: list[str], groups: list[str], role: str) -> None:
    lane = Lane(tuple(languages), tuple(groups))
    text = lane.of_role(role)
    assert Lane.of(text) == lane
    assert text == role or text.startswith(f"{role}:")
    assert lane.serves(languages, groups)


@pytest.mark.parametrize(
    ("said", "language"),
    [
        ("DE", "de"),
        (" pt-BR ", "pt-br"),
        ("", None),
        (None, None),
        (7, None),
        ("de,en", None),
        ("a|b", None),
        ("x" * 201, None),
    ],
)
def test_what_metadata_names_as_a_language(said: object, language: str | None) -> None:
    assert language_of(said) == language


def skill(who: str, **cells: tuple[int, int]) -> ev.Skill:
    confusion = tuple(
        ev.ConfusionCell(truth=truth, answered=answered, answers=n)
        for truth, (right, wrong) in cells.items()
        for answered, n in ((truth, right), ("other", wrong))
    )
    return ev.Skill(annotator_id=who, accuracy=0.5, low=0.4, high=0.6, judged=100, correct=50, confusion=confusion)


def test_an_item_comes_up_for_whom_knows_its_class() -> None:
    expert, other = skill("ann", cats=(95, 5), dogs=(50, 50)), skill("bob", cats=(30, 70), dogs=(50, 50))
    crowd = judged([expert, other])
    assert crowd["cats"] == (125, 75)
    mine = [fits(judged([expert]), crowd, weight=0.5, seed=n) for n in range(300)]
    assert all(one["cats"] > 0.0 for one in mine)
    assert sum(one["cats"] for one in mine) / 300 == pytest.approx(0.5 * (0.95 - 0.62), abs=0.03)
    assert abs(sum(one["dogs"] for one in mine) / 300) < 0.02
    theirs = [fits(judged([other]), crowd, weight=0.5, seed=n) for n in range(300)]
    assert all(one["cats"] < 0.0 for one in theirs)


def test_a_newcomer_is_tried_on_every_class_and_settles_with_evidence() -> None:
    crowd = judged([skill("ann", cats=(80, 20)), skill("bob", cats=(80, 20))])
    new = [fits({}, crowd, weight=1.0, seed=n)["cats"] for n in range(1000)]
    known = [fits({"cats": (400, 100)}, crowd, weight=1.0, seed=n)["cats"] for n in range(1000)]
    up = sum(one > 0.1 for one in new) / 1000
    assert 0.2 < up < 0.6  # often before those who are known to be as good as everybody
    assert sum(one < -0.1 for one in new) / 1000 > 0.1
    assert max(map(abs, known)) < 0.1
    assert fits({}, crowd, weight=1.0, seed=3) == fits({}, crowd, weight=1.0, seed=3)
    assert fits({}, {}, weight=1.0, seed=3) == {}
    assert max(abs(fits({}, crowd, weight=0.2, seed=n)["cats"]) for n in range(300)) <= 0.2


def test_of_several_people_one_is_drawn_by_what_their_opinions_tell() -> None:
    worths = {"good": 0.4, "fair": 0.2}
    people, chances = ["fair", "good", "new"], [(n + 0.5) / 1000 for n in range(1000)]

    def shares(prefer: float, known: dict[str, float]) -> list[float]:
        taken = [drawn(people, known, prefer=prefer, chance=chance) for chance in chances]
        return [taken.count(name) / 1000 for name in people]

    assert shares(0.0, worths) == pytest.approx([0.333, 0.333, 0.333], abs=0.01)
    assert shares(1.0, worths) == pytest.approx([0.222, 0.444, 0.333], abs=0.01), "a newcomer counts as the mean"
    assert shares(2.0, worths) == pytest.approx([0.138, 0.552, 0.310], abs=0.01)
    assert shares(2.0, {}) == pytest.approx([0.333, 0.333, 0.333], abs=0.01)
    assert drawn(["spam"], {"spam": 0.0}, prefer=2.0, chance=0.999) == "spam"
