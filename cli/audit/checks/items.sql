-- I1: every acknowledged item is in exactly one state, and every item comes from a record.

-- check: lost_item I1
SELECT d.project, d.item,
    'items.v1/' || min(d.part) || '/' || min(d.pos)
    || ' was processed, but assignment has no such item and there is no dead letter'
FROM items_done d LEFT JOIN a_items a USING (project, item)
WHERE d.service = 'assignment' AND (a.item IS NULL OR (a.hash IS NULL AND a.standing <> 'erased'))
GROUP BY d.project, d.item;

-- check: swallowed_conflict I1
SELECT d.project, d.item,
    'items.v1/' || d.part || '/' || d.pos || ' has other content than the item, and no dead letter'
FROM items_done d JOIN a_items a USING (project, item)
WHERE d.service = 'assignment' AND a.hash <> d.hash AND a.standing <> 'erased';

-- check: phantom_item I5
SELECT a.project, a.item, 'assignment has the item, no record of items.v1 with that content was accepted'
FROM a_items a
WHERE a.hash IS NOT NULL AND a.standing <> 'erased' AND 'items.v1' NOT IN (SELECT topic FROM expired)
    AND NOT EXISTS (
        SELECT 1 FROM items_done d
        WHERE d.service = 'assignment' AND d.project = a.project AND d.item = a.item AND d.hash = a.hash
    );

-- check: unknown_state I1
SELECT project, item, 'assignment says ' || standing
FROM a_items WHERE standing NOT IN (SELECT name FROM standings);

-- check: round_disagrees_with_item I1
SELECT a.project, a.item,
    'the item is ' || a.standing || ', its round ' || r.number || ' is ' || iif(r.ended, 'ended', 'open')
FROM a_items a JOIN a_rounds r USING (project, item)
WHERE (r.number = a.round AND a.standing = 'open' AND r.ended)
    OR (NOT r.ended AND (r.number <> a.round OR a.standing NOT IN ('open', 'parked')));

-- Facts of an item that no record brought; those of a refused item are no violation.
-- check: facts_without_item I5 at_rest
SELECT a.project, a.item, 'something is known of an item that no record of items.v1 brought'
FROM a_items a
WHERE a.standing = 'parked' AND 'items.v1' NOT IN (SELECT topic FROM expired)
    AND NOT EXISTS (SELECT 1 FROM items i WHERE i.project = a.project AND i.item = a.item);

-- check: not_at_rest I1 at_rest
SELECT project, item, 'is still ' || standing
FROM a_items WHERE standing IN ('awaiting_prediction', 'superseded');
