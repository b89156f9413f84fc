-- I2, I3, I4: an accepted annotation is never lost, never counted twice; overlap and leases hold.

-- check: answered_twice I2
SELECT project, item, 'the same person answered it ' || count(DISTINCT id) || ' times'
FROM valid_annotations WHERE NOT gold AND outcome = 'answered'
GROUP BY project, item, who HAVING count(DISTINCT id) > 1;

-- check: annotation_changed I2
SELECT project, item, 'one annotation id stands for ' || count(DISTINCT digest) || ' different annotations'
FROM valid_annotations GROUP BY id HAVING count(DISTINCT digest) > 1;

-- check: lost_annotation I2
SELECT l.project, l.item, 'a lease of round ' || l.round || ' was ' || l.state || ' and never reached annotations.v1'
FROM a_leases l
WHERE l.state IN ('answered', 'skipped') AND 'annotations.v1' NOT IN (SELECT topic FROM expired)
    AND NOT EXISTS (SELECT 1 FROM annotations a WHERE a.id = l.id);

-- check: phantom_annotation I5
SELECT a.project, a.item, 'annotations.v1/' || a.part || '/' || a.pos || ' is of no lease that was ' || a.outcome
FROM valid_annotations a LEFT JOIN a_leases l ON l.id = a.id AND l.state = a.outcome
WHERE a.outcome <> 'exhausted' AND a.early <> 0 AND l.id IS NULL
    AND NOT EXISTS (SELECT 1 FROM forgot f WHERE f.service = 'assignment' AND f.project = a.project AND f.item = a.item);

-- check: submit_lost I2
SELECT NULL, NULL, 'annotation ' || lower(hex(s.id)) || ' was answered with success and is nowhere'
FROM submitted s WHERE NOT EXISTS (SELECT 1 FROM annotations a WHERE a.id = s.id);

-- check: opinion_not_counted I2
SELECT d.project, d.item, 'annotations.v1/' || d.part || '/' || d.pos || ' was processed, but qc does not hold it'
FROM annotations_done d LEFT JOIN q_annotations q ON q.id = d.id
WHERE d.service = 'qc' AND q.id IS NULL
    AND NOT EXISTS (SELECT 1 FROM forgot f WHERE f.service = 'qc' AND f.project = d.project AND f.item = d.item);

-- check: phantom_opinion I5
SELECT q.project, q.item, 'qc counts an annotation that annotations.v1 never held'
FROM q_annotations q
WHERE 'annotations.v1' NOT IN (SELECT topic FROM expired)
    AND NOT EXISTS (SELECT 1 FROM valid_annotations a WHERE a.id = q.id);

-- check: wrong_counter I3
SELECT project, NULL, service || ' stores ' || stored || ' as "' || name || '", its raw rows add up to ' || raw
FROM counts WHERE stored <> raw;

-- check: opinion_counted_twice I3
SELECT r.project, r.item, 'round ' || r.number || ' counts ' || r.answered || ' answers, its leases hold ' || n.answered
FROM a_rounds r JOIN lease_counts n USING (project, item, number) WHERE r.answered <> n.answered;

-- check: leases_miscounted I4
SELECT r.project, r.item, 'round ' || r.number || ' counts ' || r.active || ' running leases, there are ' || n.active
FROM a_rounds r JOIN lease_counts n USING (project, item, number) WHERE r.active <> n.active;

-- check: overlap_exceeded I4
SELECT r.project, r.item,
    'round ' || r.number || ' took ' || (r.answered - r.expert_answered) || ' opinions, wanted were ' || r.wanted
    || ', allowed are ' || coalesce(p.overlap, r.wanted)
FROM a_rounds r LEFT JOIN projects p ON p.project = r.project AND p.version = r.project_version
WHERE r.answered - r.expert_answered > min(r.wanted, coalesce(p.overlap, r.wanted));

-- check: answer_after_lease I4
SELECT project, item, 'an answer of round ' || round || ' was accepted after its lease had ended'
FROM a_leases WHERE state = 'answered' AND overdue AND NOT late;
