-- What routing and ordering know of an item, besides what the model says: told by its producer once, when it comes.
ALTER TABLE items
    ADD COLUMN slice text COLLATE "C",             -- of the project's slices; null: none
    ADD COLUMN language text COLLATE "C",          -- of its metadata; null: not said
    ADD COLUMN sketch bytea;                       -- 32 numbers that stand for the content; null: not needed
