-- One row per person and project: how they work. Grows with annotators; every row is of bounded size.
CREATE TABLE conduct (
    project_id text COLLATE "C" NOT NULL,
    annotator_id text COLLATE "C" NOT NULL,
    pace jsonb NOT NULL DEFAULT '{}',              -- bin of log time -> answers; equal to the sum over annotations
    state jsonb NOT NULL DEFAULT '{}',             -- sequential tests; in order of arrival, so decisions, not facts
    PRIMARY KEY (project_id, annotator_id)
) WITH (fillfactor = 60);
