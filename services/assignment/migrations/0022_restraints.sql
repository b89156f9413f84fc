-- What rules of the project ask about people; the newest firing of each rule. Grows with people times rules.
CREATE TABLE restraints (
    project_id text COLLATE "C" NOT NULL,
    annotator_id text COLLATE "C" NOT NULL,
    rule text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,              -- flag, pause, quarantine, more_overlap, more_gold
    share double precision,                        -- more_gold: share of the person's leases
    until timestamptz,
    measurement text COLLATE "C" NOT NULL,         -- JSON as published
    measured_at timestamptz NOT NULL,
    PRIMARY KEY (annotator_id, project_id, rule)
) WITH (fillfactor = 80);
