-- I1: what was erased is gone from every service that has read so, and stays gone.

-- check: erasure_not_obeyed I1
SELECT NULL, NULL, p.service || ' has read the erasure at erasures.v1/' || a.part || '/' || a.pos || ' and not noted it'
FROM asked a JOIN places p ON p.topic = 'erasures.v1' AND p.part = a.part AND a.pos < p.next
WHERE NOT EXISTS (SELECT 1 FROM forgot f WHERE f.service = p.service AND f.subject = a.subject);

-- check: erased_item_is_back I1
SELECT f.project, f.item, f.service || ' has forgotten it and holds ' || k.what
FROM forgot f JOIN (
    SELECT 'assignment' AS service, project, item, 'it as ' || standing AS what FROM a_items
    WHERE standing <> 'erased' OR hash <> 'erased'
    UNION ALL SELECT 'assignment', project, item, 'round ' || number FROM a_rounds
    UNION ALL SELECT 'assignment', project, item, 'a lease that is ' || state FROM a_leases
    UNION ALL SELECT 'qc', project, item, 'label version ' || version FROM q_items WHERE version > 0
    UNION ALL SELECT 'qc', project, item, 'an annotation' FROM q_annotations
    UNION ALL SELECT 'monitor', project, item, 'it as ' || state FROM m_items WHERE state <> 'erased'
) k USING (service, project, item);

-- check: erased_person_is_back I1
SELECT k.project, k.item, f.service || ' has forgotten a person and still says who gave an answer'
FROM forgot f JOIN (
    SELECT 'assignment' AS service, project, item, who FROM a_leases
    UNION ALL SELECT 'qc', project, item, who FROM q_annotations
) k USING (service, who);
