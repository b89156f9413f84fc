-- The class of a label that was accepted under a certificate, and whether on the class's own part of it. Null: kept before.
ALTER TABLE accepted ADD COLUMN symbol text, ADD COLUMN own boolean NOT NULL DEFAULT false;
