-- How much of a project's labelling budget is spent in this cycle of training: a row per project with a budget, locked by
-- whoever begins an item there.
CREATE TABLE cycles (
    project_id text PRIMARY KEY COLLATE "C",
    generation integer NOT NULL,                   -- of the model that the cycle began with
    begun integer NOT NULL,                        -- items begun in it
    began_at timestamptz NOT NULL
) WITH (fillfactor = 50);
