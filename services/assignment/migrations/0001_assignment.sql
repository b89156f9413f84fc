-- What assignment owns. `n` is the number of items, `o` that of open rounds, `a` that of answers.

-- One row per item, for ever (retention is the operator's). Every access is by primary key in key order, but for the
-- overdue job, which reads the partial index from its old end. A batch costs O(batch * log n).
CREATE TABLE items (
    project_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    standing text COLLATE "C" NOT NULL,
    round smallint NOT NULL DEFAULT 0,      -- the latest; 0 before the first
    ending smallint NOT NULL DEFAULT 0,     -- how that round stands (domain/states.py)
    label_version smallint NOT NULL DEFAULT 0,
    content_hash text COLLATE "C",          -- null: parked, something is known of an item that has not come
    content text COLLATE "C",               -- JSON
    created_at timestamptz,                 -- of the producer
    received_at timestamptz NOT NULL,
    guess text COLLATE "C",                 -- JSON of the prediction of the highest generation
    relabels text COLLATE "C",              -- JSON: round -> why its result is doubted; null for nearly all
    PRIMARY KEY (project_id, item_id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX items_waiting ON items (project_id, received_at) WHERE standing = 'awaiting_prediction';

-- Changes of the number of items by standing, summed on reading: no row that all batches would fight for. A job folds
-- them together, so the table stays at (projects * names) rows plus the batches of a few seconds.
CREATE TABLE tallies (
    project_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    delta bigint NOT NULL
);

-- One row per round that people are asked in; none for what is accepted without them. The queue is an index on the rows
-- with free slots alone, so that `next` costs O(log o) and closed rounds cost nothing.
CREATE TABLE rounds (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    number smallint NOT NULL,
    audience text COLLATE "C" NOT NULL,
    wanted smallint NOT NULL,
    answered smallint NOT NULL DEFAULT 0,
    skipped integer NOT NULL DEFAULT 0,
    active smallint NOT NULL DEFAULT 0 CHECK (active >= 0),
    granted integer NOT NULL DEFAULT 0,
    expert_answered smallint NOT NULL DEFAULT 0,
    expert_active smallint NOT NULL DEFAULT 0 CHECK (expert_active >= 0),
    exhausted boolean NOT NULL DEFAULT false,
    ended boolean NOT NULL DEFAULT false,
    free integer NOT NULL GENERATED ALWAYS AS (
        CASE WHEN ended OR exhausted THEN 0
             WHEN audience = 'expert' THEN greatest(0, 1 - expert_active - expert_answered)
             ELSE greatest(0, wanted - answered - active) END) STORED,
    started boolean NOT NULL GENERATED ALWAYS AS (granted > 0) STORED,
    waiting_since timestamptz NOT NULL,     -- when a slot last became free
    blocked_at timestamptz,
    step integer NOT NULL,
    reason text COLLATE "C" NOT NULL,
    priority double precision NOT NULL,
    urgency double precision NOT NULL DEFAULT 0,
    would_auto boolean NOT NULL DEFAULT false,
    inclusion double precision NOT NULL DEFAULT 1,
    excluded text[] NOT NULL DEFAULT '{}',
    guess text COLLATE "C",                 -- JSON of what people are shown; pinned by the first lease
    generation integer NOT NULL DEFAULT -1, -- of the prediction it was routed by
    refreshed integer NOT NULL DEFAULT 0,   -- the highest generation that a refresh was asked for
    project_version integer NOT NULL,
    guideline_version integer NOT NULL,
    item_created_at timestamptz,
    UNIQUE (project_id, item_id, number)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

-- The queue. Begun rounds are read before untouched ones, each in order of priority, then of arrival.
CREATE INDEX rounds_queue ON rounds (project_id, audience, started, priority DESC, id) WHERE free > 0;
-- The sweep over waiting rounds, a bounded chunk at a time, from where the last one ended.
CREATE INDEX rounds_waiting ON rounds (id) WHERE free > 0;
-- Open rounds by the project version that they pin: counts for people, and what a schema change closes.
CREATE INDEX rounds_open ON rounds (project_id, project_version) WHERE NOT ended;

-- One row per lease, which becomes the record of the answer. Scales with `a`; every access is by lease, by item or by
-- person, never over all of it.
CREATE TABLE leases (
    token bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- the fencing token
    id uuid NOT NULL UNIQUE,
    round_id bigint,                                        -- null: gold
    project_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    round smallint NOT NULL,
    gold boolean NOT NULL,
    annotator_id text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    blind boolean NOT NULL,
    late boolean NOT NULL DEFAULT false,
    digest bytea,                                           -- SHA-256 of what was submitted
    granted_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

-- The same person never answers the same item twice, over all rounds; a lease that merely ran out does not count.
CREATE UNIQUE INDEX leases_once ON leases (project_id, item_id, annotator_id, gold) WHERE state <> 'expired';
CREATE INDEX leases_expiring ON leases (expires_at) WHERE state = 'active';
CREATE INDEX leases_held ON leases (annotator_id) WHERE state = 'active';
CREATE INDEX leases_gold ON leases (annotator_id, project_id) WHERE gold AND state <> 'expired';
CREATE INDEX leases_of_round ON leases (round_id);

-- People. Small, read through a cache of seconds.
CREATE TABLE annotators (
    id text COLLATE "C" PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    projects text[],                        -- null: all
    token_hash bytea UNIQUE,                -- SHA-256; null: cannot log in (recorded workers)
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz
);

-- Who is not asked, and where; project '*' is everywhere. The latest measurement holds.
CREATE TABLE quarantines (
    project_id text COLLATE "C" NOT NULL,
    annotator_id text COLLATE "C" NOT NULL,
    active boolean NOT NULL,
    reason text COLLATE "C" NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (annotator_id, project_id)
);

-- Idempotency-Key -> what the request said. Its answer is read off the leases, so that it is never stored twice.
-- Forgotten by a job after a day.
CREATE TABLE idempotency_keys (
    principal text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (principal, key)
);
CREATE INDEX idempotency_age ON idempotency_keys (created_at);

-- Who did what, and what was refused. Append-only: the trigger holds it.
CREATE TABLE request_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    principal text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL
);
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'request_log is append-only';
END $$;
CREATE TRIGGER request_log_append_only BEFORE UPDATE OR DELETE ON request_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
