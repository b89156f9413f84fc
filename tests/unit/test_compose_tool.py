"""`make compose-test` says what is missing, and knows the images that compose.yaml and the Dockerfile name."""

import re
import shutil

import pytest
import yaml

from shared.topics import PROCESSES
from tests.compose import engine, images, standins
from tests.compose.deployment import COMPOSE, PORTS, RUN, SERVERS


def only(patch: pytest.MonkeyPatch, *programs: str) -> None:
    """A machine with these programs, in which nothing works."""
    patch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name in programs else None)
    patch.setattr(engine.Engine, "succeeds", lambda *_, **__: False)
    patch.setattr(engine, "HELPERS", ())


@pytest.mark.parametrize(
    ("programs", "wanted", "named"),
    [
        ((), "", "apt-get install podman runc netavark aardvark-dns), or Docker"),
        (("docker",), "", "no daemon answers"),
        (("docker",), "podman", "podman was not found"),
        (("podman",), "", "not netavark"),
        (("podman", "netavark"), "", "not aardvark-dns"),
    ],
)
def test_what_is_missing_is_named(
    programs: tuple[str, ...], wanted: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, *programs)
    with pytest.raises(engine.Missing, match=re.escape(named)):
        engine.choose(wanted)


def test_podman_is_taken_first(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "podman", "netavark", "aardvark-dns", "docker")
    assert engine.choose("") == "podman"


def test_everything_of_compose_but_grafana_and_the_operator_is_run() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    assert set(RUN) == services.keys() - {"grafana", "operator"}
    for name in PROCESSES:
        assert f":{PORTS[name]}/health" in services[name]["healthcheck"]["test"][-1]


def test_there_is_a_stand_in_for_every_image_that_is_not_ours() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    ours = set(images.names().values())
    theirs = {service["image"] for name, service in services.items() if name != "grafana"} - ours
    known = standins.wanted((standins.BASE, *SERVERS))
    assert {image.removeprefix("docker.io/").removeprefix("library/") for image in known.values()} >= theirs
    assert all((standins.HERE / name / "Dockerfile").exists() for name in known)
