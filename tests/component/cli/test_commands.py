"""project, topics, dlq: what they print, what they publish, and how they refuse."""

from pathlib import Path

import pytest

from shared.bus.deadletter import dead_letter
from shared.bus.publisher import Publisher
from shared.bus.reader import read_all
from shared.bus.records import Outgoing, Record
from shared.errors import Reason
from shared.runtime.settings import KafkaSettings
from tests.component.cli.conftest import Cli
from tests.support.servers import run_sync

PROJECT = """\
project: digits
data: image
label: {kind: choice, classes: ["0", "1"]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "digits.yaml"
    path.write_text(PROJECT)
    return path


def test_a_project_is_applied_once_and_its_changes_are_told(cli: Cli, connected: KafkaSettings, file: Path) -> None:
    assert cli("project", "apply", file, "--dry-run", "--json").json["status"] == "planned"
    assert cli("project", "list", "--json").json["projects"] == []
    assert cli("project", "apply", file, "--json").json["status"] == "applied"
    assert cli("project", "apply", file, "--json").json["status"] == "unchanged"
    file.write_text(PROJECT.replace('"1"', '"7"') + "policy: {overlap: {max: 5}}\n")
    second = cli("project", "apply", file, "--json").json
    assert second["version"] == 2
    assert [change["path"] for change in second["changes"]] == ["label.classes", "policy.overlap.max"]
    assert second["classes_removed"] == ["1"]
    shown = cli("project", "show", "digits", "--version", 1, "--json").json
    assert shown["spec"]["label"]["classes"] == ["0", "1"]
    assert len(run_sync(read_all(connected, "projects.v1"))) == 4  # two versions, each before its pointer


@pytest.mark.usefixtures("connected")
def test_a_pause_survives_a_new_version(cli: Cli, file: Path) -> None:
    cli("project", "apply", file)
    assert cli("project", "pause", "digits", "--json").json["changed"]
    assert not cli("project", "pause", "digits", "--json").json["changed"]
    file.write_text(PROJECT + "title: x\n")
    cli("project", "apply", file)
    assert cli("project", "list", "--json").json["projects"][0]["state"] == "paused"
    assert cli("project", "resume", "digits", "--json").json["state"] == "active"


@pytest.mark.usefixtures("connected")
def test_refusals_are_lines_on_stderr_and_an_exit_code(cli: Cli, file: Path) -> None:
    file.write_text(PROJECT.replace("label:", "lable:"))
    refused = cli("project", "apply", file)
    assert refused.code == 1
    assert refused.out == ""
    assert f"{file}:3:1: lable: unknown key; did you mean 'label'?" in refused.err
    unknown = cli("project", "show", "nobody")
    assert (unknown.code, unknown.err) == (1, "error: there is no project 'nobody'; known: none\n")
    assert "Traceback" not in refused.err + unknown.err


def test_without_a_broker_the_command_says_what_to_set(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LABELSTREAM_KAFKA_BOOTSTRAP", raising=False)
    refused = cli("project", "list")
    assert refused.code == 1
    assert "LABELSTREAM_KAFKA_SASL_USERNAME" in refused.err
    assert refused.err.count("\n") == 1


@pytest.mark.usefixtures("connected")
def test_topics_are_listed_with_partitions_and_lag(cli: Cli) -> None:
    rows = {row["topic"].split(".", 1)[1]: row for row in cli("topics", "list", "--json").json["topics"]}
    assert rows["items.v1"]["partitions"] == 2
    assert rows["projects.v1"]["partitions"] == 1
    made = cli("topics", "create", "--partitions", 2, "--json").json
    assert (made["created"], made["different"]) == ([], {})
    assert cli("topics", "lag", "--json").json["lag"] == 0


async def _refuse(kafka: KafkaSettings) -> None:
    sources = [
        Record("items.v1", 0, 0, b"k0", b"{", (("h", None), ("x", b"\xff")), 1),
        Record("items.v1", 0, 1, b"k1", b"\xff\x00", (), 2),
        Record("items.v1", 0, 2, None, None, (), 3),
    ]
    letters = [dead_letter(one, Reason.BAD_JSON, "broken", service="assignment") for one in sources]
    async with Publisher(kafka) as publisher:
        await publisher.publish([*letters[:2], letters[0]])
        await publisher.publish([Outgoing("items.v1.dlq", b"x", b"not a letter", ())])


def test_dead_letters_are_listed_shown_and_replayed_once(cli: Cli, connected: KafkaSettings) -> None:
    run_sync(_refuse(connected))
    listed = cli("dlq", "list", "--json").json
    assert (listed["dead_letters"], listed["repeats"], listed["foreign"]) == (2, 1, 1)
    assert listed["by_reason"] == [{"topic": "items.v1", "reason": "bad_json", "count": 2}]
    shown = cli("dlq", "show", "items.v1.dlq", 0, 1, "--json").json
    assert shown["value"] == "\\xff\x00"
    assert cli("dlq", "show", "items.v1.dlq", 0, 99).code == 1
    assert cli("dlq", "replay", "--reason", "bad_schema", "--json").json["selected"] == 0
    assert cli("dlq", "replay", "--dry-run", "--json").json["replayed"] == 0
    assert run_sync(read_all(connected, "items.v1")) == []
    assert cli("dlq", "replay", "--topic", "items.v1", "--json").json["replayed"] == 2
    again = cli("dlq", "replay", "--json").json
    assert (again["replayed"], again["already_replayed"]) == (0, 2)
    back = {record.key: record for record in run_sync(read_all(connected, "items.v1"))}
    assert back[b"k0"].value == b"{"
    assert back[b"k0"].headers == (("h", None), ("x", b"\xff"))
    assert back[b"k1"].value == b"\xff\x00"
    assert cli("dlq", "replay", "--again", "--json").json["replayed"] == 2
