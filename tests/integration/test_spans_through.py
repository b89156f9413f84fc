"""Spans through all services: a model tags, people correct, several opinions become one label, monitor follows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cli.model import promote_model, register_model
from cli.project.commands import apply_spec
from services.prelabel.app import build as build_prelabel
from services.prelabel.settings import PrelabelSettings
from shared import events as ev
from shared.bus.admin import create_topics
from shared.bus.reader import read_all
from shared.labels import ObjectSchema, Span, Spans
from shared.runtime.settings import KafkaSettings
from shared.topics import ITEMS, LABELS, PREDICTIONS, QUALITY, Topic
from tests.support import events as make
from tests.support.assignment import ADMIN_TOKEN
from tests.support.deployment import Deployment
from tests.support.onnx_decoders import ENTITIES, tagger
from tests.support.probe import running, until
from tests.support.servers import Database

pytestmark = pytest.mark.timeout(60)

SPEC = make.project_spec(
    label=ObjectSchema(kind="spans", classes=ENTITIES),
    policy=ev.Policy(
        overlap=ev.Overlap(min=2, max=3),
        target_posterior=0.9,
        gold=ev.GoldPolicy(share=0.0),
        relabel=ev.RelabelPolicy(budget_per_day=0),
    ),
)
TEXTS = {"right": "Ann Lee to Paris", "short": "Anna Lee to Oslo", "none": "to to"}
MODEL = {"right": [(0, 7, "PER"), (11, 16, "LOC")], "short": [(5, 8, "PER"), (12, 16, "LOC")], "none": []}
TRUTH = MODEL | {"short": [(0, 8, "PER"), (12, 16, "LOC")]}
CARELESS = {"right": [(0, 3, "LOC")], "short": [(5, 8, "PER"), (12, 16, "PER")], "none": [(0, 2, "LOC")]}
PEOPLE = {"ann": TRUTH, "bob": CARELESS, "cyd": TRUTH}


def spans(given: list[tuple[int, int, str]]) -> Spans:
    return Spans(spans=tuple(Span(start=start, end=end, label=label) for start, end, label in given))


async def told(kafka: KafkaSettings, topic: Topic[Any]) -> list[Any]:
    return [topic.event.validate_json(one.value or b"") for one in await read_all(kafka, topic.name)]


async def join(http: Any) -> dict[str, dict[str, str]]:
    admin = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    people = {"annotators": [{"id": name} for name in PEOPLE]}
    added = (await http.post("/v1/annotators", json=people, headers=admin)).json()["results"]
    return {name: {"authorization": f"Bearer {one['token']}"} for name, one in zip(PEOPLE, added, strict=True)}


async def correct(http: Any, headers: dict[str, str], given: Mapping[str, list[tuple[int, int, str]]]) -> int:
    """One person takes what there is, sees the proposal, and gives an answer."""
    tasks = (await http.post("/v1/next", json={"count": 3}, headers=headers)).json()["tasks"]
    names = {text: name for name, text in TEXTS.items()}
    for task in tasks:
        name = names[task["content"]["text"]]
        assert Spans.model_validate(task["proposal"]["value"]) == spans(MODEL[name])
        value = spans(given[name]).model_dump(mode="json")
        done = await http.post(f"/v1/leases/{task['lease_id']}/submit", json={"value": value}, headers=headers)
        assert done.status_code == 200, done.text
    return len(tasks)


def figures(page: str) -> dict[str, float]:
    """Samples of monitor's metrics by name and labels."""
    lines = (line for line in page.splitlines() if line.startswith("labelstream_"))
    return {name.removeprefix("labelstream_"): float(n) for name, _, n in (line.rpartition(" ") for line in lines)}


