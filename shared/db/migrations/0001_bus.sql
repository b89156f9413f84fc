-- The tables that every service's schema has. Small: nothing here grows with the number of items.

-- Which Kafka cluster the offsets below belong to; a database of another cluster is refused at start.
CREATE TABLE cluster (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    cluster_id text NOT NULL
);

-- The next offset of each partition read, moved by compare-and-set inside the batch's transaction.
CREATE TABLE consumer_offsets (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

-- One row per transaction: the records it wants published (msgpack), deleted once Kafka has acknowledged them.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    records bytea NOT NULL,
    record_count integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

-- How far this service's own output is known to this database; a restored or new one reads on from here first.
CREATE TABLE published_offsets (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);
