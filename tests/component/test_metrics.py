"""/metrics: what is there before anything happened, and the formats."""

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from starlette.applications import Starlette

from cli.docs.services import build
from shared.runtime.health import health_routes
from shared.runtime.service import Service

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


async def scrape(service: Service, accept: str) -> httpx.Response:
    app = Starlette(routes=health_routes(service.health))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://qc") as http:
        return await http.get("/metrics", headers={"accept": accept})


async def test_exemplars_are_given_to_who_understands_them() -> None:
    service = build("qc")
    service.metrics.batch_seconds.labels("t").observe(0.003, {"trace_id": "a" * 32})
    plain = await scrape(service, "*/*")
    assert plain.headers["content-type"].startswith("text/plain")
    assert "trace_id" not in plain.text
    rich = await scrape(service, OPEN_METRICS)
    assert rich.headers["content-type"].startswith("application/openmetrics-text")
    parsed = text_string_to_metric_families(rich.text)  # type: ignore[no-untyped-call]
    families = {family.name: family for family in parsed}
    found = [sample.exemplar for sample in families["labelstream_batch_seconds"].samples if sample.exemplar]
    assert [each.labels for each in found] == [{"trace_id": "a" * 32}]


async def test_what_alerts_ask_for_is_there_from_the_start() -> None:
    """A rate never sees the value that a series is born with."""
    text = (await scrape(build("qc"), "*/*")).text
    assert 'labelstream_records_total{outcome="rejected",topic="annotations.v1"} 0.0' in text
    assert 'labelstream_offsets_lost_total{topic="annotations.v1"} 0.0' in text
    assert "labelstream_job_failures_total{task=" in text
    assert "_created" not in text
