-- How far the labels that the model alone gave were looked at after a change of a project's classes or of their names: one
-- row per project version with such a change. Small.
CREATE TABLE class_reviews (
    project_id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    after text COLLATE "C" NOT NULL DEFAULT '',    -- the last item that was looked at
    passes smallint NOT NULL DEFAULT 0,            -- a second one finds what a replica accepted that knew of it later
    not_before timestamptz,
    day date,                                      -- of the last labels sent to people ...
    used integer NOT NULL DEFAULT 0,               -- ... and how many there were on that day
    PRIMARY KEY (project_id, version)
);
