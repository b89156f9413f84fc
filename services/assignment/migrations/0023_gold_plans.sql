-- In which order somebody gets gold items, and how many of them: made by qc, which knows the answers. At most one row a
-- person and project, of fifty ids; annotator '' is everybody without a row.
CREATE TABLE gold_plans (
    project_id text COLLATE "C" NOT NULL,
    annotator_id text COLLATE "C" NOT NULL,
    share double precision NOT NULL,
    items text[] NOT NULL,
    measured_at timestamptz NOT NULL,
    PRIMARY KEY (annotator_id, project_id)
) WITH (fillfactor = 80);
