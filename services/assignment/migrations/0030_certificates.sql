-- The newest certificate of each project: from which confidence monitor has proven that proposals may be accepted.
-- One row per project that asks for a guarantee.
CREATE TABLE certificates (
    project_id text PRIMARY KEY COLLATE "C",
    number bigint NOT NULL,
    id uuid NOT NULL,
    generation bigint NOT NULL,
    threshold double precision,                    -- null: withdrawn
    audit_share double precision NOT NULL,
    target_error double precision NOT NULL,
    valid_until timestamptz NOT NULL
) WITH (fillfactor = 80);
