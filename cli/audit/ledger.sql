-- What topics and databases say, side by side, for one audit. Digests instead of contents.
-- early: 1 read before the databases were, 0 after; -1 still in an outbox when they were read.

-- early_high: where the partition ended before the databases were read.
CREATE TABLE ends (topic TEXT, part INT, low INT, high INT, early_high INT, PRIMARY KEY (topic, part)) WITHOUT ROWID;
CREATE TABLE places (service TEXT, topic TEXT, part INT, next INT, PRIMARY KEY (service, topic, part)) WITHOUT ROWID;
CREATE TABLE pending (service TEXT PRIMARY KEY, records INT) WITHOUT ROWID;
CREATE TABLE projects (project TEXT, version INT, overlap INT, external INT, PRIMARY KEY (project, version)) WITHOUT ROWID;
CREATE TABLE models (project TEXT, version TEXT, PRIMARY KEY (project, version)) WITHOUT ROWID;
CREATE TABLE live (project TEXT PRIMARY KEY, version TEXT, generation INT) WITHOUT ROWID;

CREATE TABLE refused (topic TEXT, part INT, pos INT, reason TEXT, PRIMARY KEY (topic, part, pos)) WITHOUT ROWID;
CREATE TABLE letters (
    topic TEXT, part INT, pos INT, reason TEXT, digest BLOB, source BLOB, early INT, copies INT, replayed INT,
    PRIMARY KEY (topic, part, pos)
) WITHOUT ROWID;

CREATE TABLE items (project TEXT, item TEXT, part INT, pos INT, hash TEXT, early INT,
    PRIMARY KEY (project, item, part, pos)) WITHOUT ROWID;
CREATE TABLE annotations (id BLOB, project TEXT, item TEXT, round INT, outcome TEXT, who TEXT, role TEXT, gold INT,
    late INT, digest BLOB, part INT, pos INT, early INT, PRIMARY KEY (id, part, pos)) WITHOUT ROWID;
CREATE TABLE labels (project TEXT, item TEXT, version INT, path TEXT, opinions INT, model TEXT, generation INT,
    digest BLOB, part INT, pos INT, early INT, PRIMARY KEY (project, item, version, part, pos)) WITHOUT ROWID;
CREATE INDEX annotations_item ON annotations (project, item);
CREATE TABLE owners (topic TEXT PRIMARY KEY, service TEXT) WITHOUT ROWID;
CREATE TABLE submitted (id BLOB PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE standings (name TEXT PRIMARY KEY) WITHOUT ROWID;
INSERT INTO standings VALUES ('parked'), ('awaiting_prediction'), ('open'), ('sampled_out'), ('superseded'),
    ('unresolved'), ('unlabelable'), ('labelled'), ('erased');
CREATE TABLE a_items (project TEXT, item TEXT, standing TEXT, round INT, version INT, hash TEXT,
    PRIMARY KEY (project, item)) WITHOUT ROWID;
CREATE TABLE a_rounds (project TEXT, item TEXT, number INT, wanted INT, answered INT, skipped INT, active INT,
    expert_answered INT, ended INT, project_version INT, PRIMARY KEY (project, item, number)) WITHOUT ROWID;
-- id: of the annotation that the lease becomes.
CREATE TABLE a_leases (id BLOB PRIMARY KEY, project TEXT, item TEXT, round INT, gold INT, who TEXT, role TEXT,
    state TEXT, late INT, overdue INT) WITHOUT ROWID;
CREATE INDEX a_leases_item ON a_leases (project, item, round);

CREATE TABLE q_items (project TEXT, item TEXT, version INT, path TEXT, PRIMARY KEY (project, item)) WITHOUT ROWID;
CREATE TABLE q_annotations (id BLOB PRIMARY KEY, project TEXT, item TEXT, round INT, outcome TEXT, who TEXT, gold INT)
    WITHOUT ROWID;
CREATE INDEX q_annotations_item ON q_annotations (project, item);

CREATE TABLE m_items (project TEXT, item TEXT, state TEXT, path TEXT, labels INT, PRIMARY KEY (project, item))
    WITHOUT ROWID;

-- What erasures.v1 asks for, and what each service says that it has forgotten: an item, or a person (who).
CREATE TABLE asked (subject TEXT, part INT, pos INT, PRIMARY KEY (subject, part, pos)) WITHOUT ROWID;
CREATE TABLE forgot (service TEXT, subject TEXT, project TEXT, item TEXT, who TEXT, PRIMARY KEY (service, subject))
    WITHOUT ROWID;
CREATE INDEX forgot_item ON forgot (service, project, item);

-- Every counter that a service keeps, beside the same number made from the raw rows.
CREATE TABLE counts (service TEXT, project TEXT, name TEXT, stored INT DEFAULT 0, raw INT DEFAULT 0,
    PRIMARY KEY (service, project, name)) WITHOUT ROWID;

-- Records that their topic's judge refused for what it alone knows (unknown project, other content) have a letter.
CREATE VIEW valid_items AS SELECT i.* FROM items i
    LEFT JOIN letters l ON l.topic = 'items.v1' AND l.part = i.part AND l.pos = i.pos WHERE l.pos IS NULL;
CREATE VIEW valid_annotations AS SELECT a.* FROM annotations a
    LEFT JOIN letters l ON l.topic = 'annotations.v1' AND l.part = a.part AND l.pos = a.pos WHERE l.pos IS NULL;
CREATE VIEW valid_labels AS SELECT b.* FROM labels b
    LEFT JOIN letters l ON l.topic = 'labels.v1' AND l.part = b.part AND l.pos = b.pos WHERE l.pos IS NULL;

-- Whether a service had processed a record when its database was read.
CREATE VIEW items_done AS SELECT i.*, p.service FROM valid_items i
    JOIN places p ON p.topic = 'items.v1' AND p.part = i.part AND i.pos < p.next;
CREATE VIEW annotations_done AS SELECT a.*, p.service FROM valid_annotations a
    JOIN places p ON p.topic = 'annotations.v1' AND p.part = a.part AND a.pos < p.next;
CREATE VIEW labels_done AS SELECT b.*, p.service FROM valid_labels b
    JOIN places p ON p.topic = 'labels.v1' AND p.part = b.part AND b.pos < p.next;

CREATE VIEW lease_counts AS SELECT r.project, r.item, r.number,
    (SELECT count(*) FROM a_leases l WHERE l.project = r.project AND l.item = r.item AND l.round = r.number
        AND NOT l.gold AND l.state = 'answered') AS answered,
    (SELECT count(*) FROM a_leases l WHERE l.project = r.project AND l.item = r.item AND l.round = r.number
        AND NOT l.gold AND l.state = 'active') AS active
    FROM a_rounds r;

-- Topics whose oldest records are gone: what is missing from them proves nothing.
CREATE VIEW expired AS SELECT DISTINCT topic FROM ends WHERE low > 0;
