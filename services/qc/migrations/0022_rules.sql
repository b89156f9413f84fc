-- Rules that ask for more opinions beside somebody's: how many, and until when.
ALTER TABLE conduct ADD COLUMN overlap smallint NOT NULL DEFAULT 0, ADD COLUMN overlap_until timestamptz;
CREATE INDEX IF NOT EXISTS conduct_overlap ON conduct (project_id, overlap_until) WHERE overlap_until IS NOT NULL;
