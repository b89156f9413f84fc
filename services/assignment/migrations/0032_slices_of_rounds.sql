-- Why a round stands where it does in the queue. `audience` may name more than the role: see domain/lanes.py.
ALTER TABLE rounds
    ADD COLUMN slice text COLLATE "C",             -- whose policy it has; null: the project's own
    ADD COLUMN likely text COLLATE "C",            -- the class that the model thinks of; null: none
    ADD COLUMN spread double precision NOT NULL DEFAULT 0;  -- the part of the priority that other items decide
