-- I1, I3, I5, I7: one label per item and version, known to everyone, from a model that was promoted.

-- check: double_label I1
SELECT project, item, 'version ' || version || ' has ' || count(DISTINCT digest) || ' different labels'
FROM valid_labels GROUP BY project, item, version HAVING count(DISTINCT digest) > 1;

-- check: labelled_without_label I1
SELECT a.project, a.item, 'assignment says labelled in round ' || a.round || ', labels.v1 has no such version'
FROM a_items a
WHERE a.standing = 'labelled' AND 'labels.v1' NOT IN (SELECT topic FROM expired)
    AND NOT EXISTS (
        SELECT 1 FROM valid_labels b WHERE b.project = a.project AND b.item = a.item AND b.version = a.round
    );

-- check: phantom_label_version I5
SELECT a.project, a.item, a.service || ' holds label version ' || a.version || ', labels.v1 has none'
FROM (
    SELECT 'assignment' AS service, project, item, version FROM a_items
    UNION ALL SELECT 'qc', project, item, version FROM q_items
) a
WHERE a.version > 0 AND 'labels.v1' NOT IN (SELECT topic FROM expired)
    AND NOT EXISTS (
        SELECT 1 FROM valid_labels b WHERE b.project = a.project AND b.item = a.item AND b.version = a.version
    );

-- check: label_not_taken_in I1
SELECT d.project, d.item,
    'label version ' || max(d.version) || ' was processed by ' || d.service || ', which holds '
    || coalesce(k.version, 'no such item')
FROM labels_done d LEFT JOIN (
    SELECT 'assignment' AS service, project, item, version FROM a_items
    UNION ALL SELECT 'qc', project, item, version FROM q_items
) k USING (service, project, item)
WHERE (d.service = 'assignment' OR (d.service = 'qc' AND d.path <> 'auto'))  -- an automatic label tells qc nothing
    AND NOT EXISTS (SELECT 1 FROM forgot f WHERE f.service = d.service AND f.project = d.project AND f.item = d.item)
GROUP BY d.service, d.project, d.item HAVING max(d.version) > coalesce(k.version, 0);

-- check: label_not_counted I3
SELECT d.project, d.item, 'label version ' || d.version || ' was processed by monitor, which has not counted it'
FROM labels_done d LEFT JOIN m_items m USING (project, item)
WHERE d.service = 'monitor' AND coalesce(m.labels >> d.version & 1, 0) = 0;

-- check: label_of_unknown_item I5
SELECT b.project, b.item, 'label version ' || b.version || ' is of an item that items.v1 never held'
FROM valid_labels b
WHERE 'items.v1' NOT IN (SELECT topic FROM expired)
    AND NOT EXISTS (SELECT 1 FROM items i WHERE i.project = b.project AND i.item = b.item);

-- check: unknown_model I7
SELECT b.project, b.item, 'label version ' || b.version || ' stands on model ' || b.model || ', which is not registered'
FROM valid_labels b
WHERE b.generation > 0 AND b.project NOT IN (SELECT project FROM projects WHERE external)
    AND NOT EXISTS (SELECT 1 FROM models m WHERE m.project = b.project AND m.version = b.model);

-- check: model_not_promoted I7
SELECT b.project, b.item,
    'label version ' || b.version || ' stands on generation ' || b.generation || ', the live one is '
    || coalesce(l.generation, 'none')
FROM valid_labels b LEFT JOIN live l USING (project)
WHERE b.generation > coalesce(l.generation, 0) AND b.project NOT IN (SELECT project FROM projects WHERE external);
