-- Classes whose labels, accepted in [since, until], are still to be opened again; those up to `after` at `since` are done.
-- At most one row per class of a project; what is of all classes together is in `certificates`.
CREATE TABLE reopenings (
    project_id text COLLATE "C" NOT NULL,
    symbol text NOT NULL,
    since timestamptz NOT NULL,
    after text COLLATE "C" NOT NULL DEFAULT '',
    until timestamptz NOT NULL,
    PRIMARY KEY (project_id, symbol)
);
