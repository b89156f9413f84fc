"""`labelstream up`: the whole stack on this machine, kept running until Ctrl-C."""

import asyncio
import contextlib
import importlib.util
import os
import secrets
import signal
import socket
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.environment import DATA_DIR, ENVIRONMENT_FILE, PREFIX, write_environment
from cli.erase.training import DIRECTORY
from cli.output import JsonFlag, Output
from cli.stack.embedded import Stack, StackOptions
from cli.stack.paths import data_root
from shared.errors import ConfigurationError
from shared.topics import ASSIGNMENT, MONITOR, PROCESSES, SERVICES, TRAINER

FIRST_PORT = 8001
ADMIN_TOKEN = f"{PREFIX}ASSIGNMENT_ADMIN_TOKEN"
PAGE_TOKEN = f"{PREFIX}MONITOR_ADMIN_TOKEN"
MODEL_DIR = f"{PREFIX}PRELABEL_MODEL_DIR"


class Broker(StrEnum):
    """Which broker to start."""

    TANSU = "tansu"
    KAFKA = "kafka"


BrokerOption = Annotated[
    Broker | None,
    typer.Option("--broker", help="tansu: in memory, keeps nothing. kafka: Apache Kafka on the local JVM, durable."),
]


def command(
    *,
    broker: BrokerOption = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Where Kafka and PostgreSQL keep their data; with kafka only.")
    ] = None,
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of each topic.")] = 4,
    as_json: JsonFlag = False,
) -> None:
    """Start broker, PostgreSQL, the four services and the trainer, and keep them running; Ctrl-C drains.

    With LABELSTREAM_KAFKA_BOOTSTRAP set, that broker is used; with LABELSTREAM_<SERVICE>_DATABASE_URL set for every
    service, those databases are. Every other LABELSTREAM_ variable reaches the services.
    """
    token = os.environ.get(ADMIN_TOKEN) or secrets.token_urlsafe(32)
    options = stack_options(broker, data_dir=data_dir, partitions=partitions, admin_token=token)
    asyncio.run(_up(options, token, Output(as_json=as_json)))


def stack_options(broker: Broker | None, *, data_dir: Path | None, partitions: int, admin_token: str) -> StackOptions:
    """What to start, from the options and the environment.

    Raises:
        ConfigurationError: the two contradict each other.
    """
    external = f"{PREFIX}KAFKA_BOOTSTRAP" in os.environ
    if external and broker is not None:
        raise ConfigurationError(
            f"--broker {broker} starts a broker, but {PREFIX}KAFKA_BOOTSTRAP names one; give only one of them"
        )
    kept = (data_dir or data_root()) if broker is Broker.KAFKA else data_dir
    given = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    return StackOptions(
        broker="external" if external else (broker or Broker.TANSU).value,
        data_dir=kept,
        run_dir=(kept or DATA_DIR) / "logs",
        partitions=partitions,
        services=started(),
        ports=_ports(given),
        model_dir=Path(given.get(MODEL_DIR) or (kept or DATA_DIR) / "models").absolute(),
        settings={PAGE_TOKEN: admin_token}
        | {name: value for name, value in given.items() if "KAFKA" not in name}
        | {ADMIN_TOKEN: admin_token},
    )


def started() -> tuple[str, ...]:
    """The services, and the trainer where its extra is installed."""
    return PROCESSES if importlib.util.find_spec("skl2onnx") is not None else SERVICES


def _ports(given: Mapping[str, str]) -> dict[str, int]:
    """The usual port of each service where it is free; the settings' own otherwise."""
    wanted = {name: given.get(f"{PREFIX}{name.upper()}_PORT") for name in PROCESSES}
    usual = {name: int(wanted[name] or FIRST_PORT + number) for number, name in enumerate(PROCESSES)}
    return {name: port for name, port in usual.items() if wanted[name] or _free(port)}


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def client_environment(stack: Stack, admin_token: str) -> dict[str, str]:
    """The variables that connect another command to a stack."""
    environment = dict(stack.environment)
    for name, url in stack.database_urls.items():
        environment[f"{PREFIX}{name.upper()}_DATABASE_URL"] = url
        environment[f"{PREFIX}{name.upper()}_DATABASE_ALLOW_INSECURE"] = "true"
    if ASSIGNMENT in stack.urls:
        environment[f"{PREFIX}URL"] = stack.urls[ASSIGNMENT]
    if TRAINER in stack.services:
        environment[DIRECTORY] = stack.services[TRAINER].environment[DIRECTORY]
    if stack.options.model_dir is not None:
        environment[MODEL_DIR] = str(stack.options.model_dir)
    return environment | {f"{PREFIX}ADMIN_TOKEN": admin_token}


async def _up(options: StackOptions, token: str, out: Output) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    file = DATA_DIR / ENVIRONMENT_FILE
    with out.working("starting"):
        stack = await Stack(options).__aenter__()
    try:
        write_environment(DATA_DIR, client_environment(stack, token))
        out.result(_document(stack, token), lambda to: _show(to, stack, token))
        await _until(stop, stack)
    finally:
        file.unlink(missing_ok=True)
        with out.working("draining"):
            await stack.__aexit__(None, None, None)
    out.note("stopped")


async def _until(stop: asyncio.Event, stack: Stack) -> None:
    """Returns at the signal; raises where a service ends by itself."""
    watching = asyncio.create_task(stack.watch())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()
    finally:
        for task in (watching, stopping):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _document(stack: Stack, token: str) -> dict[str, Any]:
    return {
        "broker": stack.options.broker,
        "bootstrap": stack.bootstrap,
        "urls": stack.urls,
        "status": status_url(stack),
        "admin_token": token,
        "keeps": stack.options.broker != "tansu",
        "data_dir": str(stack.options.data_dir) if stack.options.data_dir else None,
        "logs": str(stack.options.run_dir),
    }


def status_url(stack: Stack) -> str:
    """Where the status page is; empty where monitor does not run."""
    return f"{stack.urls[MONITOR]}/status" if MONITOR in stack.urls else ""


def _show(to: Console, stack: Stack, token: str) -> None:
    to.print(f"Kafka      {stack.bootstrap} ({stack.options.broker})", markup=False)
    for name, url in stack.urls.items():
        to.print(f"{name:<10} {url}", markup=False)
    to.print(f"API        {stack.urls.get(ASSIGNMENT, '')}/docs", markup=False)
    to.print(f"status     {status_url(stack)} (any name; the password is the admin token)", markup=False)
    to.print(f"admin      {token}", markup=False)
    to.print(f"logs       {stack.options.run_dir}", markup=False)
    if stack.options.broker == "tansu":
        to.print("\nThe broker is in memory and keeps nothing: stopping forgets everything (--broker kafka keeps it).")
    elif stack.options.data_dir is not None:
        to.print(f"\nThe data are kept in {stack.options.data_dir}.", markup=False)
    to.print("Other commands run in this directory find this stack by themselves. Ctrl-C drains and stops.")
