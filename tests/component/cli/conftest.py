"""The command line against an in-memory broker, as a person runs it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from cli.__main__ import main
from shared.bus.admin import create_topics
from shared.runtime.settings import KafkaSettings
from tests.support.servers import run_sync


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        assert self.code == 0, self.err
        document: dict[str, Any] = json.loads(self.out)
        return document


Cli = Callable[..., Ran]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def run(*arguments: object) -> Ran:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def connected(tansu_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    """The environment names the broker; the topics of this test exist."""
    for name, value in {
        "BOOTSTRAP": tansu_settings.bootstrap,
        "PREFIX": tansu_settings.prefix,
        "SECURITY_PROTOCOL": "PLAINTEXT",
        "ALLOW_INSECURE": "true",
        "IDEMPOTENCE": "false",
    }.items():
        monkeypatch.setenv(f"LABELSTREAM_KAFKA_{name}", value)
    run_sync(create_topics(tansu_settings, partitions=2))
    return tansu_settings
