"""The trainer's own file: what comes in, in any order and again, what goes out, and one holder at a time."""

import sqlite3
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.economics.contents import GROUP, Contents
from cli.economics.measure import held_out
from services.prelabel.training.domain.sets import Row, split
from services.prelabel.training.handlers import Handlers
from services.prelabel.training.store import reading
from services.prelabel.training.store.files import drop_before, write_set
from services.prelabel.training.store.intake import (
    OF_DRIFT,
    add_answers,
    add_guesses,
    add_items,
    add_labels,
    drop_guesses,
    erase,
    list_erased,
    prune,
    settle,
)
from services.prelabel.training.store.kept import Kept, claim_cluster, get_offsets, save_offsets
from shared.bus.references import References
from shared.errors import ConfigurationError, RetryLater
from shared.events import Certificate, Evidence, Measurement, TextContent, Training
from shared.events.items import content_hash
from shared.labels import Names
from shared.topics import QUALITY
from tests.support import events as make
from tests.support.events import AT, PROJECT
from tests.support.monitor import known_projects, received

Run = Callable[[Callable[[sqlite3.Connection], Any]], Any]


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncGenerator[Kept]:
    made = Kept(tmp_path / "kept")
    made.open()
    yield made
    made.close()


async def fill(kept: Kept, number: int = 20) -> None:
    items = [make.item(f"i{n}", text=f"text {n}") for n in range(number)]
    labels = [make.label(f"i{n}", value=("positive", "negative")[n % 2]) for n in range(number)]
    await kept.run(lambda connection: add_items(connection, items))
    await kept.run(lambda connection: add_labels(connection, labels))


async def labelled(kept: Kept) -> list[Any]:
    known = {"positive", "negative", "neutral"}
    return await kept.run(lambda connection: reading.list_labelled(connection, PROJECT, None, known))


async def test_economics_measures_models_on_what_is_held_out(kept: Kept) -> None:
    items = [make.item(f"i{n}", text=f"text {n}", metadata={GROUP: f"g{n // 4}"}) for n in range(80)]
    await kept.run(lambda connection: add_items(connection, items))
    await kept.run(lambda connection: add_labels(connection, [make.label(one.item_id) for one in items]))
    known = ["positive"]
    labels = await kept.run(lambda connection: reading.list_labelled(connection, PROJECT, GROUP, known))
    truth = {one.item_id: "positive" for one in items}
    groups = {one.item_id: str(one.metadata[GROUP]) for one in items}
    contents = Contents({one.item_id: one.content for one in items}, groups, "text", learnable=True)
    measured = {}
    for seed in (PROJECT, "shared"):
        sides = split(seed, labels, share=0.2, grouped=True)
        measured[seed] = held_out(PROJECT, Training(holdout_seed=seed), contents, truth)
        assert sorted(one.item_id for one in sides.held_out) == measured[seed]
    assert measured[PROJECT] == held_out(PROJECT, Training(), contents, truth) != measured["shared"]
    alone = await kept.run(lambda connection: reading.list_labelled(connection, PROJECT, None, known))
    sides, ungrouped = split(PROJECT, alone, share=0.2, grouped=False), replace(contents, groups={})
    assert sorted(one.item_id for one in sides.held_out) == held_out(PROJECT, Training(), ungrouped, truth)


async def test_one_process_holds_the_directory(kept: Kept) -> None:
    second = Kept(kept.directory)
    with pytest.raises(RetryLater, match="another trainer holds"):
        second.open()
    kept.close()
    second.open()
    second.close()


async def test_the_directory_belongs_to_one_cluster(kept: Kept) -> None:
    await kept.run(lambda connection: claim_cluster(connection, "one"))
    await kept.run(lambda connection: claim_cluster(connection, "one"))
    with pytest.raises(ConfigurationError, match="belongs to Kafka cluster one"):
        await kept.run(lambda connection: claim_cluster(connection, "two"))


