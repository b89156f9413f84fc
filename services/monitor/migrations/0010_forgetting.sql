-- Requests older than any topic's records are forgotten.
CREATE INDEX relabels_age ON relabels (requested_at);
