"""Dead letters: repeats fold, replays are remembered, and what is sent again is what came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.dlq.letters import Letter, choose, collect, markers, resend, totals
from cli.erase.subjects import Forgotten
from shared.bus.deadletter import dead_letter
from shared.bus.records import Outgoing, Record
from shared.errors import Reason
from tests.support import events as make


def refused(offset: int = 0, topic: str = "items.v1", **more: object) -> Record:
    base = Record(topic, 0, offset, b"k", b"{", (("h", None), ("x", b"\xff")), 5)
    return base._replace(**more)  # type: ignore[arg-type]


def published(letter: Outgoing, offset: int) -> Record:
    return Record(letter.topic, 0, offset, letter.key, letter.value, letter.headers, 1000 + offset)


def letters_of(*sources: Record, reason: Reason = Reason.BAD_JSON) -> list[Letter]:
    sent = [dead_letter(source, reason, "why", service="assignment") for source in sources]
    return collect(published(letter, number) for number, letter in enumerate(sent)).letters


def test_a_letter_published_twice_is_one_letter() -> None:
    sent = dead_letter(refused(7), Reason.BAD_JSON, "why", service="assignment")
    box = collect([published(sent, 0), published(sent, 1)])
    assert len(box.letters) == 1
    assert box.repeats == 1
    assert box.letters[0].letter.offset == 0


def test_a_record_that_is_no_letter_is_counted_apart() -> None:
    box = collect([refused(1, topic="items.v1.dlq")])
    assert box.letters == []
    assert box.foreign == 1


def test_letters_are_chosen_by_topic_and_reason() -> None:
    both = letters_of(refused(1)) + letters_of(refused(1, "labels.v1"), reason=Reason.BAD_SCHEMA)
    assert [one.source.topic for one in choose(both, topic="labels.v1")] == ["labels.v1"]
    assert [one.source.topic for one in choose(both, topic="labels.v1.dlq")] == ["labels.v1"]
    assert [one.reason for one in choose(both, reason="bad_json")] == ["bad_json"]
    assert totals(both) == [("items.v1", "bad_json", 1), ("labels.v1", "bad_schema", 1)]


def test_a_replayed_letter_is_not_chosen_again_unless_asked() -> None:
    sent = [dead_letter(refused(n), Reason.BAD_JSON, "", service="assignment") for n in range(2)]
    records = [published(letter, number) for number, letter in enumerate(sent)]
    first = collect(records).letters
    records += [published(mark, 2) for mark in markers(first[:1], None)]
    after = collect(records).letters
    assert [one.replays for one in after] == [1, 0]
    assert [one.origin for one in choose(after, again=False)] == [("items.v1", 0, 1)]
    assert len(choose(after, again=True)) == 2


values = st.none() | st.binary(max_size=20)


@given(
    key=values,
    value=values,
    headers=st.lists(st.tuples(st.text(st.characters(codec="utf-8"), max_size=5), values), max_size=3),
)
def test_what_is_sent_again_is_what_came_byte_for_byte(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    source = refused(3, key=key, value=value, headers=tuple(headers))
    letters = letters_of(source)
    (again,) = resend(letters, None)
    assert (again.topic, again.key, again.value, again.headers) == ("items.v1", key, value, tuple(headers))
    assert letters[0].sendable == (key is not None or value is not None)
    assert resend(letters, "elsewhere")[0].topic == "elsewhere"


def test_a_header_name_that_was_not_utf8_can_be_sent_again() -> None:
    (again,) = resend(letters_of(refused(headers=(("caf\udce9", b"1"),))), None)
    assert again.headers == (("caf\N{REPLACEMENT CHARACTER}", b"1"),)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"p/gone", b"\xff"),
        (None, b'{"project_id": "p", "item_id": "gone", "content": 1}'),
        (b"p/other", b'{"annotator_id": "ann"}'),
        (b"p/other", b'{"evidence": {"votes": [{"annotator_id": "bob"}, {"annotator_id": "ann"}]}}'),
        (b"p/other", b'{"excluded_annotators": ["ann"]}'),
    ],
)
def test_letters_about_what_was_erased_are_not_among_the_letters(key: bytes | None, value: bytes) -> None:
    forgotten = Forgotten([make.erasure("gone", project_id="p"), make.erasure(subject="annotator", annotator_id="ann")])
    others = [refused(2, key=b"p/gone2", value=b"{"), refused(3, key=b"p/x", value=b'{"reason": "ann"}'), refused(4)]
    sent = [dead_letter(one, Reason.BAD_JSON, "", service="qc") for one in (refused(1, key=key, value=value), *others)]
    box = collect([published(letter, n) for n, letter in enumerate(sent)], forgotten)
    assert [one.source.offset for one in box.letters] == [2, 3, 4]
    assert box.erased == 1
