-- What this service was told to forget, and what it removed: the proof, and what keeps late records out. One row per
-- erasure, for ever; the subject is the key of the event in erasures.v1, which holds it as long.
CREATE TABLE erasures (
    subject text COLLATE "C" PRIMARY KEY,
    annotator_id text COLLATE "C",              -- null: an item
    requested_at timestamptz NOT NULL,
    erased_at timestamptz NOT NULL,             -- when it was last looked for
    removed jsonb NOT NULL                      -- what -> rows, over all times that it was looked for
);
CREATE INDEX erasures_people ON erasures (annotator_id) WHERE annotator_id IS NOT NULL;
CREATE INDEX erasures_age ON erasures (requested_at);
