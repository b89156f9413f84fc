-- Every answer is a line too, written with it. What it is about stands in columns without an index: a line costs little.
ALTER TABLE request_log ADD COLUMN project_id text COLLATE "C";
ALTER TABLE request_log ADD COLUMN lease_id uuid;