async def test_a_batch_and_its_offsets_are_one_transaction(kept: Kept) -> None:
    def fails(connection: sqlite3.Connection) -> None:
        add_items(connection, [make.item("i1")])
        save_offsets(connection, {("items.v1", 0): 5})
        raise RuntimeError("crash")

    with pytest.raises(RuntimeError):
        await kept.run(fails)
    assert await kept.run(lambda connection: get_offsets(connection, "items.v1", [0, 1])) == {0: 0, 1: 0}
    assert await kept.run(lambda connection: connection.execute("SELECT count(*) FROM items").fetchone()) == (0,)


async def test_order_and_repeats_say_nothing(kept: Kept) -> None:
    """A label may come before its item; the highest version stands."""
    newer = make.label("i1", value="negative", version=2, supersedes=1)
    await kept.run(lambda connection: add_labels(connection, [newer]))
    for _ in range(2):
        await kept.run(lambda connection: add_labels(connection, [make.label("i1")]))
        await kept.run(lambda connection: add_items(connection, [make.item("i1")]))
        await kept.run(lambda connection: add_items(connection, [make.item("i1", text="another text")]))
    (one,) = await labelled(kept)
    assert (one.category, one.version, one.content_hash) == ("negative", 2, content_hash(make.item("i1").content))


async def test_an_audit_stays_one_when_it_is_labelled_again(kept: Kept) -> None:
    await kept.run(lambda connection: add_items(connection, [make.item("i1")]))
    first = make.label("i1", would_auto=True, inclusion_probability=0.05)
    await kept.run(lambda connection: add_labels(connection, [first]))
    await kept.run(lambda connection: add_labels(connection, [make.label("i1", version=2, supersedes=1)]))
    (one,) = await labelled(kept)
    assert (one.audited, one.inclusion) == (True, 0.05)


async def test_labels_of_classes_that_are_gone_are_not_learned_from(kept: Kept) -> None:
    await fill(kept)
    found = await kept.run(lambda connection: reading.list_labelled(connection, PROJECT, None, {"positive"}))
    assert {one.category for one in found} == {"positive"}


async def test_groups_come_from_metadata(kept: Kept) -> None:
    items = [
        make.item("i1", metadata={"shop": 7}),
        make.item("i2", text="other", metadata={"shop": 7}),
        make.item("i3"),
    ]
    await kept.run(lambda connection: add_items(connection, items))
    await kept.run(lambda connection: add_labels(connection, [make.label(f"i{n}") for n in (1, 2, 3)]))
    found = await kept.run(lambda connection: reading.list_labelled(connection, PROJECT, "shop", {"positive"}))
    assert [one.group for one in found][:2] == ["7", "7"]
    assert found[2].group == found[2].content_hash


async def test_pairs_are_held_out_labels_that_both_models_answered(kept: Kept) -> None:
    await fill(kept, 4)
    proposal = make.proposal("positive", model_version="live")
    await kept.run(lambda connection: add_items(connection, [make.item("i9", text="nine")]))
    await kept.run(lambda connection: add_labels(connection, [make.label("i9", evidence=Evidence(proposal=proposal))]))
    tried = [make.shadow_prediction(f"i{n}", value="positive", model_version="new") for n in (0, 1, 9)]
    await kept.run(lambda connection: add_guesses(connection, tried))
    await kept.run(lambda connection: add_answers(connection, PROJECT, "live", [("i0", "negative"), ("i1", "")]))
    held = ["i0", "i1", "i2", "i9"]
    missing = await kept.run(lambda connection: reading.list_unanswered(connection, PROJECT, "live", held))
    assert [item for item, _ in missing] == ["i2"]
    found = await kept.run(lambda connection: reading.list_pairs(connection, PROJECT, ("live", "new"), held))
    assert [(one.live, one.candidate) for one in found] == [(False, True), (False, False), (True, True)]
    assert await kept.run(lambda connection: reading.count_trials(connection, PROJECT, "new")) == 3
    hashes = [content_hash(TextContent(text=f"text {n}")) for n in (0, 2)]
    await kept.run(lambda connection: reading.save_learned(connection, PROJECT, "live", hashes))
    found = await kept.run(lambda connection: reading.list_pairs(connection, PROJECT, ("live", "new"), held))
    assert len(found) == 2, "what a model was trained on proves nothing about it"
    assert await kept.run(lambda connection: reading.list_unanswered(connection, PROJECT, "live", held)) == []
    await kept.run(lambda connection: drop_guesses(connection, PROJECT, {"live"}))
    assert await kept.run(lambda connection: reading.count_trials(connection, PROJECT, "new")) == 0


