-- Labels that are likely wrong and wait for another round to be asked for: of each project the best few times its budget,
-- however many labels come. One row per item, of its newest label in doubt.
CREATE TABLE doubts (
    project_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    version smallint NOT NULL,                  -- of the label
    cause text NOT NULL,
    wrong double precision NOT NULL,            -- probability, what the best is by
    confidence double precision NOT NULL,
    model_version text NOT NULL,
    labelled_at timestamptz NOT NULL,
    PRIMARY KEY (project_id, item_id)
);
CREATE INDEX doubts_best ON doubts (project_id, wrong DESC, item_id);
