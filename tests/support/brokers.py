"""Real Apache Kafka for tests: in a container where a Docker engine answers, else on the local JVM."""

import asyncio
import functools
import os
import socket
from pathlib import Path
from typing import Protocol

import docker
from docker.errors import DockerException
from testcontainers.core.container import DockerContainer

from cli.stack.children import ChildFailed, free_port
from cli.stack.kafka import Kafka
from cli.stack.kafka.properties import CONTROLLER, INTERNAL, Ports, server_properties
from cli.stack.probe import cluster_id

IMAGE = "apache/kafka:4.1.0"
CHOICE = "LABELSTREAM_TEST_KAFKA"  # "docker" or "jvm"; found out when absent
_CONTROLLER_PORT = 29093


class Broker(Protocol):
    """What a test may do with a broker."""

    @property
    def bootstrap(self) -> str: ...
    @property
    def cluster_id(self) -> str: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def kill9(self) -> None: ...
    async def restart(self) -> None: ...


@functools.cache
def docker_answers() -> bool:
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if address.startswith("unix://") and not _listens(address.removeprefix("unix://")):
        return False  # asked here first: docker's client leaks its socket when refused
    try:
        client = docker.from_env(timeout=5)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except DockerException:
        return False
    finally:
        client.close()


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


def use_docker() -> bool:
    choice = os.environ.get(CHOICE, "")
    return choice == "docker" or (choice == "" and docker_answers())


def real_kafka(directory: Path) -> Broker:
    """Not started. Fails to start, and so fails the test, where there is neither Docker nor Java and Maven."""
    return ContainerKafka() if use_docker() else JvmKafka(directory)


class JvmKafka:
    def __init__(self, directory: Path) -> None:
        self._kafka = Kafka(directory)

    @property
    def bootstrap(self) -> str:
        return self._kafka.bootstrap

    @property
    def cluster_id(self) -> str:
        return self._kafka.cluster_id

    @property
    def pid(self) -> int:
        return self._kafka.pid

    async def start(self) -> None:
        await self._kafka.start()

    async def stop(self) -> None:
        await self._kafka.stop()

    def kill9(self) -> None:
        self._kafka.kill9()

    async def restart(self) -> None:
        await self._kafka.restart()


class ContainerKafka:
    """The same settings in the official image; testcontainers' reaper removes it if the tests are killed."""

    def __init__(self) -> None:
        self._port = free_port()
        self.cluster_id = ""
        ports = Ports(self._port, _CONTROLLER_PORT, {})
        settings = server_properties(Path("/tmp/kraft-combined-logs"), ports, {}, {})  # noqa: S108  # the container's
        settings["listeners"] = f"{INTERNAL}://0.0.0.0:{self._port},{CONTROLLER}://127.0.0.1:{_CONTROLLER_PORT}"
        environment = {"KAFKA_" + key.upper().replace(".", "_"): value for key, value in settings.items()}
        self._container = DockerContainer(IMAGE).with_bind_ports(self._port, self._port).with_envs(**environment)

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._port}"

    async def start(self) -> None:
        await asyncio.to_thread(self._container.start)
        await self._until_ready()

    async def stop(self) -> None:
        await asyncio.to_thread(self._container.stop)

    def kill9(self) -> None:
        self._container.get_wrapped_container().kill(signal="SIGKILL")

    async def restart(self) -> None:
        await asyncio.to_thread(self._container.get_wrapped_container().start)
        await self._until_ready()

    async def _until_ready(self) -> None:
        try:
            async with asyncio.timeout(60):
                while not (found := await cluster_id(self.bootstrap)):  # noqa: ASYNC110  # a broker gives no event
                    await asyncio.sleep(0.1)
        except TimeoutError:
            output = b"".join(self._container.get_logs()).decode(errors="replace")
            raise ChildFailed(f"{IMAGE} was not ready after 60 s:\n{output[-4000:]}") from None
        self.cluster_id = found
