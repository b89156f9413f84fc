-- Blind audits of projects that ask for a guarantee: what people's label gives to the model's proposal. Grows with the
-- audit share of the traffic; pruned by age once it was weighed.
CREATE TABLE audits (
    project_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    weighed boolean NOT NULL DEFAULT false,
    generation bigint NOT NULL,
    model_version text NOT NULL,
    symbol text NOT NULL,                       -- what was proposed
    confidence double precision NOT NULL,
    share double precision NOT NULL,            -- of the proposal in people's posterior
    labelled_at timestamptz NOT NULL,
    PRIMARY KEY (project_id, item_id)
);
CREATE INDEX audits_new ON audits (project_id, seq) WHERE NOT weighed;
CREATE INDEX audits_age ON audits (labelled_at) WHERE weighed;

-- Labels accepted under a certificate, so that they can be opened again should it prove void. One narrow row per label,
-- pruned by age; at a billion items a day partition it by day (every statement on it goes by time or by key).
CREATE TABLE accepted (
    project_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    labelled_at timestamptz NOT NULL,
    PRIMARY KEY (project_id, item_id)
);
CREATE INDEX accepted_time ON accepted (project_id, labelled_at, item_id);
CREATE INDEX accepted_age ON accepted (labelled_at);

-- The state of each project that asks for a guarantee; a few kB.
CREATE TABLE certificates (
    project_id text PRIMARY KEY COLLATE "C",
    ledger jsonb,
    reopen_from timestamptz,                    -- labels accepted since then, after this item, are still to be reopened
    reopen_after text NOT NULL DEFAULT '',
    reopen_until timestamptz
) WITH (fillfactor = 60);
