"""Every check is silent on a whole deployment and speaks when its promise is broken."""

from collections.abc import Callable, Generator

import pytest

from cli.audit.checks import CHECKS
from cli.audit.counters import REPEATS, count_from_topics
from cli.audit.ledger import Ledger
from cli.audit.report import Report, judge
from shared.bus.records import Record
from shared.errors import Reason
from shared.topics import ANNOTATIONS, ITEMS, LABELS
from tests.support import audit as book
from tests.support import events as make
from tests.support.audit import P


@pytest.fixture
def ledger() -> Generator[Ledger]:
    with Ledger() as found:
        yield book.whole(found)


def report(ledger: Ledger, *, at_rest: bool = False) -> Report:
    count_from_topics(ledger)
    return judge(ledger, at_rest=at_rest, limit=5)


def test_a_whole_deployment_has_no_violation(ledger: Ledger) -> None:
    found = report(ledger)
    assert found.by_check == {}, found.found
    assert found.violations == 0


def test_counts(ledger: Ledger) -> None:
    found = report(ledger)
    assert found.items == 6
    assert (found.labelled, found.open, found.dead_lettered, found.duplicates) == (2, 2, 2, 1)
    assert (found.in_flight, found.opinions) == (1, 2)
    assert found.by_path == {"auto": 1, "single": 0, "consensus": 1, "expert": 0}
    parts = ("labelled", "open", "sampled_out", "unlabelable", "unresolved", "dead_lettered")
    document = found.document()
    assert document["items"] == sum(document[name] for name in parts)


def lose_item(ledger: Ledger) -> None:
    ledger.execute("DELETE FROM a_items WHERE item = 'i3'")


def park_item(ledger: Ledger) -> None:
    ledger.execute("UPDATE a_items SET hash = NULL, standing = 'parked' WHERE item = 'i3'")


def swallow_conflict(ledger: Ledger) -> None:
    ledger.execute("DELETE FROM letters WHERE pos = 5")


def invent_item(ledger: Ledger) -> None:
    ledger.add("a_items", [(P, "i9", "open", 1, 0, book.HASH)])


def lose_state(ledger: Ledger) -> None:
    ledger.execute("UPDATE a_items SET standing = '' WHERE item = 'i3'")


def end_round_behind_its_item(ledger: Ledger) -> None:
    ledger.execute("UPDATE a_rounds SET ended = 1 WHERE item = 'i3'")


def label_twice(ledger: Ledger) -> None:
    book.note(ledger, book.record(LABELS, make.label("i2", value="negative"), 2))


def lose_label(ledger: Ledger) -> None:
    ledger.execute("DELETE FROM labels WHERE item = 'i2'")


def invent_label_version(ledger: Ledger) -> None:
    ledger.execute("UPDATE q_items SET version = 2 WHERE item = 'i2'")


def ignore_label(ledger: Ledger) -> None:
    ledger.execute("UPDATE a_items SET version = 0 WHERE item = 'i1'")


def ignore_label_in_qc(ledger: Ledger) -> None:
    ledger.execute("DELETE FROM q_items WHERE item = 'i2'")


def miss_label_in_monitor(ledger: Ledger) -> None:
    ledger.execute("UPDATE m_items SET labels = 0 WHERE item = 'i1'")


def label_nothing(ledger: Ledger) -> None:
    book.note(ledger, book.record(LABELS, make.auto_label("i77"), 2))


def use_unknown_model(ledger: Ledger) -> None:
    ledger.execute("DELETE FROM models")


def use_future_model(ledger: Ledger) -> None:
    ledger.execute("UPDATE labels SET generation = 2 WHERE item = 'i1'")


def answer_twice(ledger: Ledger) -> None:
    book.note(ledger, book.record(ANNOTATIONS, make.annotation("i2", by="a", annotation_id=make.uid("again")), 2))


def change_annotation(ledger: Ledger) -> None:
    changed = make.annotation("i2", by="a", value="negative", annotation_id=book.ANSWERS[0].annotation_id)
    book.note(ledger, book.record(ANNOTATIONS, changed, 2))


def lose_annotation(ledger: Ledger) -> None:
    ledger.execute("UPDATE a_leases SET state = 'answered' WHERE item = 'i3'")


def invent_annotation(ledger: Ledger) -> None:
    book.note(ledger, book.record(ANNOTATIONS, make.annotation("i3", by="z"), 2))


def lose_submit(ledger: Ledger) -> None:
    ledger.add("submitted", [(make.uid("lost").bytes,)])


def forget_opinion(ledger: Ledger) -> None:
    ledger.execute("DELETE FROM q_annotations WHERE who = 'a'")


def invent_opinion(ledger: Ledger) -> None:
    ledger.add("q_annotations", [(make.uid("x").bytes, P, "i3", 1, "answered", "c", 0)])


def break_counter(ledger: Ledger) -> None:
    ledger.count("stored", [("monitor", P, "labels auto", 1)])


