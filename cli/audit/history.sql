-- What is known of one item (?1 project, ?2 item), in the order of the flow.
SELECT 'items.v1/' || part || '/' || pos || ': the item, content ' || substr(hash, 1, 12)
    FROM items WHERE project = ?1 AND item = ?2
UNION ALL
SELECT 'items.v1/' || i.part || '/' || i.pos || ': dead letter, ' || l.reason
    FROM items i JOIN letters l ON l.topic = 'items.v1' AND l.part = i.part AND l.pos = i.pos
    WHERE i.project = ?1 AND i.item = ?2
UNION ALL
SELECT 'assignment: ' || standing || ', round ' || round || ', label version ' || version
    FROM a_items WHERE project = ?1 AND item = ?2
UNION ALL
SELECT 'assignment: round ' || number || iif(ended, ' ended', ' open') || ', wanted ' || wanted || ', answered '
    || answered || ', skipped ' || skipped || ', running leases ' || active
    FROM a_rounds WHERE project = ?1 AND item = ?2
UNION ALL
SELECT 'assignment: lease for ' || lower(hex(id)) || ' of round ' || round || ' by ' || who || ': ' || state
    || iif(late, ', late', '')
    FROM a_leases WHERE project = ?1 AND item = ?2
UNION ALL
SELECT 'annotations.v1/' || part || '/' || pos || ': ' || lower(hex(id)) || ' of round ' || round || ', ' || outcome
    || ' by ' || coalesce(who, 'nobody')
    FROM annotations WHERE project = ?1 AND item = ?2
UNION ALL
SELECT 'qc: ' || lower(hex(id)) || ' of round ' || round || ', ' || outcome
    FROM q_annotations WHERE project = ?1 AND item = ?2
UNION ALL
SELECT 'qc: label version ' || version || ', ' || coalesce(path, 'none')
    FROM q_items WHERE project = ?1 AND item = ?2
UNION ALL
SELECT 'labels.v1/' || part || '/' || pos || ': version ' || version || ', ' || path || ', ' || opinions || ' opinions'
    FROM labels WHERE project = ?1 AND item = ?2
UNION ALL
SELECT 'monitor: ' || state || coalesce(', ' || path, '') || ', label versions ' || labels
    FROM m_items WHERE project = ?1 AND item = ?2
LIMIT ?3
