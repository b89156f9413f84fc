-- How many scored answers to gold stood behind the newest gold plan that was published of a person.
ALTER TABLE trust ADD COLUMN planned bigint NOT NULL DEFAULT 0;
CREATE INDEX IF NOT EXISTS trust_unplanned ON trust (project_id, annotator_id) WHERE answers <> planned;
