"""Dead letters as their topics hold them: parsed, repeats folded, replays counted, chosen. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cli.erase.subjects import Forgotten
from shared.bus.deadletter import DETAIL, REASON, SERVICE, original
from shared.bus.records import Outgoing, Record, header

REPLAY_OF, REPLAY_TO = "dlq_replay_of", "dlq_replay_to"

Source = tuple[str, int, int]
"""Topic, partition and offset of the record that was refused."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One refused record and where its letter stands."""

    letter: Record
    source: Record
    reason: str
    detail: str
    service: str
    replays: int = 0

    @property
    def origin(self) -> Source:
        return self.source.topic, self.source.partition, self.source.offset

    @property
    def sendable(self) -> bool:
        """Kafka takes no record that has neither key nor value."""
        return self.source.key is not None or self.source.value is not None


@dataclass(slots=True)
class Mailbox:
    """What the dead letter topics hold.

    Attributes:
        letters: one per refused record, oldest first.
        repeats: letters of a record that has one already (published again after a crash).
        foreign: records that are no letters of ours.
        erased: letters about what was erased; they are not among `letters`.
    """

    letters: list[Letter] = field(default_factory=list)
    repeats: int = 0
    foreign: int = 0
    erased: int = 0


def collect(records: Iterable[Record], forgotten: Forgotten | None = None) -> Mailbox:
    """Sort the records of dead letter topics into letters, repeats, markers, foreign ones and those of the erased."""
    box = Mailbox()
    found: dict[Source, tuple[Record, Record]] = {}
    replays: Counter[Source] = Counter()
    for record in records:
        marked = header(record.headers, REPLAY_OF)
        if marked is not None:
            replays[_parse(marked)] += 1
            continue
        try:
            source = original(record)
        except ValueError:
            box.foreign += 1
            continue
        if forgotten is not None and forgotten.holds(record):
            box.erased += 1
            continue
        place = (source.topic, source.partition, source.offset)
        box.repeats += place in found
        found.setdefault(place, (record, source))
    letters = [_letter(record, source, replays[place]) for place, (record, source) in found.items()]
    box.letters = sorted(letters, key=lambda one: (one.letter.timestamp_ms, one.letter.topic, one.letter.offset))
    return box


def _letter(record: Record, source: Record, replays: int) -> Letter:
    reason, detail, service = (
        (header(record.headers, name) or b"").decode("utf-8", "replace") for name in (REASON, DETAIL, SERVICE)
    )
    return Letter(record, source, reason, detail, service, replays)


def choose(
    letters: Iterable[Letter], *, topic: str | None = None, reason: str | None = None, again: bool = True
) -> list[Letter]:
    """The letters of a source topic and a reason; without `again` only those that were never replayed."""
    topic = topic.removesuffix(".dlq") if topic is not None else None
    return [
        letter
        for letter in letters
        if topic in (None, letter.source.topic) and reason in (None, letter.reason) and (again or letter.replays == 0)
    ]


def totals(letters: Iterable[Letter]) -> list[tuple[str, str, int]]:
    """Counts by source topic and reason, sorted."""
    counts = Counter((letter.source.topic, letter.reason) for letter in letters)
    return [(topic, reason, number) for (topic, reason), number in sorted(counts.items())]


def resend(letters: Sequence[Letter], to_topic: str | None) -> list[Outgoing]:
    """The original records for their source topic or another one; key and value byte for byte."""
    return [
        Outgoing(
            topic=to_topic or letter.source.topic,
            key=letter.source.key,
            value=letter.source.value,
            headers=tuple((_sendable(name), value) for name, value in letter.source.headers),  # type: ignore[misc]  # null
        )
        for letter in letters
    ]


def _sendable(name: str) -> str:
    """A header name as clients can send it: bytes that were not UTF-8 are replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def markers(letters: Sequence[Letter], to_topic: str | None) -> list[Outgoing]:
    """What remembers that these letters were replayed."""
    return [
        Outgoing(
            topic=letter.letter.topic,
            key=_format(letter.origin),
            value=None,
            headers=((REPLAY_OF, _format(letter.origin)), (REPLAY_TO, (to_topic or letter.source.topic).encode())),
        )
        for letter in letters
    ]


def _format(source: Source) -> bytes:
    return "/".join(str(part) for part in source).encode()


def _parse(marked: bytes) -> Source:
    topic, partition, offset = marked.decode("utf-8", "replace").rsplit("/", 2)
    return topic, int(partition), int(offset)
