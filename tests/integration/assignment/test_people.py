"""What leads see of people: the newest measurements, of their projects only."""

from datetime import datetime

from shared.events import ConfusionCell, Quality, Skill, SkillDrift, Speed
from shared.topics import ERASURES, QUALITY
from tests.support import events as make
from tests.support.assignment import Replica

PEOPLE = f"/v1/projects/{make.PROJECT}/people"


def skill(who: str, judged: int, at: datetime, project: str = make.PROJECT) -> Quality:
    cell = ConfusionCell(truth="positive", answered="neutral", answers=3)
    speed = Speed(median_s=4.5, spread=0.3, answers=20)
    measured = Skill(
        annotator_id=who, accuracy=0.9, low=0.7, high=0.97, judged=judged, correct=18, confusion=(cell,), speed=speed
    )
    return make.quality(measured, project_id=project, subject=f"annotator#{who}", sequence=f"{judged}", measured_at=at)


def fall(who: str) -> Quality:
    measured = SkillDrift(annotator_id=who, number=1, before=0.9, low=0.8, recent=0.5, judged=40, false_alarm=0.02)
    return make.quality(measured, subject=f"annotator#{who}", sequence="drift:1", measured_at=make.at(70))


async def test_leads_see_the_newest_of_each_kind(replica: Replica) -> None:
    ann = await replica.person("ann")
    lead = await replica.person("lou", "lead", [make.PROJECT])
    stranger = await replica.person("sue", "lead", ["elsewhere"])
    late, early = skill("ann", 30, make.at(90)), skill("ann", 20, make.at(60))
    await replica.handle(QUALITY, late, early, fall("ann"), skill("ben", 5, make.at(60)))
    await replica.handle(QUALITY, early, skill("cat", 9, make.at(60), "elsewhere"))
    assert (await ann.get(PEOPLE)).json()["code"] == "forbidden"
    assert (await stranger.get(PEOPLE)).status_code == 404
    first = (await lead.get(PEOPLE, params={"limit": 1})).json()
    [one] = first["people"]
    assert (one["id"], one["may_work"], one["skill"]["judged"]) == ("ann", True, 30)
    assert (one["skill"]["speed"]["median_s"], one["drift"]["number"]) == (4.5, 1)
    assert one["skill"]["confusion"] == [{"truth": "positive", "answered": "neutral", "answers": 3}]
    rest = (await lead.get(PEOPLE, params={"after": first["next"]})).json()
    assert [(p["id"], p["may_work"], p["drift"]) for p in rest["people"]] == [("ben", False, None)]
    assert rest["next"] is None


async def test_nothing_is_kept_of_an_erased_person(replica: Replica) -> None:
    await replica.handle(QUALITY, skill("ann", 20, make.at(60)))
    await replica.handle(ERASURES, make.erasure(subject="annotator", annotator_id="ann"))
    await replica.handle(QUALITY, skill("ann", 30, make.at(90)))
    assert await replica.sql("SELECT 1 FROM measurements") == []
