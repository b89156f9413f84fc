"""The engine of objects: clusters, existence, classes, extents, and what is left open."""

import numpy as np
import pytest

from services.qc.domain.kinds.clusters import cluster
from services.qc.domain.kinds.intervals import Interval, Line, overlap
from services.qc.domain.kinds.objects import Answer, Drawn, Fused, best_labels, fuse, learn, majority, resolve
from services.qc.domain.kinds.weighted import weighted_median, weighted_mode

LINE = Line(least=0.4)
Item = list[Answer[Interval]]
Truth = list[Drawn[Interval]]


def drawn(*objects: tuple[float, float, str]) -> tuple[Drawn[Interval], ...]:
    return tuple(Drawn((start, end), label) for start, end, label in objects)


def says(who: str, *objects: tuple[float, float, str]) -> Answer[Interval]:
    return Answer(who, drawn(*objects))


def crowd_of(items: int, opinions: int, seed: int, *, people: int = 12) -> tuple[list[Item], list[Truth]]:
    """Items of a line with 0 to 8 segments; every fifth annotator is careless."""
    rng = np.random.default_rng(seed)
    made: tuple[list[Item], list[Truth]] = ([], [])
    for _ in range(items):
        truth = [
            Drawn((100.0 * at + rng.uniform(0, 20), 100.0 * at + rng.uniform(50, 90)), "ab"[rng.integers(2)])
            for at in range(rng.integers(0, 9))
        ]
        who = rng.choice(people, opinions, replace=False)
        made[0].append([Answer(f"p{one}", _answer(truth, rng, careless=one % 5 == 4)) for one in who])
        made[1].append(truth)
    return made


def _answer(truth: Truth, rng: np.random.Generator, *, careless: bool) -> tuple[Drawn[Interval], ...]:
    detection, false, right, jitter = (0.5, 1.5, 0.6, 12.0) if careless else (0.85, 0.4, 0.92, 4.0)
    objects = [
        Drawn(
            (each.extent[0] + rng.normal(0, jitter), each.extent[1] + rng.normal(0, jitter)),
            each.label if rng.random() < right else "ab"[rng.integers(2)],
        )
        for each in truth
        if rng.random() < detection
    ]
    starts = rng.uniform(0, 800, rng.poisson(false))
    return (*objects, *(Drawn((start, start + rng.uniform(30, 60)), "ab"[rng.integers(2)]) for start in starts))


def hits(found: list[Drawn[Interval]], truth: Truth) -> list[bool]:
    """Of each found object whether it is the best match of a real one of its class."""
    taken: set[int] = set()
    told = []
    for each in found:
        scores = [float(overlap([each.extent], [real.extent])[0, 0]) for real in truth]
        best = int(np.argmax(scores)) if scores else -1
        right = best >= 0 and best not in taken and scores[best] >= 0.5 and truth[best].label == each.label
        told.append(right)
        taken.update({best} if right else ())
    return told


def f1(found: list[list[Drawn[Interval]]], truth: list[Truth]) -> float:
    right = sum(sum(hits(each, real)) for each, real in zip(found, truth, strict=True))
    return 2 * right / (sum(map(len, found)) + sum(map(len, truth)))


def kept(fused: Fused[Interval]) -> list[Drawn[Interval]]:
    return [Drawn(each.extent, each.label) for each in fused.kept]


def test_a_cluster_has_one_object_of_each_annotator_and_near_ones_are_not_mixed_up() -> None:
    one = says("a", (0, 10, "x"), (8, 18, "x"))
    two = says("b", (1, 11, "x"), (9, 19, "x"))
    found = cluster([one, two, says("c", (100, 110, "x"))], LINE)
    assert found.number == 3
    assert found.cluster.tolist() == [0, 1, 0, 1, 2]
    assert found.likeness[0] == pytest.approx(9 / 11)
    assert np.isnan(found.likeness[4])


def test_of_two_at_one_place_those_of_one_class_belong_together() -> None:
    people = [says("a", (0, 10, "x"), (0, 10, "y")), says("b", (0, 10, "y"), (0, 10, "x"))]
    assert cluster(people, LINE).cluster.tolist() == [0, 1, 1, 0]


