"""The tables of the SQLite storage, as a new file gets them.

Whoever changes them raises :data:`SCHEMA_VERSION` and adds a migration to
``_sqlite_migrations.py``, and a dump to ``tests/storage/schemas``.

``jobs.waited_for`` is explained in ``_sqlite_claims.py``. ``pruned.last_seq`` keeps the numbers of
the journal rising when its last lines are deleted. ``counts`` and ``batches.cost`` are kept by
every write, so that nobody has to scan for them.
"""

from __future__ import annotations

#: Marks a file as ours (``PRAGMA application_id``): "BKIT".
APPLICATION_ID = 0x424B4954
#: Of these tables (``PRAGMA user_version``). Older files are migrated, newer ones refused.
SCHEMA_VERSION = 2

SCHEMA = """
CREATE TABLE batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL, name TEXT NOT NULL UNIQUE,
    client_ref TEXT NOT NULL DEFAULT '', config TEXT NOT NULL DEFAULT '{}',
    control TEXT NOT NULL DEFAULT 'running', control_reason TEXT NOT NULL DEFAULT '',
    max_concurrent INTEGER NOT NULL DEFAULT 3, created REAL NOT NULL, started REAL,
    epoch INTEGER NOT NULL DEFAULT 0, next_index INTEGER NOT NULL DEFAULT 0, cost REAL
);
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
CREATE UNIQUE INDEX jobs_identity ON jobs (batch, identity);
CREATE INDEX jobs_ready ON jobs (batch, priority DESC, idx)
    WHERE status = 'pending' AND (not_before IS NULL OR not_before IS waited_for);
CREATE INDEX jobs_waiting ON jobs (batch, not_before IS waited_for, not_before)
    WHERE status = 'pending' AND not_before IS NOT NULL;
CREATE INDEX jobs_live ON jobs (batch, status)
    WHERE status = 'submitting' OR status = 'uncertain' OR status = 'processing'
    OR status = 'collecting';
CREATE INDEX jobs_failed ON jobs (batch) WHERE status = 'failed' OR status = 'expired';
CREATE TABLE results (job INTEGER PRIMARY KEY, data TEXT NOT NULL);
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY, batch INTEGER NOT NULL, job INTEGER NOT NULL,
    attempt INTEGER NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL, data TEXT
);
CREATE INDEX journal_evidence ON journal (job) WHERE kind = 'submitted';
CREATE TABLE pruned (last_seq INTEGER NOT NULL);
INSERT INTO pruned VALUES (0);
CREATE TABLE counts (
    batch INTEGER NOT NULL, status TEXT NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (batch, status)
) WITHOUT ROWID;
"""

#: The conditions of partial indexes, word for word: SQLite uses an index only where the query
#: repeats its condition, and IN there would double the time of every update of a job.
LIVE = (
    "(status = 'submitting' OR status = 'uncertain' OR status = 'processing'"
    " OR status = 'collecting')"
)
FAILED = "(status = 'failed' OR status = 'expired')"
READY = "status = 'pending' AND (not_before IS NULL OR not_before IS waited_for)"
WAITING = "status = 'pending' AND not_before IS NOT NULL"
