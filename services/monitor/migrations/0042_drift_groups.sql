-- What observations must share to be folded together: the cohort of their items, 0 where nothing waits for labels, and
-- the generation of the model.
ALTER TABLE observations ADD COLUMN cohort bigint NOT NULL DEFAULT 0, ADD COLUMN generation bigint NOT NULL DEFAULT 0;
