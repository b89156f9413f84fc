CREATE TABLE seen (
    project_id text NOT NULL,
    item_id text NOT NULL,
    times integer NOT NULL DEFAULT 1,
    PRIMARY KEY (project_id, item_id)
);
