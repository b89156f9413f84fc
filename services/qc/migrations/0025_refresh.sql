-- The newest answers of a project, to which its next snapshot is fitted.
CREATE INDEX IF NOT EXISTS annotations_newest ON annotations (project_id, seq)
    WHERE NOT gold AND outcome = 'answered' AND role = 'annotator' AND annotator_id IS NOT NULL;
