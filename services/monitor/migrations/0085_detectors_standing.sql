-- How a detector stands, as its state says it, for whoever looks: null until it takes in its next events.
ALTER TABLE detectors ADD COLUMN state text, ADD COLUMN log_evidence float8, ADD COLUMN log_limit float8,
    ADD COLUMN learned bigint, ADD COLUMN wanted bigint, ADD COLUMN seen bigint;
