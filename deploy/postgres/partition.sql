-- Partitions a service's `items`, the one table with a row for every item, by the hash of its key: smaller indexes, and
-- vacuum in pieces. The services' statements stay as they are. Before the first item, after `labelstream migrate`:
--   psql "$LABELSTREAM_QC_DATABASE_URL" -v ON_ERROR_STOP=1 -c 'SET search_path = qc' -f partition.sql
-- and the same for assignment and monitor. 32 partitions carry about 10^9 items; choose a power of two.
DO $$
DECLARE
    partitions constant integer := 32;
BEGIN
    IF EXISTS (SELECT FROM items) THEN
        RAISE EXCEPTION 'items holds rows: partition an empty schema, and let the service rebuild it from the topics';
    END IF;
    ALTER TABLE items RENAME TO items_whole;
    CREATE TABLE items (LIKE items_whole INCLUDING ALL) PARTITION BY HASH (project_id, item_id);
    FOR n IN 0 .. partitions - 1 LOOP
        EXECUTE format(
            'CREATE TABLE items_%s PARTITION OF items FOR VALUES WITH (MODULUS %s, REMAINDER %s)'
            ' WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05)', n, partitions, n);
    END LOOP;
    DROP TABLE items_whole;
END $$;
