-- Finding what is to be erased or has expired, without reading whole tables. The partial indexes hold next to nothing.
CREATE INDEX leases_person ON leases (annotator_id) WHERE state <> 'active';
CREATE INDEX leases_ran_out ON leases (project_id, item_id) WHERE state = 'expired';
CREATE INDEX leases_ran_out_at ON leases (ended_at) WHERE state = 'expired';
CREATE INDEX rounds_excluding ON rounds USING gin (excluded) WHERE excluded <> '{}';
CREATE INDEX items_doubted ON items (project_id, item_id) WHERE relabels IS NOT NULL;

-- Refused and administrative requests only: few writes.
CREATE INDEX request_log_principal ON request_log (principal);
CREATE INDEX request_log_subject ON request_log (subject);
CREATE INDEX request_log_age ON request_log USING brin (at);

-- Still append-only, but for what erases a person or forgets old lines, which says so in its transaction.
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('labelstream.upkeep', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'request_log is append-only';
END $$;
