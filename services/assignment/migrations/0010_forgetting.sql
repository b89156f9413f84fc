-- Finding what is to be erased or has expired, without reading whole tables. The partial indexes hold next to nothing.
CREATE INDEX leases_person ON leases (annotator_id) WHERE state <> 'active';
CREATE INDEX leases_ran_out ON leases (project_id, item_id) WHERE state = 'expired';
CREATE INDEX leases_ran_out_at ON leases (ended_at) WHERE state = 'expired';
CREATE INDEX rounds_excluding ON rounds USING gin (excluded) WHERE excluded <> '{}';
CREATE INDEX items_doubted ON items (project_id, item_id) WHERE relabels IS NOT NULL;

-- Refused and administrative requests only: few writes.
CREATE INDEX request_log_principal ON request_log (principal);
CREATE INDEX request_log_subject ON request_log (subject);

-- Still append-only, but for what erases a person or forgets old lines, which says so in its transaction.
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('labelstream.upkeep', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'request_log is append-only';
END $$;

-- What is older than it has to be. The block range index costs an insert next to nothing: items come in by time.
CREATE INDEX items_age ON items USING brin (received_at) WITH (pages_per_range = 32);

-- Up to when contents were forgotten.
CREATE TABLE retention (
    name text COLLATE "C" PRIMARY KEY,
    until timestamptz NOT NULL
);

-- Old items that were not at rest when their time came: looked at again until they are.
CREATE TABLE kept_contents (
    project_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (project_id, item_id)
);
