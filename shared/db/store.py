"""The statements on the tables that every service has."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgpack

from shared.bus.records import Outgoing
from shared.errors import Fenced

Place = tuple[str, int]
"""(logical topic, partition)."""


def pack(records: Sequence[Outgoing]) -> bytes:
    """Records as one outbox payload."""
    packed: bytes = msgpack.packb([[r.topic, r.key, r.value, r.headers] for r in records], use_bin_type=True)
    return packed


def unpack(payload: bytes) -> list[Outgoing]:
    """The records of an outbox payload."""
    rows = msgpack.unpackb(payload, raw=False)
    return [Outgoing(topic, key, value, tuple((k, v) for k, v in headers)) for topic, key, value, headers in rows]


async def get_offsets(connection: Any, places: Iterable[Place]) -> dict[Place, int]:
    """The stored next offset of each partition; a new one starts at 0, the beginning."""
    topics, partitions = _columns(places)
    await connection.execute(
        "INSERT INTO consumer_offsets (topic, partition, next_offset)"
        " SELECT t, p, 0 FROM unnest($1::text[], $2::int[]) AS n(t, p) ON CONFLICT DO NOTHING",
        topics,
        partitions,
    )
    rows = await connection.fetch(
        "SELECT topic, partition, next_offset FROM consumer_offsets"
        " WHERE (topic, partition) IN (SELECT t, p FROM unnest($1::text[], $2::int[]) AS n(t, p))",
        topics,
        partitions,
    )
    return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}


async def move_offsets(connection: Any, moves: Mapping[Place, tuple[int, int]]) -> None:
    """Compare-and-set: each partition from the offset this consumer had to the next one.

    Raises:
        Fenced: another consumer has moved one of them; nothing of this transaction may stay.
    """
    places = sorted(moves)
    topics, partitions = _columns(places)
    moved = await connection.fetchval(
        "WITH moved AS ("
        " UPDATE consumer_offsets AS o SET next_offset = n.next"
        " FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[]) AS n(topic, partition, had, next)"
        " WHERE o.topic = n.topic AND o.partition = n.partition AND o.next_offset = n.had RETURNING 1"
        ") SELECT count(*) FROM moved",
        topics,
        partitions,
        [moves[place][0] for place in places],
        [moves[place][1] for place in places],
    )
    if moved != len(places):
        raise Fenced(f"{len(places) - moved} of {len(places)} partitions are owned by another consumer now")


async def add_outbox(connection: Any, records: Sequence[Outgoing]) -> None:
    """One row for all records of a transaction."""
    await connection.execute("INSERT INTO outbox (records, record_count) VALUES ($1, $2)", pack(records), len(records))


async def list_outbox(connection: Any, limit: int) -> list[tuple[int, list[Outgoing]]]:
    """The oldest rows. Ids of one key are in commit order: a transaction takes its id while it holds the key's rows."""
    rows = await connection.fetch("SELECT id, records FROM outbox ORDER BY id LIMIT $1", limit)
    return [(row["id"], unpack(row["records"])) for row in rows]


async def finish_outbox(connection: Any, ids: Sequence[int], published: Mapping[Place, int]) -> None:
    """Forget published rows and remember how far the own output reaches, in one statement."""
    topics, partitions = _columns(published)
    await connection.execute(
        "WITH gone AS (DELETE FROM outbox WHERE id = ANY($1::bigint[]))"
        " INSERT INTO published_offsets AS p (topic, partition, next_offset)"
        " SELECT * FROM unnest($2::text[], $3::int[], $4::bigint[])"
        " ON CONFLICT (topic, partition) DO UPDATE SET next_offset = greatest(p.next_offset, excluded.next_offset)",
        list(ids),
        topics,
        partitions,
        list(published.values()),
    )


async def get_published(connection: Any, topic: str) -> dict[int, int]:
    """Partition -> the offset up to which the own output is known."""
    rows = await connection.fetch("SELECT partition, next_offset FROM published_offsets WHERE topic = $1", topic)
    return {row["partition"]: row["next_offset"] for row in rows}


async def save_published(connection: Any, published: Mapping[Place, int]) -> None:
    """Remember how far the own output has been read back."""
    await finish_outbox(connection, [], published)


async def count_outbox(connection: Any) -> tuple[int, float]:
    """Records waiting to be published, and the age of the oldest in seconds."""
    row = await connection.fetchrow(
        "SELECT coalesce(sum(record_count), 0) AS records,"
        " coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0) AS age FROM outbox"
    )
    return int(row["records"]), float(row["age"])


def _columns(places: Iterable[Place]) -> tuple[list[str], list[int]]:
    pairs = list(places)
    return [topic for topic, _ in pairs], [partition for _, partition in pairs]
