-- A round that is asked for because a snapshot doubts the label before it: earlier opinions count towards its overlap.
-- And how the label that a round ended in reached the target, where it did; null where the label was read back.
ALTER TABLE rounds ADD COLUMN pooled boolean NOT NULL DEFAULT false,
    ADD COLUMN posterior double precision,
    ADD COLUMN snapshot bigint,                    -- under which it was decided
    ADD COLUMN target double precision,            -- of the policy that the round pinned
    ADD COLUMN most smallint;                      -- opinions that the same policy allows

-- The search for labels in doubt: one row a project.
CREATE TABLE doubts (
    project_id text COLLATE "C" PRIMARY KEY,
    snapshot bigint NOT NULL DEFAULT 0,            -- the newest that labels were held against
    day date,                                      -- of the last requests ...
    used integer NOT NULL DEFAULT 0                -- ... and how many there were on that day
);
