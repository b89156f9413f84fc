-- The prediction beside an answer that was given blind: class -> probability.
ALTER TABLE annotations ADD COLUMN predicted jsonb;
-- The newest answers to gold items, by which posteriors are compared with what is known.
CREATE INDEX IF NOT EXISTS annotations_gold_newest ON annotations (project_id, seq)
    WHERE gold AND outcome = 'answered' AND annotator_id IS NOT NULL;