async def test_a_renamed_class_is_one_class_and_no_new_label(kept: Kept) -> None:
    """What was kept under the former name is read under the present one; a model is not wrong for its older name."""
    names = Names({"positive": "good"})
    await fill(kept, 2)
    before = await kept.run(lambda connection: reading.get_progress(connection, PROJECT))
    again = make.label("i0", value="good", version=2, supersedes=1, renames=1)
    proposal = make.proposal("good", model_version="new")
    later = make.label("i9", value="good", evidence=Evidence(proposal=proposal))
    await kept.run(lambda connection: add_labels(connection, [again]))
    assert await kept.run(lambda connection: reading.get_progress(connection, PROJECT)) == before
    await kept.run(lambda connection: add_items(connection, [make.item("i9", text="nine")]))
    await kept.run(lambda connection: add_labels(connection, [later]))
    assert await kept.run(lambda c: reading.list_categories(c, PROJECT, names)) == ["good", "negative"]
    found = await kept.run(lambda c: reading.list_labelled(c, PROJECT, None, {"good"}, names))
    assert [(one.item_id, one.category) for one in found] == [("i0", "good"), ("i9", "good")]
    said = [("i0", "positive"), ("i9", "positive")]
    await kept.run(lambda connection: add_answers(connection, PROJECT, "live", said))
    await kept.run(lambda connection: add_answers(connection, PROJECT, "new", [("i0", "good")]))
    held = ["i0", "i9"]
    pairs = await kept.run(lambda c: reading.list_pairs(c, PROJECT, ("live", "new"), held, names=names))
    assert [(one.live, one.candidate) for one in pairs] == [(True, True)] * 2


async def test_an_item_is_erased_for_good(kept: Kept) -> None:
    await fill(kept)
    secret = "a text that nobody may find again"
    await kept.run(lambda connection: add_items(connection, [make.item("secret", text=secret)]))
    await kept.run(lambda connection: add_labels(connection, [make.label("secret")]))
    sides = split(PROJECT, await labelled(kept), share=0.05, grouped=False)
    hashes = [row.content_hash for row in sides.training]
    contents = await kept.run(lambda connection: reading.list_contents(connection, PROJECT, hashes))
    write_set(kept.sets_of(PROJECT), sides.data_hash, sides.training, contents)
    assert secret.encode() in b"".join(file.read_bytes() for file in kept.directory.rglob("*") if file.is_file())

    removed = await kept.run(lambda connection: erase(connection, make.erasure("secret"), AT))
    drop_before(kept.sets, datetime.now(UTC) + timedelta(seconds=1))
    await kept.truncate()
    assert removed == {"items": 1, "labels": 1, "contents": 1}
    assert secret.encode() not in b"".join(file.read_bytes() for file in kept.directory.rglob("*") if file.is_file())

    await kept.run(lambda connection: add_items(connection, [make.item("secret", text=secret)]))
    await kept.run(lambda connection: add_labels(connection, [make.label("secret", version=2, supersedes=1)]))
    await kept.run(lambda connection: add_guesses(connection, [make.shadow_prediction("secret")]))
    assert "secret" not in {one.item_id for one in await labelled(kept)}
    assert await kept.run(list_erased) == {f"{PROJECT}/secret"}


