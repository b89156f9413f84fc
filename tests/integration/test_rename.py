"""A class is renamed while the stream runs: real Kafka and PostgreSQL, three services, people at the API."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from shared import events as ev
from shared.bus.admin import create_topics
from shared.bus.reader import read_all
from shared.labels import category
from shared.runtime.settings import KafkaSettings
from shared.topics import ANNOTATIONS, GOLD_ANSWERS, ITEMS, LABELS, MODELS, PREDICTIONS, PROJECTS, Topic
from tests.support import events as make
from tests.support.assignment import ADMIN_TOKEN
from tests.support.deployment import Deployment
from tests.support.servers import Database

pytestmark = pytest.mark.timeout(180)
OLD, NEW = "neutral", "fair"
POLICY = make.policy(
    auto_accept=ev.AutoAccept(threshold=0.9, audit_share=0.0), overlap=ev.Overlap(min=2, max=2), target_posterior=0.5,
    gold=ev.GoldPolicy(share=0.0),
)  # fmt: skip
SPEC = make.project_spec(policy=POLICY)
ADMIN = {"authorization": f"Bearer {ADMIN_TOKEN}"}
WAVE = 12


@pytest.fixture
async def deployment(kafka_settings: KafkaSettings, database: Database) -> Deployment:
    deployed = Deployment(kafka_settings, database)
    await create_topics(kafka_settings, partitions=2)
    await deployed.migrate()
    await deployed.publish(PROJECTS, make.project_version(spec=SPEC), make.project_pointer())
    await deployed.publish(MODELS, make.model_version(), make.model_pointer())
    await deployed.publish(GOLD_ANSWERS, make.gold_answer("g", value=OLD))
    return deployed


def truth(item: str) -> str:
    """What everybody says of an item, under the name of before."""
    return make.CLASSES[int(item[1:]) % 3]


async def stream(deployed: Deployment, wave: int) -> None:
    """Items `a...` that the model is sure of, `b...` that people are asked about; the model knows the old name only."""
    numbers = range(wave * WAVE, (wave + 1) * WAVE)
    names = [f"{kind}{n}" for n in numbers for kind in "ab"]
    await deployed.publish(ITEMS, *(make.item(name) for name in names))
    told = [make.prediction(name, value=truth(name), confidence=0.95 if name[0] == "a" else 0.5) for name in names]
    await deployed.publish(PREDICTIONS, *told)


class Crowd:
    """People who answer what they are given until they are stopped; one of them has a page from before the rename."""

    def __init__(self, http: Any) -> None:
        self._http = http
        self._tasks: list[asyncio.Task[None]] = []
        self.seen: Counter[str] = Counter()

    async def begin(self) -> None:
        people = [{"id": name} for name in ("ann", "ben", "cyd")]
        added = await self._http.post("/v1/annotators", json={"annotators": people}, headers=ADMIN)
        tokens = [one["token"] for one in added.json()["results"]]
        self._tasks = [asyncio.create_task(self._work(token, n == 0)) for n, token in enumerate(tokens)]

    async def _work(self, token: str, stale: bool) -> None:
        headers = {"authorization": f"Bearer {token}"}
        while True:
            got = await self._http.post("/v1/next", json={"count": 1}, headers=headers)
            tasks = got.json().get("tasks", [])
            for task in tasks:
                await self._answer(task, headers, stale)
            if not tasks:
                await asyncio.sleep(0.05)

    async def _answer(self, task: Any, headers: Any, stale: bool) -> None:
        """What the model proposed, which is the truth here."""
        shown, classes = task["proposal"]["value"]["choice"], task["label"]["classes"]
        assert shown in classes
        self.seen[shown] += 1
        said = OLD if stale and shown == NEW else shown
        body = {"submissions": [{"lease_id": task["lease_id"], "value": {"kind": "choice", "choice": said}}]}
        answered = await self._http.post("/v1/submit", json=body, headers=headers)
        assert answered.json()["results"][0]["receipt"], answered.text

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        wrong = [
            one for one in results if isinstance(one, BaseException) and not isinstance(one, asyncio.CancelledError)
        ]
        assert not wrong, wrong


async def events(deployed: Deployment, topic: Topic[Any]) -> list[Any]:
    return [topic.event.validate_json(one.value or b"") for one in await read_all(deployed.kafka, topic.name)]


async def live(deployed: Deployment) -> dict[str, ev.Label]:
    found: dict[str, ev.Label] = {}
    for label in await events(deployed, LABELS):
        found[label.item_id] = max(found.get(label.item_id, label), label, key=lambda one: one.version)
    return found


async def test_a_class_is_renamed_under_load_and_nobody_pays_for_it(deployment: Deployment) -> None:
    labelled = "SELECT count(*)::int FROM items WHERE standing = 'labelled' AND round = label_version"
    async with deployment.services() as http:
        crowd = Crowd(http)
        await crowd.begin()
        await stream(deployment, 0)
        await deployment.until("assignment", labelled, 2 * WAVE, within_s=60)
        await deployment.until("qc", "SELECT count(*)::int FROM items WHERE label_version > 0", WAVE)
        told = await deployment.json("labels", "rename", OLD, NEW, "-p", make.PROJECT, "--preview")
        assert (told["version"], told["labels_to_rename"], told["answers_that_go_on_counting"]) == (None, 4, 8)
        assert (told["labels_by_model_to_rename"], told["opinions_to_pay"]) == (4, 0)
        assert (told["gold_answers_that_go_on_counting"], told["live_model_that_says_the_old_name"]) == (1, "m1")
        assert Counter(category(one.value) for one in (await live(deployment)).values())[OLD] == 8
        async with asyncio.TaskGroup() as group:
            group.create_task(stream(deployment, 1))
            group.create_task(deployment.json("labels", "rename", OLD, NEW, "-p", make.PROJECT))
        await stream(deployment, 2)
        await deployment.until("assignment", labelled, 6 * WAVE, within_s=60)
        renamed = "SELECT count(*)::int FROM items WHERE label_symbol = 'neutral'"
        await deployment.until("qc", renamed, 0, within_s=60)
        accepted = 'SELECT count(*)::int FROM items WHERE guess LIKE \'%"choice":"neutral"%\''
        await deployment.until("assignment", accepted, 0, within_s=60)
        await deployment.until("assignment", labelled, 6 * WAVE, within_s=60)
        await crowd.end()
        await _at_rest(deployment)
        report = await deployment.json("audit", "--at-rest")
        assert (report["violations"], report["labelled"], report["open"]) == (0, 6 * WAVE, 0), report
        await _all_are_renamed(deployment)
        assert crowd.seen.keys() >= {OLD, NEW}
        assert not (await deployment.json("dlq", "list"))["dead_letters"]


async def _at_rest(deployed: Deployment) -> None:
    for service in ("assignment", "qc", "monitor"):
        await deployed.until(service, "SELECT count(*)::int FROM outbox", 0)


async def _all_are_renamed(deployed: Deployment) -> None:
    labels = await live(deployed)
    assert len(labels) == 6 * WAVE
    for item, label in labels.items():
        expected = NEW if truth(item) == OLD else truth(item)
        assert label.value == make.choice(expected), label
        assert label.path is (ev.Path.AUTO if item[0] == "a" else ev.Path.CONSENSUS)
        assert label.renames in (None, 1)
        assert (label.renames is None) == (label.version == 1)
        if label.renames is not None:
            assert (label.opinions, label.cost, label.supersedes) == (0, 0.0, 1)
    first = {item for item in labels if int(item[1:]) < WAVE and truth(item) == OLD}
    assert {item for item, label in labels.items() if label.renames is not None} >= first
    answers = [one for one in await events(deployed, ANNOTATIONS) if one.outcome is ev.Outcome.ANSWERED]
    assert set(Counter(one.item_id for one in answers).values()) == {2}  # as many opinions as without a rename
    async with deployed.connected("qc") as connection:
        counts = await connection.fetch("SELECT class, sum(answered)::int AS n FROM class_counts GROUP BY 1")
    by_class = Counter({NEW if row["class"] == OLD else row["class"]: 0 for row in counts})
    for row in counts:
        by_class[NEW if row["class"] == OLD else row["class"]] += row["n"]
    assert set(by_class.values()) == {2 * WAVE}


async def test_a_project_file_with_the_class_replaced_does_the_same_and_the_old_file_is_refused(
    deployment: Deployment, tmp_path: Any
) -> None:
    def file(label: str) -> str:
        path = tmp_path / "project.yaml"
        path.write_text(f"project: {make.PROJECT}\ndata: text\nlabel:\n  kind: choice\n{label}")
        return str(path)

    renamed = "  classes: [negative, fair, positive]\n  renamed: {neutral: fair}\n"
    planned = await deployment.json("project", "apply", file(renamed), "--dry-run")
    assert (planned["classes_renamed"], planned["classes_removed"]) == ({OLD: NEW}, [])
    assert (await deployment.json("project", "apply", file(renamed)))["version"] == 2
    ended, _ = await deployment.run("project", "apply", file("  classes: [negative, neutral, positive]\n"))
    assert ended == 1
    told = await deployment.json("labels", "rename", NEW, "middling", "-p", make.PROJECT)
    assert (told["version"], told["gold_answers_that_go_on_counting"]) == (3, 1)
