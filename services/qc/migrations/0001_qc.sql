-- What qc owns. Facts are joins of events (annotations, labels, own escalations); every count is a sum over items, so
-- it can be recomputed from the raw rows at any time (`labelstream audit` does).

-- One row per item that people answered or that has a label: the lock of the item, and its live label (the highest
-- version). About 150 bytes an item; every statement goes by primary key. Partition by hash above some 10^8 items.
CREATE TABLE items (
    project_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    label_version smallint NOT NULL DEFAULT 0,     -- 0: no label yet
    label_path text,                               -- auto, single, consensus, expert
    label_kind text,                               -- closed, open, numeric
    label_symbol text,
    label_weights jsonb,                           -- posterior in mills; the answers are judged by it
    label_number double precision,
    label_tolerance double precision,
    PRIMARY KEY (project_id, item_id)
) WITH (fillfactor = 70);

-- Every annotation as it came; one row each, read by item. The raw record that all counts are made of.
-- A person answers an item once, over all rounds (gold items excepted): the first answer stands.
CREATE TABLE annotations (
    annotation_id uuid PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY,       -- arrival; answers of one item arrive in one order
    project_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    round smallint NOT NULL,
    outcome text NOT NULL,                         -- answered, skipped, exhausted
    annotator_id text COLLATE "C",
    role text NOT NULL,
    value jsonb,
    symbol text COLLATE "C",
    skip_reason text,
    gold boolean NOT NULL,
    late boolean NOT NULL,
    saw_proposal boolean NOT NULL,
    duration_ms bigint NOT NULL,
    project_version integer NOT NULL,
    guideline_version integer NOT NULL,
    submitted_at timestamptz NOT NULL
);
CREATE INDEX annotations_item ON annotations (project_id, item_id) WHERE NOT gold;
CREATE UNIQUE INDEX annotations_once ON annotations (project_id, item_id, md5(annotator_id))
    WHERE outcome = 'answered' AND NOT gold;

-- One row per round that people answered: what qc asked for, and how it ended. At most as many as annotations.
CREATE TABLE rounds (
    project_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    round smallint NOT NULL,
    asked integer NOT NULL DEFAULT 0,              -- opinions asked for in all; 0: none beyond the policy's minimum
    expert_asked boolean NOT NULL DEFAULT false,
    ended text,                                    -- label, unlabelable, unresolved
    PRIMARY KEY (project_id, item_id, round)
) WITH (fillfactor = 70);
-- Undecided rounds, in an order that says nothing about them: a snapshot looks at the first few thousand.
CREATE INDEX rounds_undecided ON rounds (project_id, hashtextextended(item_id, 0))
    WHERE ended IS NULL AND (asked > 0 OR expert_asked);

-- Judged answers by cell. Grows with annotators x cells used, not with answers. `answers` has the decided label as the
-- truth; `weight` spreads 1000 a judged answer over the truths by the label's posterior.
CREATE TABLE annotator_counts (
    project_id text COLLATE "C" NOT NULL,
    annotator_id text COLLATE "C" NOT NULL,
    truth text COLLATE "C" NOT NULL,               -- empty on a scale without classes
    answered text COLLATE "C" NOT NULL,            -- there: = or !
    source text NOT NULL,                          -- consensus, gold
    answers bigint NOT NULL,
    weight bigint NOT NULL,
    PRIMARY KEY (project_id, annotator_id, truth, answered, source)
) WITH (fillfactor = 60);

-- One row per annotator and project. `dirty`: judged anew since the last skill event.
CREATE TABLE annotators (
    project_id text COLLATE "C" NOT NULL,
    annotator_id text COLLATE "C" NOT NULL,
    given bigint NOT NULL DEFAULT 0,               -- answers, gold and late ones among them
    skipped bigint NOT NULL DEFAULT 0,
    dirty boolean NOT NULL DEFAULT false,
    PRIMARY KEY (project_id, annotator_id)
) WITH (fillfactor = 60);
CREATE INDEX annotators_dirty ON annotators (project_id, annotator_id) WHERE dirty;

-- One row per class: answers given (not gold), and items whose live label people made.
CREATE TABLE class_counts (
    project_id text COLLATE "C" NOT NULL,
    class text COLLATE "C" NOT NULL,
    answered bigint NOT NULL DEFAULT 0,
    labelled bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (project_id, class)
) WITH (fillfactor = 60);

-- Ended rounds by their number of annotators' answers (two or more): at most a hundred rows a project.
CREATE TABLE agreement_counts (
    project_id text COLLATE "C" NOT NULL,
    opinions integer NOT NULL,
    rounds bigint NOT NULL,
    pairs bigint NOT NULL,                         -- agreeing pairs in all of them
    PRIMARY KEY (project_id, opinions)
) WITH (fillfactor = 60);

-- One row per answer to a gold item; `expected` is null until the gold answer is known.
CREATE TABLE gold_results (
    annotation_id uuid PRIMARY KEY,
    project_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    expected text COLLATE "C",
    correct boolean
);
CREATE INDEX gold_results_item ON gold_results (project_id, item_id);

-- Gold results read back from the own output: known to be published, whether or not their annotation has come again.
CREATE TABLE gold_published (
    annotation_id uuid NOT NULL,
    expected text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX gold_published_once ON gold_published (annotation_id, md5(expected));

-- Parameters that decisions name. `body` (the counts) is kept for the newest of each project, the digest for all; one
-- row per refresh with changes.
CREATE TABLE snapshots (
    project_id text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    created_at timestamptz NOT NULL,
    judged bigint NOT NULL,                        -- answers in the counts
    given bigint NOT NULL,                         -- answers taken in until then
    digest text NOT NULL,
    body bytea,
    PRIMARY KEY (project_id, number)
);
