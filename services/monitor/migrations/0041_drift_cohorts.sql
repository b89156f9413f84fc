-- Items that chance gave to people, by the time bucket of the item, and how many of them have their label: signals of
-- people are compared once a cohort has matured.
CREATE TABLE cohorts (
    project_id text COLLATE "C" NOT NULL,
    cohort bigint NOT NULL,
    due integer NOT NULL DEFAULT 0,
    done integer NOT NULL DEFAULT 0,
    PRIMARY KEY (project_id, cohort)
) WITH (fillfactor = 60);
CREATE INDEX cohorts_age ON cohorts (cohort);
