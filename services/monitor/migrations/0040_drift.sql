-- What was observed for the drift detectors and is not folded into them yet: one row per batch and signal, written with
-- the batch's offset, taken by the drift job. `events`: JSON, see services/monitor/domain/drift/signals.py.
CREATE TABLE observations (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL,
    signal text NOT NULL,
    slice text NOT NULL,
    model_version text NOT NULL,
    guideline_version integer NOT NULL,
    observed_at timestamptz NOT NULL,
    events text NOT NULL
);

-- One detector per signal and part of the traffic: its reference and what it has gathered since; a few kB.
CREATE TABLE detectors (
    project_id text COLLATE "C" NOT NULL,
    signal text NOT NULL,
    slice text NOT NULL,
    watch text NOT NULL,                        -- JSON, see services/monitor/domain/drift
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (project_id, signal, slice)
) WITH (fillfactor = 60);

-- Alarms as they were last told; open until resolved_at.
CREATE TABLE alarms (
    alarm_id uuid PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL,
    signal text NOT NULL,
    slice text NOT NULL,
    state text NOT NULL,
    number integer NOT NULL,
    opened_at timestamptz NOT NULL,
    resolved_at timestamptz,
    alarm jsonb NOT NULL                        -- the measurement of quality.v1
) WITH (fillfactor = 60);
CREATE INDEX alarms_open ON alarms (project_id, signal, slice) WHERE resolved_at IS NULL;
CREATE INDEX alarms_time ON alarms (project_id, opened_at);
