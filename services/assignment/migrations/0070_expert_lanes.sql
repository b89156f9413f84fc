-- Which experts a round is for (domain/lanes.py), and since when: empty and null are any expert. Not in `audience`, from
-- which `free` is computed.
ALTER TABLE rounds ADD COLUMN expert_lane text COLLATE "C" NOT NULL DEFAULT '', ADD COLUMN narrow_since timestamptz;
CREATE INDEX IF NOT EXISTS rounds_experts ON rounds (project_id, expert_lane, started, priority DESC, id)
    WHERE free > 0 AND audience = 'expert';
