"""The queries of the PostgreSQL storage; ``{s}`` stands for the schema."""

from __future__ import annotations

BATCH_COLUMNS = (
    "id, uid, name, client_ref, config, control, control_reason, max_concurrent, created, started"
)
JOB = (
    "j.id, j.batch, j.idx, coalesce(j.long_identity, j.identity), j.request, j.metadata,"
    " j.priority, j.status, j.epoch, j.attempt, j.retries, j.handle, j.error, j.prepared, j.cost,"
    " j.created, j.started, j.completed, j.not_before, j.deadline, j.cancel_requested_at"
)
_ENTRY = "seq, job, attempt, kind, at, data"
#: The condition of an index, word for word.
LIVE = "status IN ('submitting', 'uncertain', 'processing', 'collecting')"

FIND_BATCH = "SELECT " + BATCH_COLUMNS + " FROM {s}.batches WHERE name = %s"
BATCHES = "SELECT " + BATCH_COLUMNS + " FROM {s}.batches ORDER BY id"
NEXT_DUE = """
SELECT min(not_before) FROM {s}.jobs
WHERE batch = %s AND status = 'pending' AND not_before > 0 AND not_before > %s
"""

CANCEL_REQUESTS = (
    "SELECT id FROM {s}.jobs WHERE batch = %s AND " + LIVE + " AND cancel_requested_at IS NOT NULL"
)

_WHOLE = "SELECT " + JOB + ", r.data FROM {s}.jobs AS j LEFT JOIN {s}.results AS r ON r.job = j.id"
GET = _WHOLE + " WHERE j.id = %s"
FIND = _WHOLE + " WHERE j.batch = %s AND j.identity = %s"
_PAGE = " WHERE j.batch = %s AND j.idx > %s AND (%s::text[] IS NULL OR j.status = ANY(%s))"
_IN_ORDER = " ORDER BY j.idx LIMIT %s"
JOBS = "SELECT " + JOB + ", NULL FROM {s}.jobs AS j" + _PAGE + _IN_ORDER
JOBS_WITH_RESULTS = _WHOLE + _PAGE + _IN_ORDER
RESULT = "SELECT data FROM {s}.results WHERE job = %s"
COUNTS = "SELECT status, n FROM {s}.counts WHERE batch = %s AND n <> 0"
COST = "SELECT cost FROM {s}.heads WHERE batch = %s"
FAILURES = """
SELECT j.status, j.error, g.n, j.id FROM (
    SELECT min(id) AS id, count(*) AS n FROM {s}.jobs
    WHERE batch = %s AND cause IS NOT NULL GROUP BY cause
) AS g JOIN {s}.jobs AS j ON j.id = g.id ORDER BY g.n DESC, g.id
"""
READ_JOURNAL = (
    "SELECT " + _ENTRY + " FROM {s}.journal WHERE batch = %s AND seq > %s ORDER BY seq LIMIT %s"
)
OWNER = """
SELECT b.uid, j.idx, j.batch FROM {s}.jobs AS j JOIN {s}.batches AS b ON b.id = j.batch
WHERE j.id = %s
"""
ATTEMPTS = "SELECT " + _ENTRY + " FROM {s}.journal WHERE batch = %s AND job = %s ORDER BY seq"
EVIDENCE = (
    "SELECT " + _ENTRY + " FROM {s}.journal WHERE job = %s AND kind = 'submitted' ORDER BY seq"
)