def count_opinion_twice(ledger: Ledger) -> None:
    ledger.execute("UPDATE a_rounds SET answered = 3 WHERE item = 'i2'")


def leak_lease(ledger: Ledger) -> None:
    ledger.execute("UPDATE a_rounds SET active = 2 WHERE item = 'i3'")


def exceed_overlap(ledger: Ledger) -> None:
    ledger.execute("UPDATE a_rounds SET wanted = 1 WHERE item = 'i2'")


def answer_late(ledger: Ledger) -> None:
    ledger.execute("UPDATE a_leases SET overdue = 1 WHERE who = 'b'")


def lose_letter(ledger: Ledger) -> None:
    ledger.execute("DELETE FROM letters WHERE pos = 4")


def alter_letter(ledger: Ledger) -> None:
    ledger.execute("UPDATE letters SET digest = x'00' WHERE pos = 4")


def invent_letter(ledger: Ledger) -> None:
    source = Record(ITEMS.name, 0, 99, None, b"?", (), 0)
    book.note(ledger, book.letter(source, Reason.BAD_JSON, 2))


def drop_reason(ledger: Ledger) -> None:
    ledger.execute("UPDATE letters SET reason = '' WHERE pos = 4")


def read_beyond(ledger: Ledger) -> None:
    ledger.execute("UPDATE places SET next = 99 WHERE service = 'qc'")


def ignore_erasure(ledger: Ledger) -> None:
    ledger.add("places", [("qc", "erasures.v1", 0, 1)])
    ledger.add("asked", [(f"{P}/i3", 0, 0)])


def keep_erased_item(ledger: Ledger) -> None:
    ledger.add("forgot", [("qc", f"{P}/i2", P, "i2", None)])


def keep_erased_person(ledger: Ledger) -> None:
    ledger.add("forgot", [("qc", "annotator#a", None, None, "a")])


