-- What is known of each item: numbers and bits, never content. It grows by one row of about 100 bytes per item, which
-- is what counting nothing twice costs; every statement on it goes by primary key. Above some hundred million items
-- partition it by hash of the key (the statements stay as they are).
CREATE TABLE items (
    project_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    bits smallint NOT NULL DEFAULT 0,           -- 1 item seen, 2 erased, 4 a model proposed
    generation bigint NOT NULL DEFAULT -1,      -- of the newest prediction; -1 before the first
    round smallint NOT NULL DEFAULT 0,          -- of the latest route
    step bigint NOT NULL DEFAULT -1,
    route smallint NOT NULL DEFAULT 0,          -- state of the latest route, 0 before the first
    labels bigint NOT NULL DEFAULT 0,           -- bit v: the label of version v was counted
    path smallint NOT NULL DEFAULT 0,           -- of the highest label version, 0 before the first
    PRIMARY KEY (project_id, item_id)
) WITH (fillfactor = 80);

-- Integer counters. bucket 0 is kept for good; others are the start of a time bucket in seconds and are pruned.
-- `shard` keeps consumers of different topics and partitions off each other's rows; a count is the sum over shards.
CREATE TABLE counters (
    project_id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    bucket bigint NOT NULL,
    part text NOT NULL,
    symbol text NOT NULL,
    shard smallint NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (project_id, kind, bucket, part, symbol, shard)
) WITH (fillfactor = 60);
CREATE INDEX counters_bucket ON counters (bucket) WHERE bucket > 0;

-- Events without a row of an item that were counted: annotations, gold results, predictions on trial. Pruned once no
-- repeat can come any more (their topics keep records for less).
CREATE TABLE seen (
    event_id uuid PRIMARY KEY,
    seen_on date NOT NULL DEFAULT current_date
);
CREATE INDEX seen_day ON seen (seen_on);

-- Rounds asked to be opened again, never twice for the same cause. `rebuilt`: read back from the topic.
CREATE TABLE relabels (
    project_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    round smallint NOT NULL,
    cause text NOT NULL,
    requested_at timestamptz NOT NULL,
    rebuilt boolean NOT NULL DEFAULT false,
    PRIMARY KEY (project_id, item_id, round, cause)
);
CREATE INDEX relabels_time ON relabels (project_id, requested_at);

-- One row per project, locked while its relabel budget is being spent.
CREATE TABLE budgets (
    project_id text PRIMARY KEY
);

-- The newest measurement of each kind about each subject, whoever measured it.
CREATE TABLE measurements (
    project_id text COLLATE "C" NOT NULL,
    subject text NOT NULL,
    kind text NOT NULL,
    measured_at timestamptz NOT NULL,
    event_id uuid NOT NULL,
    measurement jsonb NOT NULL,
    PRIMARY KEY (project_id, subject, kind)
) WITH (fillfactor = 80);

-- Up to where monitor has published its own measurements, so that each window is published once.
CREATE TABLE published_windows (
    project_id text COLLATE "C" NOT NULL,
    subject text NOT NULL,
    window_end timestamptz NOT NULL,
    PRIMARY KEY (project_id, subject)
) WITH (fillfactor = 80);