def test_the_order_of_answers_changes_nothing() -> None:
    items, _ = crowd_of(20, 4, 3)
    crowd = learn(items, LINE)
    for item in items:
        found, turned = fuse(item, LINE, crowd), fuse(item[::-1], LINE, crowd)
        assert sorted((e.extent, e.label) for e in found.kept) == sorted((e.extent, e.label) for e in turned.kept)
        assert found.wrong == pytest.approx(turned.wrong)


def test_skills_tell_the_careless_from_the_others() -> None:
    items, _ = crowd_of(150, 5, 1)
    people = learn(items, LINE).people
    careless = [people[name] for name in ("p4", "p9")]
    careful = [people[name] for name in ("p0", "p1", "p2", "p3")]
    assert max(each.detection for each in careless) < min(each.detection for each in careful)
    assert min(each.false for each in careless) > max(each.false for each in careful)
    assert max(each.accuracy for each in careless) < min(each.accuracy for each in careful)
    assert min(each.off for each in careless) > max(each.off for each in careful)
    assert np.mean([each.detection for each in careful]) == pytest.approx(0.85, abs=0.04)


def test_what_one_person_alone_saw_is_a_question_and_the_careful_are_believed_more() -> None:
    items, _ = crowd_of(100, 2, 1)
    crowd = learn(items, LINE)
    by = {who: fuse([says(who, (0, 50, "a")), says("p1")], LINE, crowd) for who in ("p0", "p4")}
    assert 0.05 < by["p4"].objects[0].existence < by["p0"].objects[0].existence < 0.95
    assert by["p0"].wrong > 0.1


def test_nothing_seen_by_many_is_surer_than_by_one() -> None:
    items, _ = crowd_of(100, 3, 5)
    crowd = learn(items, LINE)
    alone, several = fuse([says("p0")], LINE, crowd), fuse([says("p0"), says("p1"), says("p2")], LINE, crowd)
    assert not alone.objects
    assert alone.wrong == alone.unseen > 4 * several.unseen > 0
    assert fuse([], LINE, crowd).unseen == pytest.approx(sum(crowd.density[:2]), rel=0.01)


@pytest.mark.parametrize("opinions", [2, 3, 5])
def test_existence_is_calibrated(opinions: int) -> None:
    items, truth = crowd_of(150, opinions, 7)
    crowd = learn(items, LINE)
    shares, right = [], []
    for item, real in zip(items, truth, strict=True):
        fused = fuse(item, LINE, crowd)
        shares += [each.posterior for each in fused.objects]
        right += hits([Drawn(each.extent, each.label) for each in fused.objects], real)
    bins = np.minimum((np.array(shares) * 5).astype(int), 4)
    gap = sum(abs(np.sum(np.array(right)[bins == at]) - np.sum(np.array(shares)[bins == at])) for at in range(5))
    assert gap / len(shares) < 0.06
    assert np.mean(shares) == pytest.approx(np.mean(right), abs=0.05)


@pytest.mark.parametrize("opinions", [3, 5])
def test_the_fused_label_beats_majority_and_the_best_annotator(opinions: int) -> None:
    items, truth = crowd_of(120, opinions, 11)
    crowd = learn(items, LINE)
    fused = [fuse(item, LINE, crowd) for item in items]
    voted = [list(majority(item, LINE)) for item in items]
    single = {}
    for who in crowd.people:
        mine = [
            (list(a.objects), real) for item, real in zip(items, truth, strict=True) for a in item if a.annotator == who
        ]
        single[who] = f1([each for each, _ in mine], [real for _, real in mine])
    found, most = f1([kept(each) for each in fused], truth), f1(voted, truth)
    assert found > max(single.values())
    assert found > most + (0.005 if opinions > 3 else -0.005)  # of three, nearly all that can be known is the majority


def test_where_nobody_invents_objects_the_less_seen_of_the_real_ones_are_not_taken_for_false() -> None:
    rng = np.random.default_rng(11)
    places = [(100.0 * at, 100.0 * at + 60.0, "ab"[at % 2]) for at in range(8)]
    items = [
        [says(f"p{who}", *(each for each in places if rng.random() < 0.85)) for who in range(40)] for _ in range(10)
    ]
    crowd, found = resolve(items, LINE)
    assert all(len(one.objects) == 8 and min(each.existence for each in one.objects) > 0.99 for one in found)
    assert crowd.typical.false < 0.2


