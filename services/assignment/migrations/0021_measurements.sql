-- The newest measurement of each kind about each subject of a project, for its leads: grows with annotators and kinds.
CREATE TABLE measurements (
    project_id text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    annotator_id text COLLATE "C",                 -- whom it is about; null: nobody in particular
    measurement text COLLATE "C" NOT NULL,         -- JSON as published
    measured_at timestamptz NOT NULL,
    PRIMARY KEY (project_id, subject, kind)
) WITH (fillfactor = 70);
CREATE INDEX measurements_person ON measurements (annotator_id) WHERE annotator_id IS NOT NULL;
