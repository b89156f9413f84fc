"""`python -m tests.compose`: the images and compose.yaml, built and run for real; `make compose-test`.

`python -m tests.compose with-engine COMMAND...` only runs a command with DOCKER_HOST at an engine that has the image of
Kafka, so that testcontainers uses it.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from shared.errors import LabelstreamError
from shared.topics import PROCESSES
from tests.compose import images, standins, watching
from tests.compose.deployment import SERVERS, Deployment, cpu_and_memory
from tests.compose.engine import Engine, Failed, Missing, choose, docker_engine, say
from tests.compose.images import Image
from tests.compose.service import with_engine
from tests.compose.store import private_podman
from tests.compose.traffic import POLICY, Proven, Traffic, run
from tests.e2e.world.plan import Plan

T = TypeVar("T")


@dataclass(slots=True)
class Findings:
    """What the report at the end says."""

    base: Mapping[str, bool] = field(default_factory=dict)
    images: Sequence[Image] = ()
    drained_s: float = 0.0
    used: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    sent: int = 0
    grafana: str = ""
    proven: Proven | None = None


@contextmanager
def engine_of(wanted: str) -> Generator[Engine]:
    """The engine to use: Docker, or podman on a store of this run's own."""
    if choose(wanted) == "docker":
        yield docker_engine()
    else:
        with private_podman() as engine:
            yield engine


def test(engine: Engine, plan: Plan, seconds: float) -> Findings:
    """All of it.

    Raises:
        Missing: an image can be neither pulled nor built.
        Failed: something does not hold.
    """
    found = Findings(grafana=watching.check_grafana_files())
    found.base = standins.provide(engine, (standins.BASE, *SERVERS))
    with tempfile.TemporaryDirectory(prefix="ls-") as directory:
        deployment = Deployment(engine, Path(directory))
        say("building the images of compose.yaml from the Dockerfile")
        deployment.build()
        found.images = images.check(engine, next(iter(found.base)))
        try:
            deployed(deployment, plan, seconds, found)
        except Failed:
            print(deployment.logs(), file=sys.stderr)
            raise
        finally:
            say(f"removing {deployment.project}")
            left = deployment.destroy()
        if left:
            raise Failed(f"compose down left {left}")
    return found


def deployed(deployment: Deployment, plan: Plan, seconds: float, found: Findings) -> None:
    """Up, load, drain, down, up, load, proof."""
    deployment.up()
    watching.check_rules(deployment)
    traffic = Traffic(deployment, plan)
    say("an operator applies the project, registers and promotes the model, adds the first person")
    traffic.prepare()
    asyncio.run(traffic.hire())

    idle = cpu_and_memory(deployment)

    def drain() -> None:
        used, found.sent = cpu_and_memory(deployment), len(traffic.ledger.items())
        found.used = {name: (cpu - idle[name][0], peak) for name, (cpu, peak) in used.items()}
        began = time.monotonic()
        codes = deployment.stop(*PROCESSES)
        found.drained_s = time.monotonic() - began
        if any(codes.values()):
            raise Failed(f"at SIGTERM the services ended with {codes} after {found.drained_s:.0f} s")
        say(f"SIGTERM under load: all drained and ended with 0 in {found.drained_s:.0f} s")

    def restart() -> None:
        deployment.down()
        deployment.up()

    found.proven = finished(run(traffic, drain, restart, seconds=seconds))
    watching.check_prometheus(deployment, found.proven.items)


def finished(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; of the errors of several tasks the first is raised."""
    try:
        return asyncio.run(work)
    except BaseExceptionGroup as several:
        first: BaseException = several
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from several


def report(found: Findings) -> None:
    """The figures, for people."""
    real = [name for name, standin in found.base.items() if not standin]
    print("\nimage                          MB    without its base")
    for image in found.images:
        print(f"{image.name:<28}{image.size_mb:>6}{image.own_mb:>12}")
    print(f"pulled: {', '.join(real) or 'none'}")
    print(f"stand-ins: {', '.join(name for name in found.base if name not in real) or 'none'}")
    if found.used:
        print(f"\nservice       CPU s   peak MB   while {found.sent} items came in")
        for name, (cpu, peak) in found.used.items():
            print(f"{name:<12}{cpu:>7.1f}{peak:>10.0f}")
    print(f"\nGrafana: {found.grafana}")
    if proven := found.proven:
        paths = ", ".join(f"{name} {count}" for name, count in proven.by_path.items())
        print(
            f"\n{proven.items} items, {proven.repeats} repeats, {proven.poison} bad records, {proven.answers} answers:"
            f" {proven.labels} labels ({paths}); drained in {found.drained_s:.0f} s, down, up again;"
            f" the audit finds no violation in {proven.records} records, and nothing is lost"
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.compose", description=__doc__)
    parser.add_argument("--engine", choices=("podman", "docker"), default="", help="default: podman, else docker")
    parser.add_argument("--seconds", type=float, default=20, help="of each of the two loads")
    parser.add_argument("--items-per-second", type=float, default=25)
    parser.add_argument("with_engine", nargs="*", metavar="with-engine COMMAND", help="only run COMMAND with an engine")
    options, rest = parser.parse_known_args()
    command = [*options.with_engine, *rest]
    try:
        with engine_of(options.engine) as engine:
            say(f"{engine.program} {engine.run('version', '--format', '{{.Client.Version}}').strip()}")
            if command:
                standins.provide(engine, ("kafka",))
                return with_engine(engine, command[command[0] == "with-engine" :])
            plan = Plan(policy=POLICY, items_per_second=options.items_per_second)
            found = test(engine, plan, options.seconds)
    except Missing as missing:
        print(f"compose-test cannot run here: {missing}", file=sys.stderr)
        return 2
    except (Failed, LabelstreamError) as failed:
        print(f"compose-test failed: {failed}", file=sys.stderr)
        return 1
    report(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
