-- The same as `reviews`, after a change of a project's classes; `version` is of the project.
CREATE TABLE schema_reviews (LIKE reviews INCLUDING ALL);