PLANTED: dict[str, Callable[[Ledger], None]] = {
    "lost_item": lose_item,
    "swallowed_conflict": swallow_conflict,
    "phantom_item": invent_item,
    "unknown_state": lose_state,
    "round_disagrees_with_item": end_round_behind_its_item,
    "double_label": label_twice,
    "labelled_without_label": lose_label,
    "phantom_label_version": invent_label_version,
    "label_not_taken_in": ignore_label,
    "label_not_counted": miss_label_in_monitor,
    "label_of_unknown_item": label_nothing,
    "unknown_model": use_unknown_model,
    "model_not_promoted": use_future_model,
    "answered_twice": answer_twice,
    "annotation_changed": change_annotation,
    "lost_annotation": lose_annotation,
    "phantom_annotation": invent_annotation,
    "submit_lost": lose_submit,
    "opinion_not_counted": forget_opinion,
    "phantom_opinion": invent_opinion,
    "wrong_counter": break_counter,
    "opinion_counted_twice": count_opinion_twice,
    "leases_miscounted": leak_lease,
    "overlap_exceeded": exceed_overlap,
    "answer_after_lease": answer_late,
    "missing_dead_letter": lose_letter,
    "altered_dead_letter": alter_letter,
    "phantom_dead_letter": invent_letter,
    "dead_letter_without_reason": drop_reason,
    "offset_beyond_end": read_beyond,
    "erasure_not_obeyed": ignore_erasure,
    "erased_item_is_back": keep_erased_item,
    "erased_person_is_back": keep_erased_person,
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_found(ledger: Ledger, name: str) -> None:
    PLANTED[name](ledger)
    found = report(ledger)
    assert name in found.by_check
    assert found.violations == sum(found.by_check.values())
    first = next(one for one in found.found if one.check == name)
    assert first.detail
    assert bool(first.history) == ((first.item is not None and name != "phantom_opinion") or bool(first.history))


@pytest.mark.parametrize("plant", [park_item, ignore_label_in_qc])
def test_other_ways_to_lose(ledger: Ledger, plant: Callable[[Ledger], None]) -> None:
    plant(ledger)
    assert report(ledger).violations > 0


def test_every_check_has_its_planted_violation() -> None:
    assert {check.name for check in CHECKS if not check.at_rest} == set(PLANTED)


def test_the_history_tells_the_story(ledger: Ledger) -> None:
    ledger.execute("DELETE FROM q_annotations WHERE who = 'a'")
    [violation] = report(ledger).found
    text = "\n".join(violation.history)
    for part in ("items.v1/0/1", "assignment: labelled", "annotations.v1/0/0", "labels.v1/0/1", "monitor: labelled"):
        assert part in text


def test_what_is_under_way_is_no_violation(ledger: Ledger) -> None:
    """Records that came after the databases were read, and records that still wait in an outbox."""
    late = book.record(LABELS, make.label("i3"), 2)
    book.note(ledger, late, early=0)
    unsent = make.annotation("i3", by="a", annotation_id=make.uid("lease"))
    ledger.execute("UPDATE a_leases SET state = 'answered' WHERE item = 'i3'")
    ledger.execute("UPDATE a_rounds SET active = 0, answered = 1 WHERE item = 'i3'")
    book.pending(ledger, book.record(ANNOTATIONS, unsent, 0))
    assert report(ledger).by_check == {}


def test_at_rest_nothing_is_under_way(ledger: Ledger) -> None:
    ledger.execute("UPDATE pending SET records = 2 WHERE service = 'qc'")
    ledger.execute("UPDATE a_items SET standing = 'awaiting_prediction', round = 0 WHERE item = 'i3'")
    ledger.execute("DELETE FROM a_rounds WHERE item = 'i3'")
    ledger.add("a_items", [(P, "i8", "parked", 0, 0, None)])
    assert report(ledger).by_check == {}
    found = report(ledger, at_rest=True).by_check
    assert set(found) == {"not_published", "not_at_rest", "facts_without_item", "not_read_to_the_end"}


def test_measurements_never_rest(ledger: Ledger) -> None:
    """What came after the databases were read, and quality events, are no reason to say that items do not rest."""
    ledger.execute("UPDATE places SET next = 7 WHERE topic = 'items.v1'")
    ledger.execute("UPDATE ends SET high = high + 1 WHERE topic = 'labels.v1'")
    ledger.add("ends", [("quality.v1", 0, 0, 9, 9)])
    ledger.add("places", [("assignment", "quality.v1", 0, 8)])
    ledger.add("a_items", [(P, "i4", "sampled_out", 1, 0, book.HASH)])
    assert report(ledger, at_rest=True).by_check == {}


def test_what_has_expired_proves_nothing(ledger: Ledger) -> None:
    ledger.execute("DELETE FROM items WHERE item = 'i2'")
    ledger.execute("DELETE FROM annotations")
    ledger.execute("UPDATE ends SET low = 1 WHERE topic IN ('items.v1', 'annotations.v1')")
    found = report(ledger)
    assert found.by_check == {}
    assert found.not_provable == ("annotations.v1", "items.v1")


def test_published_twice_is_no_violation(ledger: Ledger) -> None:
    book.note(ledger, book.record(LABELS, make.label("i2"), 9), book.record(ANNOTATIONS, book.ANSWERS[0], 9))
    book.note(ledger, book.letter(book.POISON, Reason.BAD_JSON, 7))
    assert report(ledger).by_check == {}


def test_a_replayed_letter_is_no_dead_item_any_more(ledger: Ledger) -> None:
    headers = (("dlq_replay_of", b"items.v1/0/4"), ("dlq_replay_to", b"items.v1"))
    book.note(ledger, Record("items.v1.dlq", 0, 9, b"items.v1/0/4", None, headers, 0))
    assert report(ledger).dead_lettered == 1


def test_what_is_erased_is_no_violation(ledger: Ledger) -> None:
    """i2 is erased everywhere, person `a` too; an unread erasure of i3 is under way."""
    ledger.add("asked", [(f"{P}/i2", 0, 0), ("annotator#a", 0, 1), (f"{P}/i3", 0, 2)])
    for service in ("assignment", "qc", "monitor"):
        ledger.add("places", [(service, "erasures.v1", 0, 2)])
        ledger.add("forgot", [(service, f"{P}/i2", P, "i2", None), (service, "annotator#a", None, None, "a")])
    ledger.execute("UPDATE a_items SET standing = 'erased', hash = 'erased', round = 0, version = 0 WHERE item = 'i2'")
    ledger.execute("UPDATE q_items SET version = 0, path = NULL WHERE item = 'i2'")
    ledger.execute("UPDATE m_items SET state = 'erased', path = NULL WHERE item = 'i2'")
    for table in ("a_rounds", "a_leases", "q_annotations"):
        ledger.execute(f"DELETE FROM {table} WHERE item = 'i2'")  # noqa: S608  # our own tables
    ledger.execute("UPDATE a_leases SET who = 'erased#' || lower(hex(id)) WHERE who = 'a'")
    found = report(ledger)
    assert found.by_check == {}, found.found
    assert (found.items, found.erased, found.labelled) == (5, 1, 1)


def test_one_project_alone() -> None:
    with Ledger() as ledger:
        book.note(ledger, *book.LETTERS, *book.STREAM, project="other")
        assert ledger.value("SELECT count(*) FROM items") == 0
        assert ledger.value("SELECT count(*) FROM letters") == 0
        book.note(ledger, *book.LETTERS, *book.STREAM, project=P)
        assert ledger.value("SELECT count(*) FROM letters") == 2


def test_the_scratch_file_is_deleted() -> None:
    ledger = Ledger()
    folder = ledger._folder.name
    ledger.close()
    with pytest.raises(FileNotFoundError):
        open(folder)  # noqa: PTH123, SIM115  # only whether it is there


def test_a_repeat_that_is_counted_twice_is_found(ledger: Ledger) -> None:
    """Natural keys absorb a second effect of a redelivered batch; this counter shows it."""
    ledger.count("stored", [("assignment", P, REPEATS, 1)])
    (one,) = report(ledger).found
    assert (one.check, one.project) == ("wrong_counter", P)
