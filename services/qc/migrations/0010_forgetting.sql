-- An erased item keeps its row, so that nothing about it is taken in again.
ALTER TABLE items ADD COLUMN erased boolean NOT NULL DEFAULT false;

-- Answers of one person, and those to one gold item, without reading the whole table.
CREATE INDEX annotations_person ON annotations (annotator_id, project_id, seq) WHERE annotator_id IS NOT NULL;
CREATE INDEX annotations_gold ON annotations (project_id, item_id) WHERE gold;
CREATE INDEX snapshots_age ON snapshots (created_at);
