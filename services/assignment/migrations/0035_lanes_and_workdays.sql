-- The lanes that a project's annotators' queue has (domain/lanes.py): as many as its languages times its groups.
CREATE TABLE lanes (
    project_id text COLLATE "C" NOT NULL,
    lane text COLLATE "C" NOT NULL,
    PRIMARY KEY (project_id, lane)
);
-- Answers of today, of people who have a limit; a row per such person.
CREATE TABLE workdays (
    annotator_id text PRIMARY KEY COLLATE "C",
    day date NOT NULL,
    answers integer NOT NULL
) WITH (fillfactor = 50);
