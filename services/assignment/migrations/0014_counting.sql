-- What is counted and swept without reading every open round: blocked rounds, and those that wait for qc's decision. Both
-- are few while people and qc are at work, and are counted up to a bound only. The second index holds leased rounds too,
-- so that an answer changes no indexed column of its round.
CREATE INDEX IF NOT EXISTS rounds_blocked ON rounds (project_id) WHERE blocked_at IS NOT NULL AND free > 0;
CREATE INDEX IF NOT EXISTS rounds_deciding ON rounds (project_id) WHERE NOT ended AND free = 0;
