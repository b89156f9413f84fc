"""The read API and the status page on a real PostgreSQL."""

import base64
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest

from services.monitor.api import Lag, Reading, make_api
from services.monitor.domain.drift.standing import DetectorState, Standing
from services.monitor.metrics import FlowCollector
from services.monitor.store import AlarmStore, DriftStore, KeptAlarm
from services.monitor.store.reading import ReadingStore
from shared.events import Quarantine, Skill
from shared.topics import ITEMS, LABELS, PREDICTIONS, QUALITY
from tests.integration.monitor.test_jobs import fill, jobs_of
from tests.integration.monitor.test_relabelling import doubtful
from tests.support import events as make
from tests.support.monitor import Monitor
from tests.support.status import TOKEN, alarm

PROJECT = "/api/projects/sentiment"
HOSTILE = "<script>alert('x')</script>"
Opened = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def opened(monitor: Monitor) -> Opened:
    @asynccontextmanager
    async def client(token: str | None = TOKEN) -> AsyncGenerator[httpx.AsyncClient]:
        jobs, collector = jobs_of(monitor)
        await jobs.take_snapshot()
        app = make_api(reading(monitor, collector), token=token)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://monitor", headers={"authorization": f"Bearer {TOKEN}"}
        ) as http:
            yield http

    return client


def reading(monitor: Monitor, collector: FlowCollector) -> Reading:
    lags = [Lag(ITEMS.name, 3, 1.5)]
    return Reading(collector, monitor.unit, lags=lambda: lags, stopped=dict, clock=lambda: monitor.now)


def measured(subject: str, measurement: Any, sequence: str = "1") -> object:
    return make.quality(subject=subject, measurement=measurement, sequence=sequence)


def skill(name: str, accuracy: float = 0.9) -> object:
    one = Skill(annotator_id=name, accuracy=accuracy, low=accuracy - 0.1, high=min(accuracy + 0.1, 1), judged=50,
                correct=45)  # fmt: skip
    return measured(f"annotator#{name}", one)


async def test_the_flow_is_read(monitor: Monitor, opened: Opened) -> None:
    await fill(monitor)
    async with opened() as http:
        assert (await http.get("/api/projects")).json() == {"projects": ["sentiment"]}
        flow = (await http.get(f"{PROJECT}/flow")).json()
        assert flow["items"]["labelled"] == 2
        assert flow["items"]["awaiting_prediction"] == 1
        assert flow["lag"] == [{"topic": ITEMS.name, "records": 3, "oldest_s": 1.5}]
        quality = (await http.get(f"{PROJECT}/quality")).json()
        assert {one["path"]: one["labels"] for one in quality["paths"] if one["labels"]} == {"auto": 1, "consensus": 1}
        assert (await http.get("/api/projects/other/flow")).status_code == 404


async def test_classes_stand_beside_those_of_the_day_before(monitor: Monitor, opened: Opened) -> None:
    await monitor.handle(PREDICTIONS, [make.prediction(f"old{n}", value="negative") for n in range(4)])
    monitor.now += timedelta(hours=2)
    late = [make.prediction(f"new{n}", value="positive").model_copy(update={"predicted_at": monitor.now}) for n in "ab"]
    await monitor.handle(PREDICTIONS, late)
    async with opened() as http:
        found = (await http.get(f"{PROJECT}/classes")).json()["predictions"]
    assert (found["events_now"], found["events_reference"], found["distance"]) == (2, 4, 1.0)
    assert found["classes"][0] == {"class": "positive", "now": 1.0, "reference": 0.0}


async def test_annotators_come_in_pages_and_quarantine_is_said(monitor: Monitor, opened: Opened) -> None:
    names = [f"ann{n}" for n in range(5)]
    await monitor.handle(QUALITY, [skill(name) for name in names])
    held = Quarantine(annotator_id="ann1", active=True, reason="gold")
    await monitor.handle(QUALITY, [measured("annotator#ann1", held)])
    seen: list[tuple[str, bool]] = []
    async with opened() as http:
        after: str | None = ""
        while after is not None:
            page = (await http.get(f"{PROJECT}/annotators", params={"limit": 2, "after": after})).json()
            assert len(page["annotators"]) <= 2
            seen += [(one["annotator_id"], one["quarantined"]) for one in page["annotators"]]
            after = page["next"]
    assert seen == [(name, name == "ann1") for name in names]
    async with monitor.pool.acquire() as connection:
        people = (await ReadingStore(connection).count_people())["sentiment"]
    assert (people.by_band, people.quarantined) == ({9: 5}, 1)


