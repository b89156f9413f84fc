"""I9: three services on empty databases read the same topics from their beginning, and end with the same facts.

They are the real processes, rebuilding as after a loss of every database: each reads its own output first, so that it
decides nothing again. A record more in a topic of decisions is a violation too.
"""

from collections.abc import Mapping

from cli.migrate import migrate_all
from cli.rest import until_rest
from cli.stack.children import ChildFailed
from cli.stack.postgres import ROLES
from cli.stack.processes import ServiceProcess
from shared.errors import RetryLater
from shared.topics import ANNOTATIONS, ESCALATIONS, LABELS, PREDICTIONS, RELABELS, ROUTES
from tests.e2e.world.facts import differences, read_facts
from tests.e2e.world.finding import Finding
from tests.e2e.world.topics import Topics
from tests.e2e.world.world import World

DATABASE = "replayed"
DECISIONS = (PREDICTIONS, ROUTES, ANNOTATIONS, ESCALATIONS, LABELS, RELABELS)
WITHIN_S = 120.0


async def replay(world: World, topics: Topics) -> list[Finding]:
    """End the world's services, rebuild their databases from the topics, compare.

    Returns:
        What is not the same, or was decided again.
    """
    before = await read_facts(world.postgres.admin_url())
    await world.stop_services()
    urls = {role: world.postgres.url(role, DATABASE) for role in ROLES}
    await world.postgres.create_database(DATABASE)
    await migrate_all(urls)
    services = [_service(world, name, url) for name, url in urls.items()]
    try:
        for service in services:
            service.spawn()
        for service in services:
            await service.wait_ready(WITHIN_S)
        await until_rest({service.name: service.url for service in services}, _settled, within_s=WITHIN_S)
    except (ChildFailed, RetryLater) as error:
        return [Finding("I9", "not rebuilt", str(error))]
    finally:
        for service in services:
            await service.drain()
    after = await read_facts(world.postgres.admin_url(DATABASE))
    told = [_finding(*one) for one in differences(before, after)]
    return [*told, *_again(topics, await Topics.read(world.stack.kafka))]


async def _settled() -> bool:
    return True


def _service(world: World, name: str, url: str) -> ServiceProcess:
    environment = world.stack.service_environment(name) | {f"LABELSTREAM_{name.upper()}_DATABASE_URL": url}
    address = f"http://127.0.0.1:{environment[f'LABELSTREAM_{name.upper()}_PORT']}"
    return ServiceProcess(name, environment, directory=world.directory / "logs" / DATABASE, url=address)


def _finding(table: str, key: tuple[object, ...], what: str) -> Finding:
    item = str(key[1]) if table.partition(".")[2] in ("items", "rounds", "leases") else None
    return Finding("I9", "not rebuilt", f"{table} {key}: {what}", item)


def _again(topics: Topics, now: Topics) -> list[Finding]:
    """Decisions that only the rebuilt services made."""
    more: Mapping[str, int] = {topic.name: now.ends[topic.name] - topics.ends[topic.name] for topic in DECISIONS}
    return [
        Finding("I9", "decided again", f"{number} records more in {name} after the rebuild")
        for name, number in more.items()
        if number
    ]