def test_doubtful_objects_are_kept_where_they_raise_the_expected_f1() -> None:
    items, _ = crowd_of(60, 2, 3)
    crowd = learn(items, LINE)
    plain = [fuse(item, LINE, crowd) for item in items]
    best = best_labels(plain)

    def expected(found: list[Fused[Interval]]) -> float:
        kept = [each.posterior for one in found for each in one.kept]
        real = sum(one.unseen + sum(each.existence for each in one.objects) for one in found)
        return 2 * sum(kept) / (len(kept) + real)

    assert sum(len(one.kept) for one in best) > sum(len(one.kept) for one in plain)
    assert expected(best) > expected(plain)
    least = min(each.posterior for one in best for each in one.kept if each.existence < 0.5)
    assert least == pytest.approx(expected(best) / 2, abs=0.03)


def test_the_class_is_that_of_those_who_know_it() -> None:
    """Two who mix up the classes are outvoted by one who does not."""
    rng = np.random.default_rng(2)
    items: list[Item] = []
    for _ in range(120):
        label = "ab"[rng.integers(2)]
        guess = ["ab"[rng.integers(2)] for _ in range(2)]
        items.append(
            [says("n", (0, 9, guess[0])), says("m", (0, 9, guess[1])), *(says(w, (0, 9, label)) for w in "xyz")]
        )
    found = fuse([says("n", (0, 9, "a")), says("m", (0, 9, "a")), says("x", (0, 9, "b"))], LINE, learn(items, LINE))
    assert found.objects[0].label == "b"
    assert found.objects[0].classes["b"] > 0.9


def test_a_stranger_is_the_crowd_and_an_unknown_class_stays() -> None:
    items, _ = crowd_of(60, 3, 9)
    crowd = learn(items, LINE)
    found = fuse([says("new", (0, 40, "never seen"))], LINE, crowd).objects[0]
    assert (found.label, found.extent) == ("never seen", (0, 40))
    assert 0 < found.existence < 1


def test_no_answers_and_no_objects_are_fine() -> None:
    crowd = learn([[says("a")], [says("a"), says("b")]], LINE)
    assert fuse([says("a")], LINE, crowd).kept == ()
    assert learn([], LINE).people == {}


def test_weighted_middles() -> None:
    values = np.array([[1.0, 5.0], [2.0, 4.0], [9.0, 3.0]])
    assert weighted_median(values, np.ones(3)).tolist() == [2, 4]
    assert weighted_median(values, np.array([1.0, 1.0, 5.0])).tolist() == [9, 3]
    assert weighted_median(values[:2], np.ones(2)).tolist() == [1.5, 4.5]
    assert weighted_mode(np.array([3.0, 3.0, 8.0]), np.ones(3)) == 3
    assert weighted_mode(np.array([3.0, 8.0]), np.ones(2)) is None


def test_how_far_off_people_are_is_told_from_how_far_off_others_are() -> None:
    """Careful people are compared with careless ones, too; their own error is still found."""
    rng = np.random.default_rng(3)
    noise = {"a": 0.2, "b": 0.2, "c": 0.2, "d": 2.0, "e": 2.0}
    items = []
    for _ in range(60):
        ends = np.array([[at, at + 10.0] for at in range(0, 100, 20)])
        items.append(
            [
                Answer(who, tuple(Drawn(tuple(each), "x") for each in (ends + rng.normal(0, sd, ends.shape)).tolist()))
                for who, sd in noise.items()
            ]
        )
    crowd, fused = resolve(items, Line())
    careful, careless = crowd.skill("a"), crowd.skill("e")
    assert careless.off / careful.off < 3
    assert careless.spread / careful.spread > 5
    assert careful.seen == pytest.approx(300, rel=0.05)
    assert careful.off_error < 0.02
    errors = [abs(end - 10 * round(end / 10)) for one in fused for each in one.kept for end in each.extent]
    assert np.mean(errors) < 0.12  # as a mean of the three careful ones has
