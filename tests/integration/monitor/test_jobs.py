"""Publishing, the metrics' snapshot, and pruning, on a real PostgreSQL."""

import asyncio
import json
from datetime import timedelta
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from services.monitor.jobs import Jobs
from services.monitor.metrics import DECLARED, FlowCollector
from services.monitor.settings import MonitorSettings
from shared.events import Anchoring, Evidence, Quality
from shared.labels import Span, Spans
from shared.runtime.settings import KafkaSettings
from shared.topics import ANNOTATIONS, ITEMS, LABELS, PREDICTIONS, QUALITY, ROUTES
from tests.support import events as make
from tests.support.monitor import Monitor


def jobs_of(monitor: Monitor, **more: Any) -> tuple[Jobs, FlowCollector]:
    kafka = KafkaSettings(security_protocol="PLAINTEXT", allow_insecure=True)
    settings = MonitorSettings(kafka=kafka, window_s=3600, quality_interval_s=60, **more)
    collector = FlowCollector(max_classes=settings.metric_classes)
    return Jobs(monitor.unit, monitor.projects, settings, collector), collector


async def fill(monitor: Monitor) -> None:
    await monitor.handle(ITEMS, [make.item("i1"), make.item("i2"), make.item("i3")])
    await monitor.handle(PREDICTIONS, [make.prediction("i1"), make.prediction("i2", value="neutral")])
    await monitor.handle(ROUTES, [make.route("i2")])
    evidence = Evidence(proposal=make.proposal("neutral", confidence=0.8))
    await monitor.handle(LABELS, [make.auto_label("i1"), make.label("i2", evidence=evidence)])


async def published_quality(monitor: Monitor) -> list[Quality]:
    records = [record for record in await monitor.published() if record.topic == QUALITY.name]
    return [Quality.model_validate(json.loads(record.value or b"")) for record in records]


async def test_each_window_is_published_once_by_all_replicas(monitor: Monitor) -> None:
    await fill(monitor)
    jobs, _ = jobs_of(monitor)
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(jobs.publish_quality())
    events = await published_quality(monitor)
    assert sorted(e.subject for e in events) == ["accuracy/m1", "class_mix/labels", "class_mix/predictions", "model/m1"]
    assert len({e.event_id for e in events}) == 4
    monitor.now += timedelta(seconds=60)
    await jobs.publish_quality()
    assert len(await published_quality(monitor)) == 8


async def test_a_rebuilt_monitor_publishes_no_window_again(monitor: Monitor) -> None:
    await fill(monitor)
    jobs, _ = jobs_of(monitor)
    await jobs.publish_quality()
    events = await published_quality(monitor)
    async with monitor.unit() as unit:
        await unit.connection.execute("TRUNCATE published_windows, outbox")
    await monitor.handle(QUALITY, events, "rebuild_quality")
    await jobs.publish_quality()
    assert not await published_quality(monitor)


async def test_metrics_show_the_flow(monitor: Monitor) -> None:
    await fill(monitor)
    jobs, collector = jobs_of(monitor)
    registry = CollectorRegistry()
    registry.register(collector)
    assert generate_latest(registry) == b""
    await jobs.take_snapshot()
    text = generate_latest(registry).decode()
    for line in (
        'labelstream_items{project="sentiment",state="labelled"} 2.0',
        'labelstream_items{project="sentiment",state="awaiting_prediction"} 1.0',
        'labelstream_items{project="sentiment",state="blocked"} 0.0',
        'labelstream_labels_total{path="auto",project="sentiment"} 1.0',
        'labelstream_labels_total{path="expert",project="sentiment"} 0.0',
        'labelstream_label_opinions_total{path="consensus",project="sentiment"} 2.0',
        'labelstream_label_cost_total{path="consensus",project="sentiment"} 0.16',
        'labelstream_item_prediction_latency_seconds_bucket{le="1.0",project="sentiment"} 2.0',
        'labelstream_item_prediction_latency_seconds_sum{project="sentiment"} 2.0',
        'labelstream_item_label_latency_seconds_count{path="auto",project="sentiment"} 1.0',
        'labelstream_class_share_ratio{class="neutral",of="predictions",project="sentiment"} 0.5',
        'labelstream_disagreement_ratio{model_version="m1",project="sentiment"} 1.0',
        'labelstream_relabel_budget_remaining{project="sentiment"} 100.0',
    ):
        assert line in text.replace("labels={", ""), line
    shown = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert shown == {one.name + ("_total" if one.type == "counter" else "") for one in DECLARED}


