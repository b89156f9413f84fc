-- One row per person and project with scored gold or a quarantine: grows with annotators, not with answers.
CREATE TABLE trust (
    project_id text COLLATE "C" NOT NULL,
    annotator_id text COLLATE "C" NOT NULL,
    answers bigint NOT NULL DEFAULT 0,             -- scored answers to gold after `since`
    correct bigint NOT NULL DEFAULT 0,
    evidence double precision NOT NULL DEFAULT 0,
    quarantined boolean NOT NULL DEFAULT false,
    reason text NOT NULL DEFAULT '',
    changed_at timestamptz,
    since bigint NOT NULL DEFAULT 0,               -- answers up to this `seq` were forgiven by a lead
    review bigint,                                 -- items are reviewed from this `seq` on; null: nothing to review
    PRIMARY KEY (project_id, annotator_id)
) WITH (fillfactor = 60);
CREATE INDEX trust_review ON trust (project_id, annotator_id) WHERE review IS NOT NULL;
CREATE INDEX trust_quarantined ON trust (project_id, annotator_id) WHERE quarantined;
