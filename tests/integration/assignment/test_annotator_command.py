"""`labelstream annotator` against the API over a real socket."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import uvicorn
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from cli.annotator import app
from shared.topics import QUALITY
from tests.integration.assignment.test_people import fall, skill
from tests.support import events as make
from tests.support.assignment import ADMIN_TOKEN, Replica


@pytest.fixture
async def url(replica: Replica) -> AsyncGenerator[str]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        found.listen()
        server = uvicorn.Server(uvicorn.Config(replica.api, log_level="error", lifespan="off"))
        running = asyncio.create_task(server.serve(sockets=[found]))
        with capture_logs():  # the service's log lines are not the command's output
            yield f"http://127.0.0.1:{found.getsockname()[1]}"
        server.should_exit = True
        await running


async def run(url: str, *words: str, token: str = ADMIN_TOKEN) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, [*words, "--url", url, "--token", token])


async def as_json(url: str, *words: str) -> Any:
    result = await run(url, *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


async def test_a_person_from_first_token_to_quarantine_and_back(replica: Replica, url: str) -> None:
    added = await as_json(url, "add", "ann/1", "--role", "expert", "--project", make.PROJECT)
    assert (await replica.client(added["token"]).get("/v1/me")).json()["role"] == "expert"
    renewed = await as_json(url, "token", "ann/1")
    assert renewed["token"] != added["token"]
    (listed,) = (await as_json(url, "list"))["annotators"]
    assert (listed["id"], listed["projects"], listed["quarantined"]) == ("ann/1", [make.PROJECT], [])
    marked = await as_json(url, "quarantine", "ann/1", "--project", make.PROJECT, "--reason", "spam")
    assert marked["quarantined"] == [make.PROJECT]
    assert (await as_json(url, "reinstate", "ann/1"))["quarantined"] == []
    readable = await run(url, "list")
    assert "ann/1" in readable.stdout


async def test_skills_of_a_project(replica: Replica, url: str) -> None:
    await replica.person("ann")
    await replica.handle(QUALITY, skill("ann", 20, make.at(60)), fall("ann"))
    (one,) = (await as_json(url, "skills", "--project", make.PROJECT))["people"]
    assert (one["id"], one["skill"]["accuracy"]) == ("ann", 0.9)
    readable = (await run(url, "skills", "--project", make.PROJECT)).stdout
    assert "0.900 (0.700" in readable
    assert "0.50" in readable
    assert "neutral" in (await run(url, "skills", "--project", make.PROJECT, "--confusions")).stdout


async def test_refusals_are_failures(replica: Replica, url: str) -> None:
    await replica.person("ann")
    for words in (("add", "ann"), ("token", "nobody"), ("quarantine", "nobody")):
        assert (await run(url, *words)).exit_code == 1, words
    assert (await run(url, "list", token="wrong")).exit_code == 1
