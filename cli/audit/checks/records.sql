-- I5, I6, I8: dead letters are whole, offsets are where they can be.

-- check: missing_dead_letter I6
SELECT NULL, NULL,
    r.topic || '/' || r.part || '/' || r.pos || ' was refused as ' || r.reason || ' by the shared judge and processed by '
    || o.service || ', there is no dead letter'
FROM refused r JOIN owners o USING (topic)
    JOIN places p ON p.service = o.service AND p.topic = r.topic AND p.part = r.part AND r.pos < p.next
    LEFT JOIN letters l ON l.topic = r.topic AND l.part = r.part AND l.pos = r.pos
WHERE l.pos IS NULL;

-- check: altered_dead_letter I6
SELECT NULL, NULL, 'the dead letter of ' || topic || '/' || part || '/' || pos || ' does not hold its record''s bytes'
FROM letters WHERE early = 1 AND source <> digest;

-- check: phantom_dead_letter I5
SELECT NULL, NULL, 'there is a dead letter of ' || topic || '/' || part || '/' || pos || ', which holds no record'
FROM letters JOIN ends USING (topic, part) WHERE early = 1 AND source IS NULL AND pos >= low;

-- check: dead_letter_without_reason I1
SELECT NULL, NULL, 'the dead letter of ' || topic || '/' || part || '/' || pos || ' has no reason'
FROM letters WHERE reason = '';

-- check: offset_beyond_end I8
SELECT NULL, NULL,
    service || ' says it has read ' || topic || '/' || part || ' up to ' || next || ', which ends at ' || high
FROM places JOIN ends USING (topic, part) WHERE next > high;

-- Measurements go on by the clock: quality.v1 never rests.
-- check: not_read_to_the_end I8 at_rest
SELECT NULL, NULL, service || ' has read ' || topic || '/' || part || ' up to ' || next || ' of ' || early_high
FROM places JOIN ends USING (topic, part) WHERE next < early_high AND topic <> 'quality.v1';

-- check: not_published I5 at_rest
SELECT NULL, NULL, service || ' holds ' || records || ' records of items in its outbox' FROM pending WHERE records > 0;
