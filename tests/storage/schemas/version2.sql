-- Written by the program that made version 2, and dumped.
PRAGMA application_id = 1112230228;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL, name TEXT NOT NULL UNIQUE,
    client_ref TEXT NOT NULL DEFAULT '', config TEXT NOT NULL DEFAULT '{}',
    control TEXT NOT NULL DEFAULT 'running', control_reason TEXT NOT NULL DEFAULT '',
    max_concurrent INTEGER NOT NULL DEFAULT 3, created REAL NOT NULL, started REAL,
    epoch INTEGER NOT NULL DEFAULT 0, next_index INTEGER NOT NULL DEFAULT 0, cost REAL
);
INSERT INTO "batches" VALUES(1,'fc3cc2d4252442b799db8adfca53a7c9','night','','{}','running','',3,1000.0,1001.0,1,8,0.5);
INSERT INTO "batches" VALUES(2,'01b4fb0d0a414ec78b2b2d8000e15090','empty','','{}','running','',3,1000.0,NULL,0,0,NULL);
CREATE TABLE counts (
    batch INTEGER NOT NULL, status TEXT NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (batch, status)
) WITHOUT ROWID;
INSERT INTO "counts" VALUES(1,'collecting',0);
INSERT INTO "counts" VALUES(1,'completed',1);
INSERT INTO "counts" VALUES(1,'failed',1);
INSERT INTO "counts" VALUES(1,'paused',1);
INSERT INTO "counts" VALUES(1,'pending',2);
INSERT INTO "counts" VALUES(1,'processing',1);
INSERT INTO "counts" VALUES(1,'submitting',1);
INSERT INTO "counts" VALUES(1,'uncertain',1);
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, batch INTEGER NOT NULL, idx INTEGER NOT NULL,
    identity TEXT NOT NULL, request TEXT NOT NULL, metadata TEXT,
    priority INTEGER NOT NULL DEFAULT 0, status TEXT NOT NULL, epoch INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0, retries INTEGER NOT NULL DEFAULT 0,
    handle TEXT, error TEXT, prepared TEXT, cost REAL,
    created REAL NOT NULL, started REAL, completed REAL,
    not_before REAL, deadline REAL, cancel_requested_at REAL,
    waited_for REAL
);
INSERT INTO "jobs" VALUES(1,1,0,'done','["generate",{"prompt":"done"}]','{"série":"done"}',0,'completed',1,1,0,'{"id":"h-done"}',NULL,NULL,0.5,1000.0,1002.0,1005.0,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(2,1,1,'running','["generate",{"prompt":"running"}]',NULL,0,'processing',1,1,0,'{"id":"h-running"}',NULL,NULL,NULL,1000.0,1002.0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(3,1,2,'doubtful','["generate",{"prompt":"doubtful"}]',NULL,0,'uncertain',1,1,0,NULL,NULL,NULL,NULL,1000.0,1002.0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(4,1,3,'sent','["generate",{"prompt":"sent"}]',NULL,0,'submitting',1,1,0,NULL,NULL,NULL,NULL,1000.0,1002.0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(5,1,4,'waits','["generate",{"prompt":"waits"}]',NULL,0,'pending',0,1,1,NULL,'{"kind":"network","message":"busy"}',NULL,NULL,1000.0,1002.0,NULL,2000.0,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(6,1,5,'held','["generate",{"prompt":"held"}]',NULL,0,'paused',0,0,0,NULL,NULL,NULL,NULL,1000.0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(7,1,6,'failed','["generate",{"prompt":"failed"}]',NULL,0,'failed',1,0,0,NULL,'{"kind":"invalid_input","message":"no"}',NULL,NULL,1000.0,NULL,1004.0,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(8,1,7,'next','["generate",{"prompt":"next"}]',NULL,5,'pending',0,0,0,NULL,NULL,NULL,NULL,1000.0,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY, batch INTEGER NOT NULL, job INTEGER NOT NULL,
    attempt INTEGER NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL, data TEXT
);
INSERT INTO "journal" VALUES(1,1,1,1,'submitting',1002.0,NULL);
INSERT INTO "journal" VALUES(2,1,1,1,'submitted',1003.0,'{"handle":{"id":"h-done"}}');
INSERT INTO "journal" VALUES(3,1,1,1,'completed',1005.0,NULL);
INSERT INTO "journal" VALUES(4,1,2,1,'submitting',1002.0,NULL);
INSERT INTO "journal" VALUES(5,1,2,1,'submitted',1003.0,'{"handle":{"id":"h-running"}}');
INSERT INTO "journal" VALUES(6,1,3,1,'submitting',1002.0,NULL);
INSERT INTO "journal" VALUES(7,1,3,1,'uncertain',1004.0,NULL);
INSERT INTO "journal" VALUES(8,1,4,1,'submitting',1002.0,NULL);
INSERT INTO "journal" VALUES(9,1,5,1,'submitting',1002.0,NULL);
INSERT INTO "journal" VALUES(10,1,5,1,'retrying',1004.0,NULL);
INSERT INTO "journal" VALUES(11,1,6,0,'held',1004.0,NULL);
INSERT INTO "journal" VALUES(12,1,7,0,'failed',1004.0,NULL);
CREATE TABLE pruned (last_seq INTEGER NOT NULL);
INSERT INTO "pruned" VALUES(0);
CREATE TABLE results (job INTEGER PRIMARY KEY, data TEXT NOT NULL);
INSERT INTO "results" VALUES(1,'{"text":"texto é"}');
CREATE UNIQUE INDEX jobs_identity ON jobs (batch, identity);
CREATE INDEX jobs_ready ON jobs (batch, priority DESC, idx)
    WHERE status = 'pending' AND (not_before IS NULL OR not_before IS waited_for);
CREATE INDEX jobs_waiting ON jobs (batch, not_before IS waited_for, not_before)
    WHERE status = 'pending' AND not_before IS NOT NULL;
CREATE INDEX jobs_live ON jobs (batch, status)
    WHERE status = 'submitting' OR status = 'uncertain' OR status = 'processing'
    OR status = 'collecting';
CREATE INDEX jobs_failed ON jobs (batch) WHERE status = 'failed' OR status = 'expired';
CREATE INDEX journal_evidence ON journal (job) WHERE kind = 'submitted';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('batches',2);
INSERT INTO "sqlite_sequence" VALUES('jobs',8);
COMMIT;