async def test_from_a_tagged_text_to_a_fused_label_and_its_figures(
    kafka_settings: KafkaSettings, database: Database, tmp_path: Path
) -> None:
    deployed = Deployment(kafka_settings, database)
    await create_topics(kafka_settings, partitions=1)
    await deployed.migrate()
    await apply_spec(kafka_settings, SPEC, now=make.AT)
    content, manifest = tagger()
    await register_model(kafka_settings, make.PROJECT, content, manifest, directory=tmp_path, version="m1")
    await promote_model(kafka_settings, make.PROJECT, "m1")
    prelabel = build_prelabel(PrelabelSettings(kafka=kafka_settings, model_dir=tmp_path, model_poll_s=0.1))
    await deployed.publish(ITEMS, *(make.item(name, text=text) for name, text in TEXTS.items()))
    quick = {"quality_interval_s": 0.3}
    async with running(prelabel), deployed.services(quick, {"snapshot_interval_s": 0.3}) as http:
        tokens = await join(http)
        await deployed.until("assignment", "SELECT count(*) FROM rounds WHERE free > 0 AND NOT ended", 3)
        for name in ("ann", "bob"):
            assert await correct(http, tokens[name], PEOPLE[name]) == 3
        await deployed.until("qc", "SELECT count(*) FROM rounds WHERE asked = 3", 3)

        async def finished() -> bool:
            await correct(http, tokens["cyd"], PEOPLE["cyd"])
            return len(await told(kafka_settings, LABELS)) == 3

        await until(finished)
        await _labelled(kafka_settings)
        await _people(kafka_settings)
        await _monitored(deployed)


async def _labelled(kafka: KafkaSettings) -> None:
    """What the model proposed, and what the three made of it."""
    proposed = {one.item_id: one.value for one in await told(kafka, PREDICTIONS)}
    assert proposed == {name: spans(given) for name, given in MODEL.items()}
    labels = {one.item_id: one for one in await told(kafka, LABELS)}
    assert {name: one.value for name, one in labels.items()} == {name: spans(one) for name, one in TRUTH.items()}
    assert {(one.path, one.opinions) for one in labels.values()} == {(ev.Path.CONSENSUS, 3)}
    assert labels["short"].evidence.proposal.value == spans(MODEL["short"])
    sure = {one.place: one for one in labels["short"].evidence.sureness}
    assert {place: one.votes for place, one in sure.items()} == {0: 2, 1: 2}
    assert labels["short"].evidence.left_out


async def _people(kafka: KafkaSettings) -> None:
    """Who is careless, and what they did to proposals."""
    skills: dict[str, ev.Skill] = {}

    async def all_judged() -> bool:
        events = [one.measurement for one in await told(kafka, QUALITY)]
        skills.update({one.annotator_id: one for one in events if isinstance(one, ev.Skill)})
        return {name: one.judged for name, one in skills.items()} == dict.fromkeys(PEOPLE, 3)

    await until(all_judged)
    (good,), (bad,) = skills["ann"].parts, skills["bob"].parts
    assert (good.detection, good.false) == (1.0, 0.0)
    assert bad.detection is not None
    assert bad.detection < 1.0
    assert skills["ann"].correct == 3
    assert skills["bob"].correct < 2
    done = skills["ann"].corrections
    assert done is not None
    assert (done.accepted, done.edited, done.replaced) == (2, 0, 1)


async def _monitored(deployed: Deployment) -> None:
    """Objects per item, their classes, and how far people's extents are from the model's."""
    where = f'project="{make.PROJECT}"'
    shown: dict[str, float] = {}

    async def counted() -> bool:
        assert deployed.monitor is not None
        shown.update(figures((await deployed.monitor.get("/metrics")).text))
        return shown.get(f'objects_per_item{{of="labels",{where}}}') == pytest.approx(4 / 3)

    await until(counted)
    assert shown[f'objects_per_item{{of="predictions",{where}}}'] == pytest.approx(4 / 3)
    assert shown[f'object_class_share_ratio{{class="PER",of="labels",{where}}}'] == pytest.approx(0.5)
    apart = shown[f'extent_disagreement_ratio{{model_version="m1",{where}}}']
    assert apart == pytest.approx((1.0 - 3 / 8) / 4)
