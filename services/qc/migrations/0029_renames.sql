-- A label that is another one under present names: the version whose answers it stands on; null where that is itself.
ALTER TABLE items ADD COLUMN label_given smallint;

-- How far the labels of a project were given again under present names; `version` is of the project, as in `reviews`.
CREATE TABLE renames (LIKE reviews INCLUDING ALL);
