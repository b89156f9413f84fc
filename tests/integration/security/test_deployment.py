"""The four services as processes, each with its own principal and exactly its ACLs: items in, labels out."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from cli.stack.embedded import Stack, StackOptions
from shared.bus.acls import rights
from shared.topics import OPERATOR, SERVICES
from tests.e2e.world.plan import Plan
from tests.e2e.world.proof import prove
from tests.e2e.world.world import World
from tests.support.secure.kafka import SecureKafka, environment

pytestmark = pytest.mark.timeout(150)


class SecureStack(Stack):
    """Each service has credentials of its own; the commands have the operator's."""

    def __init__(self, options: StackOptions, secure: SecureKafka) -> None:
        super().__init__(options)
        self._secure = secure

    def service_environment(self, name: str) -> dict[str, str]:
        own = environment(self._secure.settings(name, self.options.prefix))
        return {**super().service_environment(name), **own}


class SecureWorld(World):
    def __init__(self, plan: Plan, directory: Path, secure: SecureKafka, prefix: str) -> None:
        super().__init__(plan, directory)
        self.stack = SecureStack(replace(self.stack.options, broker="external", prefix=prefix), secure)


async def test_the_whole_stack_works_under_these_acls_alone(
    secure: SecureKafka, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for party in (*SERVICES, OPERATOR):
        secure.allow(rights(party, prefix=prefix))
    for name, value in environment(secure.settings(OPERATOR, prefix)).items():
        monkeypatch.setenv(name, value)
    async with SecureWorld(Plan(seed=7), tmp_path, secure, prefix) as world:
        async with world.load():
            await asyncio.sleep(3)
        proof = await prove(world)
    assert {label.path for label in proof.topics.labels} >= {"auto", "consensus"}
    assert proof.poison > 0
    for service in world.stack.services.values():
        log = service.log.read_text()
        assert "access_refused" not in log
        assert secure.passwords[service.name] not in log
