-- Labels of objects, words and pixels judge their answers by their value: it is kept. And what became of proposals.
ALTER TABLE items ADD COLUMN label_value jsonb;                    -- null for choices, sets and numbers
ALTER TABLE annotations ADD COLUMN correction text,                -- accepted, edited, replaced; null: none was shown
    ADD COLUMN apart smallint;                                     -- mills of the kind's distance to the proposal