async def test_a_content_that_another_item_has_stays(kept: Kept) -> None:
    twins = [make.item("i1"), make.item("i2")]
    await kept.run(lambda connection: add_items(connection, twins))
    await kept.run(lambda connection: add_labels(connection, [make.label("i1"), make.label("i2")]))
    await kept.run(lambda connection: erase(connection, make.erasure("i1"), AT))
    assert [one.item_id for one in await labelled(kept)] == ["i2"]


async def test_what_nobody_labels_is_forgotten(kept: Kept) -> None:
    await fill(kept, 2)
    items = [make.item("waits", text="waits"), make.item("auto", text="auto"), make.item("old", text="old")]
    items[2] = items[2].model_copy(update={"created_at": AT - timedelta(days=9)})
    await kept.run(lambda connection: add_items(connection, items))
    await kept.run(lambda connection: settle(connection, [(PROJECT, "auto")], AT))
    cut = {"unlabelled": AT - timedelta(days=7), "settled": AT + timedelta(seconds=1)}
    assert await kept.run(lambda connection: prune(connection, **cut, limit=100)) == 2
    left = await kept.run(lambda connection: connection.execute("SELECT item FROM items ORDER BY 1").fetchall())
    assert [item for (item,) in left] == ["i0", "i1", "waits"]
    assert await kept.run(lambda connection: connection.execute("SELECT count(*) FROM contents").fetchone()) == (3,)


async def test_progress_counts_labels_since_the_last_training(kept: Kept) -> None:
    await fill(kept, 10)
    found = await kept.run(lambda connection: reading.get_progress(connection, PROJECT))
    assert (found.labels, found.since, found.version) == (10, 10, None)
    await kept.run(lambda connection: reading.save_training(connection, PROJECT, found.latest, "t1", AT))
    await kept.run(lambda connection: add_labels(connection, [make.label("i1", version=2, supersedes=1)]))
    found = await kept.run(lambda connection: reading.get_progress(connection, PROJECT))
    assert (found.labels, found.since, found.version) == (10, 1, "t1")


async def test_an_alarm_asks_once_however_often_it_is_told(kept: Kept) -> None:
    references = References()
    references.projects = known_projects(make.project_spec(training=Training()))
    lost = Certificate(
        number=1, state="withdrawn", generation=3, model_version="m1", threshold=0.9, target_error=0.03,
        confidence=0.95, audit_share=0.5, valid_until=AT, doubtful_since=AT,
    )  # fmt: skip
    drift = make.drift_alarm("label_class")
    told: list[Measurement] = [
        lost,
        drift,
        drift.model_copy(update={"state": "updated", "number": 1}),
        make.drift_alarm("gold", slice_="ann"),
        make.drift_alarm("agreement", severity="info"),
        make.drift_alarm("confidence", state="resolved", resolved_at=AT),
    ]
    batch = [received(QUALITY, make.quality(one, sequence=str(n))) for n, one in enumerate(told)]
    for _ in range(2):
        await kept.run(await Handlers(references).on_quality(batch))
    found = await kept.run(lambda connection: reading.list_alarms(connection, PROJECT))
    assert [one.generation for one in found] == [3, OF_DRIFT]
    events = [one.event_id for one in found]
    await kept.run(lambda connection: reading.handle_alarms(connection, PROJECT, events))
    await kept.run(await Handlers(references).on_quality(batch))
    assert await kept.run(lambda connection: reading.list_alarms(connection, PROJECT)) == []


async def test_the_same_rows_are_the_same_file(tmp_path: Path) -> None:
    rows = [Row("h1", "g1", "a", 0.9), Row("h2", "g2", "b", 1.0)]
    contents = {"h1": b"{}", "h2": b"{}"}
    paths = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        paths.append(write_set(tmp_path / name, "hash", rows, contents))
    assert paths[0].read_bytes() == paths[1].read_bytes()
