"""gold and guidelines against an in-memory broker."""

import json
from pathlib import Path

import pytest

from cli.reading import reference
from shared.events import GuidelineVersion
from shared.runtime.settings import KafkaSettings
from shared.topics import GOLD_ANSWERS, GOLD_ITEMS, GUIDELINES
from tests.component.cli.conftest import Cli
from tests.support.servers import run_sync

PROJECT = """\
project: mood
data: text
label: {kind: choice, classes: [good, bad]}
"""


@pytest.fixture
def applied(cli: Cli, connected: KafkaSettings, tmp_path: Path) -> KafkaSettings:
    (tmp_path / "mood.yaml").write_text(PROJECT)
    assert cli("project", "apply", tmp_path / "mood.yaml").code == 0
    return connected


def test_gold_is_published_once_and_its_answer_apart(cli: Cli, applied: KafkaSettings, tmp_path: Path) -> None:
    file = tmp_path / "gold.jsonl"
    file.write_text("".join(json.dumps({"id": f"g{n}", "content": "x", "label": "good"}) + "\n" for n in range(3)))
    first = cli("gold", "import", "--project", "mood", "--file", file, "--json")
    assert first.json == {"project": "mood", "items": 3, "published": 3, "unchanged": 0}
    assert cli("gold", "import", "-p", "mood", "-f", file, "--json").json["published"] == 0
    assert {event.item_id for event in run_sync(reference(applied, GOLD_ITEMS))} == {"g0", "g1", "g2"}
    assert len(run_sync(reference(applied, GOLD_ANSWERS))) == 3
    assert cli("gold", "list", "--json").json["projects"] == [{"project": "mood", "items": 3, "without_answer": 0}]


def test_a_bad_gold_file_publishes_nothing(cli: Cli, applied: KafkaSettings, tmp_path: Path) -> None:
    file = tmp_path / "gold.jsonl"
    good = json.dumps({"id": "g", "content": "x", "label": "good"})
    file.write_text(good + "\n" + json.dumps({"id": "h", "content": "x", "label": "fine"}))
    ran = cli("gold", "import", "--project", "mood", "--file", file)
    assert ran.code == 1
    assert "gold.jsonl:2: label.choice: 'fine' is not a class" in ran.err
    assert run_sync(reference(applied, GOLD_ITEMS)) == []
    assert "there is no project" in cli("gold", "import", "-p", "none", "-f", file).err


def test_guidelines_are_versions(cli: Cli, applied: KafkaSettings, tmp_path: Path) -> None:
    file = tmp_path / "guide.md"
    file.write_text("# Mood\n")
    first = cli("guidelines", "publish", file, "--project", "mood", "--touches", "bad", "--json").json
    assert first == {"project": "mood", "version": 1, "status": "published", "touched_classes": ["bad"]}
    assert cli("guidelines", "publish", file, "-p", "mood", "--json").json["status"] == "unchanged"
    file.write_text("# Mood, clearer\n")
    assert cli("guidelines", "publish", file, "-p", "mood", "--json").json["version"] == 2
    assert len(run_sync(reference(applied, GUIDELINES))) == 3
    assert [row["current"] for row in cli("guidelines", "list", "--json").json["guidelines"]] == [False, True]
    assert "not a class" in cli("guidelines", "publish", file, "-p", "mood", "--touches", "purple").err


HEAD = """---
version: 1
touches: [bad]
examples:
  - {text: "It works.", label: good, why: no complaint}
---

# Mood
"""


def test_a_guideline_says_in_its_head_what_it_touches(cli: Cli, applied: KafkaSettings, tmp_path: Path) -> None:
    file = tmp_path / "guide.md"
    file.write_text(HEAD)
    first = cli("guidelines", "publish", file, "--project", "mood", "--json").json
    assert (first["version"], first["touched_classes"]) == (1, ["bad"])
    [version] = [e for e in run_sync(reference(applied, GUIDELINES)) if isinstance(e, GuidelineVersion)]
    assert version.markdown == "# Mood\n"
    assert (version.examples[0].label, version.examples[0].why) == ("good", "no complaint")
    assert cli("guidelines", "publish", file, "-p", "mood", "--json").json["status"] == "unchanged"
    for before, after, says in (
        ("version: 1", "version: 7", "the file says 7; the next one is 2"),
        ("[bad]", "[purple]", "purple: not a class"),
        ("label: good", "label: fine", "fine: not a class"),
        ("touches:", "touchs:", "guide.md:3: touchs"),
        ("label: good,", "", "guide.md:5: examples[0].label"),
        ("  - {", "  - {{", "guide.md:"),
        ("---\n\n# Mood", "# Mood", "has no end"),
    ):
        file.write_text(HEAD.replace(before, after, 1) + "more")
        ran = cli("guidelines", "publish", file, "-p", "mood")
        assert ran.code == 1, before
        assert says in ran.err, (before, ran.err)