async def test_metrics_show_accuracy_by_path_and_what_is_inside_of_labels(monitor: Monitor) -> None:
    spans = Spans(spans=(Span(start=0, end=4, label="positive"), Span(start=6, end=8, label="negative")))
    near = Spans(spans=(Span(start=0, end=2, label="positive"),))
    evidence = Evidence(proposal=make.proposal(confidence=0.97).model_copy(update={"value": near}))
    audits = [
        make.label(f"i{n}", value=spans if n else near, evidence=evidence, would_auto=True, inclusion_probability=0.1)
        for n in range(4)
    ]
    await monitor.handle(LABELS, audits)
    jobs, collector = jobs_of(monitor)
    await jobs.publish_quality()
    await monitor.handle(QUALITY, await published_quality(monitor))
    await jobs.take_snapshot()
    registry = CollectorRegistry()
    registry.register(collector)
    text = generate_latest(registry).decode()
    for line in (
        'labelstream_objects_per_item{of="labels",project="sentiment"} 1.75',
        'labelstream_object_class_share_ratio{class="negative",of="labels",project="sentiment"} 0.42857142857142855',
        'labelstream_extent_disagreement_ratio{model_version="m1",project="sentiment"} 0.375',
        'labelstream_accuracy_ratio{basis="sample",name="m1",of="model",project="sentiment"} 0.25',
        'labelstream_accuracy_ratio{basis="audit",name="auto",of="path",project="sentiment"} 0.25',
    ):
        assert line in text, line
    for figure, about in (
        ("objects_per_item_{}", 'of="labels"'),
        ("object_class_share_{}_ratio", 'class="negative",of="labels"'),
        ("extent_disagreement_{}_ratio", 'model_version="m1"'),
    ):
        for end in ("low", "high"):
            assert f"labelstream_{figure.format(end)}{{{about}," in text, figure
    assert 'labelstream_accuracy_high_ratio{basis="audit",name="auto",of="path",project="sentiment"}' in text
    assert 'labelstream_model_calibration_error_ratio{model_version="m1",project="sentiment"}' in text
    monitor.now += timedelta(days=2)
    await jobs.take_snapshot()
    assert "labelstream_accuracy_ratio{" not in generate_latest(registry).decode(), "what is measured no more"


async def test_pruning_keeps_totals(monitor: Monitor) -> None:
    await fill(monitor)
    before = await monitor.counts()
    jobs, _ = jobs_of(monitor)
    await jobs.prune()
    assert await monitor.counts() == before
    monitor.now += timedelta(days=15)
    await jobs.prune()
    after = await monitor.counts()
    assert after == {key: n for key, n in before.items() if not key.bucket}
    assert len(after) < len(before)


async def test_pruning_goes_on_in_bounded_steps_until_nothing_old_is_left(monitor: Monitor) -> None:
    async with monitor.pool.acquire() as connection:
        await connection.execute(
            "INSERT INTO counters SELECT 'p', 'predicted', n * 60, '', '', 0, 1 FROM generate_series(1, 250) AS n"
        )
        await connection.execute(
            "INSERT INTO seen SELECT gen_random_uuid(), date '2020-01-01' FROM generate_series(1, 201)"
        )
        await connection.execute(
            "INSERT INTO relabels SELECT 'p', 'i' || n, 1, 'drift', timestamptz '2020-01-01'"
            " FROM generate_series(1, 3) AS n"
        )
        await connection.execute("INSERT INTO relabels VALUES ('p', 'young', 1, 'drift', $1)", monitor.now)
    jobs, _ = jobs_of(monitor, prune_rows=100)
    await jobs.prune()
    async with monitor.pool.acquire() as connection:
        query = "SELECT (SELECT count(*) FROM counters), (SELECT count(*) FROM seen), (SELECT count(*) FROM relabels)"
        left = tuple(await connection.fetchrow(query))
    assert left == (0, 0, 1)


async def test_anchoring_is_published_and_shown(monitor: Monitor) -> None:
    """Of answers that chance hid the proposal from, and of those that it did not; each once."""
    await fill(monitor)
    proposal = make.proposal("positive")
    answers = [
        make.annotation(f"a{n}", value="positive" if n % 4 else "neutral", saw_proposal=n < 20, proposal=proposal)
        for n in range(24)
    ]
    at = monitor.now - timedelta(hours=3)
    answers = [one.model_copy(update={"submitted_at": at}) for one in answers]
    await monitor.handle(ANNOTATIONS, answers)
    await monitor.handle(ANNOTATIONS, answers)
    jobs, collector = jobs_of(monitor)
    await jobs.publish_quality()
    (found,) = [one.measurement for one in await published_quality(monitor) if one.subject == "anchoring"]
    assert isinstance(found, Anchoring)
    assert (found.shown, found.shown_agree, found.hidden, found.hidden_agree) == (20, 15, 4, 3)
    assert found.low < found.difference == 0.0 < found.high
    await jobs.take_snapshot()
    registry = CollectorRegistry()
    registry.register(collector)
    assert 'labelstream_anchoring_ratio{project="sentiment"} 0.0' in generate_latest(registry).decode()
