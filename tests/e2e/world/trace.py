"""What made assignment's count of items that came again: each change of it and of the offsets, by transaction.

The rest of what assignment keeps is known by item, so that doing a batch again shows nowhere; this count would tell.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.e2e.world.world import World

INSTALL = """
CREATE TABLE assignment.trace (
    place bigserial, at timestamptz DEFAULT clock_timestamp(), xid bigint DEFAULT txid_current(),
    backend int DEFAULT pg_backend_pid(), what text);
CREATE FUNCTION assignment.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    IF TG_TABLE_NAME = 'consumer_offsets' THEN
        INSERT INTO assignment.trace (what)
        VALUES (format('%s/%s: %s -> %s', NEW.topic, NEW.partition, OLD.next_offset, NEW.next_offset));
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO assignment.trace (what) VALUES (format('came again: + %s', NEW.delta));
    ELSE
        INSERT INTO assignment.trace (what) VALUES (format('came again: - %s', OLD.delta));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER UPDATE ON assignment.consumer_offsets FOR EACH ROW WHEN (NEW.topic = 'items.v1')
    EXECUTE FUNCTION assignment.note();
CREATE TRIGGER noted AFTER INSERT ON assignment.tallies FOR EACH ROW WHEN (NEW.name = 'duplicates')
    EXECUTE FUNCTION assignment.note();
CREATE TRIGGER unnoted AFTER DELETE ON assignment.tallies FOR EACH ROW WHEN (OLD.name = 'duplicates')
    EXECUTE FUNCTION assignment.note();
"""


async def install(world: "World") -> None:
    """Begin to note; `told` is what was noted."""
    await world.execute(INSTALL)


async def told(world: "World") -> str:
    """A line for each change, in order: when, transaction, backend, what."""
    rows = await world.rows("SELECT at, xid, backend, what FROM assignment.trace ORDER BY place")
    return "".join(f"{row['at']:%H:%M:%S.%f} {row['xid']} {row['backend']} {row['what']}\n" for row in rows)
