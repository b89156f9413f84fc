-- People of a project in the order of their ids, for the read API and the counts of the metrics.
CREATE INDEX IF NOT EXISTS measurements_skill ON measurements (project_id, subject COLLATE "C") WHERE kind = 'skill';
CREATE INDEX IF NOT EXISTS measurements_quarantine ON measurements (project_id) WHERE kind = 'quarantine';
