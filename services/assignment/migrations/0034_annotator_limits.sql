-- How much a person does, at once and in a day.
ALTER TABLE annotators
    ADD COLUMN max_open integer,                   -- leases at once; null: the deployment's limit
    ADD COLUMN daily_answers integer;              -- null: no limit
