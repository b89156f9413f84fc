"""Label Studio community beside it: the same two calls by a few annotators, on the same machine, as it is installed.

It lives in an environment of its own, `build/studio` (`make bench-peers` installs it from environments/studio.txt). Its
migrations are most of its first start (a minute of a processor, many on a busy machine): they run once, into a database
of which each run takes a copy.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import sqlite3
import time
from asyncio.subprocess import PIPE, STDOUT
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import httpx

from cli.stack.children import free_port
from tests.bench.annotators import no_news, quantile, text_of

PROGRAM = Path("build/studio/bin/label-studio")
EMPTY = Path("build/studio/empty.sqlite3")
DATABASE = "label_studio.sqlite3"
PEOPLE, TASKS, IMPORT_TASKS = 5, 20_000, 5_000
MIGRATE_S, START_S, WORK_S, CALL_S = 3600.0, 900.0, 20.0, 120.0
CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="mood" toName="text">'
    '<Choice value="negative"/><Choice value="neutral"/><Choice value="positive"/></Choices></View>'
)
ANSWER = {"result": [{"from_name": "mood", "to_name": "text", "type": "choices", "value": {"choices": ["neutral"]}}]}


@asynccontextmanager
async def studio() -> AsyncGenerator[tuple[httpx.AsyncClient, Path]]:
    """A running one as it is installed, on SQLite: its administrator's client, and the file of its database.

    The PostgreSQL of our wheel has none of the extensions that its migrations want.

    Raises:
        FileNotFoundError: it is not installed.
    """
    if not await asyncio.to_thread(PROGRAM.exists):
        raise FileNotFoundError(f"{PROGRAM} is missing: make bench-peers installs it")
    await _migrate()
    token, port = secrets.token_hex(20), free_port()
    with TemporaryDirectory() as directory, TemporaryFile() as log:
        database = Path(directory) / DATABASE
        await asyncio.to_thread(shutil.copyfile, EMPTY, database)
        child = await asyncio.create_subprocess_exec(
            PROGRAM, "start", "--no-browser", "--port", str(port), "--username", "bench@example.com",
            "--password", secrets.token_hex(12), "--user-token", token,
            env=_environment(directory), stdout=log, stderr=log,
        )  # fmt: skip
        try:
            async with client_of(port, token) as client:
                await _until_up(client, child)
                yield client, database
        except TimeoutError as error:
            log.seek(0)
            raise TimeoutError(f"{error}: {log.read()[-2000:].decode(errors='replace')}") from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
            await child.wait()


def _environment(directory: str) -> dict[str, str]:
    return os.environ | {
        "LABEL_STUDIO_BASE_DATA_DIR": directory, "LATEST_VERSION_CHECK": "false", "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "", "COLLECT_ANALYTICS": "false", "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
    }  # fmt: skip


async def _migrate() -> None:
    """An empty database with its tables, once; any command of it migrates first.

    Raises:
        TimeoutError: an hour was not enough.
        RuntimeError: it failed; says how it put it.
    """
    if await asyncio.to_thread(EMPTY.exists):
        return
    with TemporaryDirectory(dir=EMPTY.parent) as directory:
        child = await asyncio.create_subprocess_exec(
            PROGRAM, "version", env=_environment(directory), stdout=PIPE, stderr=STDOUT
        )
        try:
            told, _ = await asyncio.wait_for(child.communicate(), MIGRATE_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        if child.returncode != 0:
            raise RuntimeError(f"Label Studio did not make its database: {told[-2000:].decode(errors='replace')}")
        await asyncio.to_thread((Path(directory) / DATABASE).replace, EMPTY)


def client_of(port: int, token: str) -> httpx.AsyncClient:
    headers = {"authorization": f"Token {token}"}
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=CALL_S, trust_env=False)


async def _until_up(client: httpx.AsyncClient, child: asyncio.subprocess.Process) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            if (await client.get("/api/projects")).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        if child.returncode is not None or time.monotonic() > deadline:
            raise TimeoutError(f"Label Studio did not come up in {START_S:.0f} s")
        await asyncio.sleep(1.0)


async def _fill(client: httpx.AsyncClient, number: int) -> int:
    """A project with tasks, each with a prediction."""
    made = await client.post("/api/projects", json={"title": "bench", "label_config": CONFIG})
    project: int = made.raise_for_status().json()["id"]
    for first in range(0, number, IMPORT_TASKS):
        tasks = [
            {"data": {"text": text_of(n)}, "predictions": [{"model_version": "v1", "score": n % 97 / 97, **ANSWER}]}
            for n in range(first, min(first + IMPORT_TASKS, number))
        ]
        (await client.post(f"/api/projects/{project}/import", json=tasks)).raise_for_status()
    return project


async def _hire(client: httpx.AsyncClient, database: Path, number: int) -> list[str]:
    """Tokens of new people of the same organisation."""
    tokens: dict[int, str] = {}
    for n in range(number):
        person = {"email": f"ann{n}@example.com", "username": f"ann{n}", "first_name": "Ann"}
        made = await client.post("/api/users/", json=person)
        tokens[made.raise_for_status().json()["id"]] = secrets.token_hex(20)
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        connection.executemany("DELETE FROM authtoken_token WHERE user_id = ?", [(who,) for who in tokens])
        connection.executemany(
            "INSERT INTO authtoken_token (key, created, user_id) VALUES (?, CURRENT_TIMESTAMP, ?)",
            [(token, who) for who, token in tokens.items()],
        )
    return list(tokens.values())


class Tally:
    def __init__(self) -> None:
        self.next_ms: list[float] = []
        self.both_ms: list[float] = []
        self.refused = Counter[str]()


async def _annotate(client: httpx.AsyncClient, project: int, until: float, tally: Tally) -> None:
    while (began := time.monotonic()) < until:
        task = await client.get(f"/api/projects/{project}/next")
        taken = time.monotonic()
        if task.status_code != httpx.codes.OK:
            tally.refused[f"next {task.status_code}"] += 1
            await asyncio.sleep(0.2)
            continue
        answer = await client.post(f"/api/tasks/{task.json()['id']}/annotations/", json=ANSWER)
        if answer.status_code != httpx.codes.CREATED:
            tally.refused[f"submit {answer.status_code}"] += 1
            continue
        tally.next_ms.append((taken - began) * 1000)
        tally.both_ms.append((time.monotonic() - began) * 1000)


async def work(port: int, tokens: Sequence[str], project: int, seconds: float) -> tuple[Tally, float]:
    """Everybody as fast as it goes; what they saw, and for how long."""
    tally, started = Tally(), time.monotonic()
    clients = [client_of(port, token) for token in tokens]
    async with asyncio.TaskGroup() as group:
        for one in clients:
            group.create_task(_annotate(one, project, started + seconds, tally))
    for one in clients:
        await one.aclose()
    return tally, time.monotonic() - started


async def measure(
    news: Callable[[str], None] = no_news, *, number: int = TASKS, people: int = PEOPLE
) -> dict[str, float]:
    """What its annotators get, as fast as it goes."""
    news("starting Label Studio; the first time it makes its tables")
    async with studio() as (client, database):
        news(f"importing {number:,} tasks")
        project = await _fill(client, number)
        tokens = await _hire(client, database, people)
        port = client.base_url.port or 0
        news(f"{people} annotators")
        await work(port, tokens, project, WORK_S / 4)
        tally, seconds = await work(port, tokens, project, WORK_S)
    return {
        "studio_submits_per_second": len(tally.both_ms) / seconds,
        "studio_next_p50_ms": quantile(sorted(tally.next_ms), 0.5),
        "studio_p50_ms": quantile(sorted(tally.both_ms), 0.5),
        "studio_p99_ms": quantile(sorted(tally.both_ms), 0.99),
        "studio_n": len(tally.both_ms),
        "studio_tasks": number,
        **{f"studio_refused: {why}": n for why, n in sorted(tally.refused.items())},
    }


if __name__ == "__main__":
    for name, value in asyncio.run(measure(print)).items():
        print(f"{name:32} {value:10.2f}")
