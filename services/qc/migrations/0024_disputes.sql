-- Wrong answers to items with few classes, lately: examples of what is confused with what. No names. A job keeps the
-- newest few thousand a project.
CREATE TABLE disputes (
    project_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    gold boolean NOT NULL,
    answered text COLLATE "C" NOT NULL,
    truth text COLLATE "C" NOT NULL,
    times integer NOT NULL,                        -- people who answered so
    answers integer NOT NULL,                      -- people who answered the item at all, as far as it was judged
    seq bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (project_id, item_id, gold, answered)
) WITH (fillfactor = 80);
CREATE INDEX disputes_pair ON disputes (project_id, truth, answered, times DESC);
CREATE INDEX disputes_age ON disputes (project_id, seq);
