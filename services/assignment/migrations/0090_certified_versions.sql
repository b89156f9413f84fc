-- The model version that a certificate is about: a project's own system may change its model and keep its generation.
-- NULL where a process of the release before wrote it; it counts for the certificate of number version_of.
ALTER TABLE certificates ADD COLUMN model_version text, ADD COLUMN version_of bigint;