async def test_an_item_and_its_relabels_are_read(monitor: Monitor, opened: Opened) -> None:
    await fill(monitor)
    await monitor.handle(ITEMS, [make.item("a/b")])
    await monitor.handle(LABELS, [doubtful("a/b", 0.02)])
    async with opened() as http:
        item = (await http.get(f"{PROJECT}/items/a/b")).json()
        assert (item["item"], item["state"], item["label_version"]) == ("a/b", "labelled", 1)
        assert [one["cause"] for one in item["relabels"]] == ["disagreement"]
        listed = (await http.get(f"{PROJECT}/relabels", params={"limit": 1})).json()
        assert [one["item"] for one in listed["relabels"]] == ["a/b"]
        rest = (await http.get(f"{PROJECT}/relabels", params={"before": listed["relabels"][0]["requested_at"]})).json()
        assert rest == {"project": "sentiment", "relabels": [], "next": None}
        assert (await http.get(f"{PROJECT}/items/nothing")).status_code == 404


async def test_open_alarms_are_read_and_shown(monitor: Monitor, opened: Opened) -> None:
    async with monitor.unit() as unit:
        await AlarmStore(unit.connection).save_alarms([KeptAlarm("sentiment", alarm())])
    async with opened() as http:
        (found,) = (await http.get(f"{PROJECT}/alarms", params={"open": "true"})).json()["alarms"]
        assert found["suspects"][0]["value"] == "shop-mobile"
        text = (await http.get("/status")).text
    for shown in (
        "predicted class",
        "Predicted classes have moved",
        "shop-mobile",
        "r-118244",
        "raise the audit share",
    ):
        assert shown in text


async def test_detectors_come_in_pages_with_what_they_have_gathered(monitor: Monitor, opened: Opened) -> None:
    states = {("gold", name): DetectorState.LEARNING for name in ("ann/1", "bob")}
    states |= {("predicted_class", ""): DetectorState.WATCHING}
    kept = {key: ("{}", Standing(*key, state, 6.0, 15.0, 40, 50, 41)) for key, state in states.items()}
    async with monitor.unit() as unit:
        await DriftStore(unit.connection).save("sentiment", kept)
    seen: list[dict[str, Any]] = []
    async with opened() as http:
        after: str | None = ""
        while after is not None:
            page = (await http.get(f"{PROJECT}/detectors", params={"limit": 1, "after": after})).json()
            assert page["expected_false_alarms_per_100k"] == 0.1
            seen += page["detectors"]
            after = page["next"]
        text = (await http.get("/status")).text
        bad = await http.get(f"{PROJECT}/detectors", params={"limit": 0})
    assert [(one["signal"], one["slice"]) for one in seen] == sorted(states)
    assert seen[0] == {
        "signal": "gold", "slice": "ann/1", "state": "learning", "log_evidence": 6.0, "log_limit": 15.0, "share": 0.4,
        "reference_events": 40, "reference_wanted": 50, "events": 41,
    }  # fmt: skip
    assert "3 detectors, 2 of them learning" in text
    assert "6.00 of 15.0 nats" in text
    assert bad.status_code == 422


async def test_values_are_escaped_and_the_policy_allows_nothing_foreign(monitor: Monitor, opened: Opened) -> None:
    await monitor.handle(QUALITY, [skill(HOSTILE)])
    await monitor.handle(PREDICTIONS, [make.prediction("i1", value="neutral")])
    async with opened() as http:
        answer = await http.get("/status")
        live = await http.get("/status/live")
    assert HOSTILE not in answer.text + live.text
    assert "&lt;script&gt;alert" in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "style=" not in answer.text


@pytest.mark.parametrize("bad", ["0", "501", "-1", "x", "1e2", "٣", "9" * 5_000])
async def test_limits_are_bounded(opened: Opened, bad: str) -> None:
    async with opened() as http:
        assert (await http.get(f"{PROJECT}/annotators", params={"limit": bad})).status_code == 422
        assert (await http.get(f"{PROJECT}/relabels", params={"before": bad})).status_code == 422


async def test_without_the_token_nothing_is_told(opened: Opened) -> None:
    def basic(password: str) -> str:
        return "Basic " + base64.b64encode(f"any:{password}".encode()).decode()

    async with opened() as http:
        for path in ("/", "/status", "/status/live", "/status/page.js", "/api/projects", f"{PROJECT}/annotators"):
            for header in ("", "Bearer", "Bearer x", f"Basic {TOKEN}", "Basic ====", basic(""), basic(TOKEN + "x")):
                answer = await http.get(path, headers={"authorization": header})
                assert (path, header, answer.status_code) == (path, header, 401)
                assert answer.headers["www-authenticate"].startswith("Basic")
                assert "content-security-policy" in answer.headers
            allowed = await http.get(path, headers={"authorization": basic(TOKEN)}, follow_redirects=True)
            assert allowed.status_code == 200
        assert (await http.post("/status")).status_code == 405
    async with opened(None) as http:
        assert (await http.get("/status")).status_code == 403
