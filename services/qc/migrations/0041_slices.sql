-- The project's slice that an annotation's round belongs to; null: none. Agreement is measured within each.
ALTER TABLE annotations ADD COLUMN slice text COLLATE "C";
