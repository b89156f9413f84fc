-- How far the review of a project's labels after a change has come: one row per guideline version that touched a class.
CREATE TABLE reviews (
    project_id text COLLATE "C" NOT NULL,
    version integer NOT NULL,                      -- of the guideline
    after text COLLATE "C" NOT NULL DEFAULT '',    -- the last item that was looked at
    passes smallint NOT NULL DEFAULT 0,            -- a second one finds the rounds that were open at the change
    not_before timestamptz,
    day date,                                      -- of the last requests ...
    used integer NOT NULL DEFAULT 0,               -- ... and how many there were on that day
    PRIMARY KEY (project_id, version)
);
