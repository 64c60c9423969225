"""The statements of the PostgreSQL storage; ``{s}`` stands for the schema.

Whoever changes jobs or the journal of a batch holds its row in ``heads`` until the commit. So lines
are numbered in commit order, a taken-over runner meets the new epoch, and nobody waits for two
batches in different orders.
"""

from __future__ import annotations

from batchkit.storage._postgres_queries import BATCH_COLUMNS, JOB, LIVE

_LINES = (
    "json_to_recordset(%(entries)s::json)"
    " AS e (n integer, job bigint, attempt integer, kind text, at float8, data text)"
)
#: Writes journal lines under the numbers that ``head`` has just taken.
_TOLD = (
    """told AS (
    INSERT INTO {s}.journal (batch, seq, job, attempt, kind, at, data)
    SELECT h.batch, h.seq - %(lines)s + 1 + e.n, e.job, e.attempt, e.kind, e.at, e.data
    FROM head AS h, """
    + _LINES
    + ")"
)
# -- batches -----------------------------------------------------------------------------------

OPEN_BATCH = """
WITH made AS (
    INSERT INTO {s}.batches (uid, name, created) VALUES (%s, %s, %s)
    ON CONFLICT (name) DO NOTHING RETURNING id
)
INSERT INTO {s}.heads (batch) SELECT id FROM made
"""
UPDATE_BATCH = (
    """
UPDATE {s}.batches SET client_ref = coalesce(%(client_ref)s, client_ref),
    config = coalesce(%(config)s, config), started = coalesce(%(started)s, started),
    max_concurrent = coalesce(%(max_concurrent)s, max_concurrent)
WHERE id = %(batch)s RETURNING """
    + BATCH_COLUMNS
)
SET_CONTROL = (
    """
WITH done AS (
    UPDATE {s}.batches SET control = %(control)s, control_reason = %(reason)s
    WHERE id = %(batch)s AND (%(only)s::text IS NULL OR control = %(only)s) RETURNING id
), head AS (
    UPDATE {s}.heads AS h SET seq = seq + %(lines)s FROM done WHERE h.batch = done.id
    RETURNING h.batch, h.seq
), """
    + _TOLD
    + """
SELECT id FROM done
"""
)

# -- who holds a batch -------------------------------------------------------------------------

LOCK = "SELECT epoch FROM {s}.heads WHERE batch = %s FOR UPDATE"
LOCK_OF_JOB = """
SELECT epoch FROM {s}.heads WHERE batch = (SELECT batch FROM {s}.jobs WHERE id = %s) FOR UPDATE
"""
#: Several threads of one runner may claim at once; a new runner waits for them, and they for it.
SHARE = "SELECT epoch FROM {s}.heads WHERE batch = %s FOR SHARE"
#: Takes the lease if it is free or over; numbers the epoch, and the lines that were rescued.
ACQUIRE = (
    """
WITH mine AS (
    INSERT INTO {s}.leases AS old (batch, owner, host, machine, pid, expires_at)
    SELECT batch, %(owner)s, %(host)s, %(machine)s, %(pid)s,
        clock_timestamp() + %(lease)s * interval '1 second'
    FROM {s}.heads WHERE batch = %(batch)s
    ON CONFLICT (batch) DO UPDATE SET owner = excluded.owner, host = excluded.host,
        machine = excluded.machine, pid = excluded.pid, expires_at = excluded.expires_at
    WHERE old.expires_at <= clock_timestamp() OR old.owner = %(dead)s
    RETURNING batch
), head AS (
    UPDATE {s}.heads AS h SET epoch = epoch + 1, seq = seq + %(lines)s FROM mine
    WHERE h.batch = mine.batch RETURNING h.batch, h.epoch, h.seq
), """
    + _TOLD
    + """
SELECT epoch FROM head
"""
)
HOLDER = """
SELECT b.name, l.owner, l.host, l.machine, l.pid,
    extract(epoch FROM l.expires_at - clock_timestamp())::float8
FROM {s}.batches AS b LEFT JOIN {s}.leases AS l ON l.batch = b.id WHERE b.id = %s
"""
RENEW = """
UPDATE {s}.leases SET expires_at = clock_timestamp() + %s * interval '1 second'
WHERE owner = %s AND batch = ANY(%s) RETURNING batch
"""
RELEASE = "DELETE FROM {s}.leases WHERE batch = %s AND owner = %s"

# -- transactions ------------------------------------------------------------------------------

#: Once for each connection. A server that hears nothing of a dead machine would keep its locks for
#: two hours; so it asks.
INTRODUCE = """
SELECT set_config('tcp_keepalives_idle', '10', false),
    set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '3', false),
    pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()
"""
SETTINGS = "SELECT set_config('synchronous_commit', %s, true), set_config('lock_timeout', %s, true)"
#: Where statistics are old, the planner would rather read a whole table than a hundred rows of it.
BY_KEY = """
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true)
"""
#: The last statement of every transaction: whoever waits for this row learns whether it committed.
MARK = """
INSERT INTO {s}.commits (writer, n, at) VALUES (%s, %s, clock_timestamp())
ON CONFLICT (writer) DO UPDATE SET n = excluded.n, at = excluded.at
"""
#: Ends a session that nobody can reach any more; its process number may belong to another by now.
END_SESSION = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s
"""
LOOK = """
INSERT INTO {s}.commits AS old (writer, n, at) VALUES (%s, 0, clock_timestamp())
ON CONFLICT (writer) DO UPDATE SET at = excluded.at RETURNING n
"""
FORGET = "DELETE FROM {s}.commits WHERE at < clock_timestamp() - interval '7 days'"
NOTIFY = "SELECT pg_notify(%s, %s)"

# -- jobs --------------------------------------------------------------------------------------

#: OFFSET 0 makes it look each identity up in the index, whatever the statistics say.
ADD = """
WITH given AS (
    SELECT * FROM json_to_recordset(%(rows)s::json)
        AS g (n integer, identity text, long_identity text, request text, metadata text,
        priority integer)
), known AS (
    SELECT g.n, g.identity, k.id FROM given AS g CROSS JOIN LATERAL (
        SELECT id FROM {s}.jobs WHERE batch = %(batch)s AND identity = g.identity OFFSET 0) AS k
), fresh AS (
    SELECT g.*, h.next_index - 1 + row_number() OVER (ORDER BY g.n) AS idx
    FROM given AS g JOIN {s}.heads AS h ON h.batch = %(batch)s
    WHERE g.n NOT IN (SELECT n FROM known)
), made AS (
    INSERT INTO {s}.jobs (batch, idx, identity, long_identity, request, metadata, priority, status,
        created)
    SELECT %(batch)s, idx, identity, long_identity, request, metadata, priority, 'pending', %(now)s
    FROM fresh ORDER BY idx RETURNING id, identity
), head AS (
    UPDATE {s}.heads SET next_index = next_index + (SELECT count(*) FROM made)
    WHERE batch = %(batch)s
), counted AS (
    INSERT INTO {s}.counts AS c (batch, status, n)
    SELECT %(batch)s, 'pending', count(*) FROM made HAVING count(*) > 0
    ON CONFLICT (batch, status) DO UPDATE SET n = c.n + excluded.n
)
SELECT identity, id, true FROM made
UNION ALL SELECT identity, id, false FROM known
"""
#: MATERIALIZED, because a LIMIT inside a join may otherwise be run again for every row.
CLAIM = (
    """
WITH free AS MATERIALIZED (
    SELECT id FROM {s}.jobs WHERE batch = %(batch)s AND status = 'pending' AND epoch <> %(epoch)s
        AND (not_before IS NULL OR not_before <= %(now)s)
        AND EXISTS (SELECT 1 FROM {s}.heads WHERE batch = %(batch)s AND epoch = %(epoch)s)
    ORDER BY priority DESC, idx LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE {s}.jobs AS j SET epoch = %(epoch)s FROM free WHERE j.id = free.id RETURNING """
    + JOB
)
IN_FLIGHT = (
    """
WITH stamped AS (
    UPDATE {s}.jobs SET epoch = %(epoch)s WHERE batch = %(batch)s AND """
    + LIVE
    + """
        AND EXISTS (SELECT 1 FROM {s}.heads WHERE batch = %(batch)s AND epoch = %(epoch)s)
    RETURNING *
)
SELECT """
    + JOB
    + """, r.data FROM stamped AS j LEFT JOIN {s}.results AS r ON r.job = j.id ORDER BY j.id
"""
)
# -- saves -------------------------------------------------------------------------------------

#: Takes the numbers of the lines, and with them the batch until the commit.
HEAD = "UPDATE {s}.heads SET seq = seq + %s WHERE batch = %s RETURNING seq - %s + 1"
JOURNAL = (
    "WITH head AS (SELECT batch, seq FROM {s}.heads WHERE batch = %(batch)s), "
    + _TOLD
    + " SELECT 1"
)
_STATE = (
    "id bigint, status text, attempt integer, retries integer, handle text, error text,"
    " prepared text, cost float8, started float8, completed float8, not_before float8,"
    " deadline float8, cause text"
)
_SET_STATE = (
    "status = g.status, attempt = g.attempt, retries = g.retries, handle = g.handle,"
    " error = g.error, prepared = g.prepared, cost = g.cost, started = g.started,"
    " completed = g.completed, not_before = g.not_before, deadline = g.deadline, cause = g.cause"
)
#: From what the table held, not from what the writer believed: counters never drift.
_COUNTED = """counted AS (
    INSERT INTO {s}.counts AS c (batch, status, n)
    SELECT batch, status, sum(n) FROM (
        SELECT batch, was AS status, -1 AS n FROM done UNION ALL SELECT batch, status, 1 FROM done
    ) AS moved GROUP BY batch, status HAVING sum(n) <> 0
    ON CONFLICT (batch, status) DO UPDATE SET n = c.n + excluded.n
)"""
#: What belongs to persons (priority, metadata, a wish to cancel) is not written.
SAVE = (
    """
WITH given AS (
    SELECT * FROM json_to_recordset(%s::json) AS g (n integer, epoch bigint, stays bigint,
        result text, """
    + _STATE
    + """)
), done AS (
    UPDATE {s}.jobs AS j SET epoch = g.stays, """
    + _SET_STATE
    + """
    FROM given AS g JOIN {s}.jobs AS o ON o.id = g.id JOIN {s}.heads AS h ON h.batch = o.batch
    WHERE j.id = g.id AND j.epoch = g.epoch AND h.epoch = g.epoch
    RETURNING g.n, j.id, j.batch, o.status AS was, j.status, o.cost AS paid, j.cost, g.result
), """
    + _COUNTED
    + """, spent AS (
    UPDATE {s}.heads AS h SET cost = coalesce(h.cost, 0) + m.more
    FROM (SELECT batch, sum(coalesce(cost, 0) - coalesce(paid, 0)) AS more FROM done
        WHERE cost IS DISTINCT FROM paid GROUP BY batch) AS m
    WHERE h.batch = m.batch
), kept AS (
    INSERT INTO {s}.results (job, data) SELECT id, result FROM done WHERE result IS NOT NULL
    ON CONFLICT (job) DO UPDATE SET data = excluded.data
)
SELECT n FROM done
"""
)
#: The job must still stand where the person saw it; a change of status fences its runner.
STEER = (
    """
WITH given AS (
    SELECT * FROM json_to_recordset(%(rows)s::json) AS g (was text, priority integer, metadata text,
        cancel_requested_at float8, """
    + _STATE
    + """)
), done AS (
    UPDATE {s}.jobs AS j SET epoch = CASE WHEN g.status = g.was THEN j.epoch ELSE 0 END,
        priority = g.priority, metadata = g.metadata,
        cancel_requested_at = g.cancel_requested_at, """
    + _SET_STATE
    + """
    FROM given AS g JOIN {s}.jobs AS o ON o.id = g.id
    WHERE j.id = g.id AND j.status = g.was AND j.attempt = g.attempt
    RETURNING j.batch, g.was, j.status, o.cost AS paid, j.cost
), """
    + _COUNTED
    + """, head AS (
    UPDATE {s}.heads AS h SET seq = h.seq + %(lines)s,
        cost = CASE WHEN done.cost IS NOT DISTINCT FROM done.paid THEN h.cost
            ELSE coalesce(h.cost, 0) + coalesce(done.cost, 0) - coalesce(done.paid, 0) END
    FROM done WHERE h.batch = done.batch RETURNING h.batch, h.seq
), """
    + _TOLD
    + """
SELECT batch FROM done
"""
)
REMOVE = """
WITH gone AS (
    DELETE FROM {s}.jobs WHERE id = %s AND attempt = 0 AND status IN ('pending', 'paused')
    RETURNING batch, status
), counted AS (
    UPDATE {s}.counts AS c SET n = n - 1 FROM gone
    WHERE c.batch = gone.batch AND c.status = gone.status
)
SELECT batch FROM gone
"""
REQUEST_CANCEL = "UPDATE {s}.jobs SET cancel_requested_at = %s WHERE id = %s RETURNING batch"
# -- upkeep ------------------------------------------------------------------------------------

PRUNABLE = """
SELECT batch FROM {s}.jobs GROUP BY batch HAVING max(coalesce(completed, 'infinity')) < %s
    AND bool_and(status IN ('completed', 'failed', 'expired', 'canceled'))
UNION ALL
SELECT id FROM {s}.batches AS b WHERE created < %s
    AND NOT EXISTS (SELECT 1 FROM {s}.jobs AS j WHERE j.batch = b.id)
ORDER BY batch
"""
#: Asked again under the lock: somebody may have added a job, or begun to run the batch.
PRUNE = """
WITH ended AS (
    SELECT h.batch FROM {s}.heads AS h JOIN {s}.batches AS b ON b.id = h.batch
    WHERE h.batch = %(batch)s AND NOT EXISTS (
        SELECT 1 FROM {s}.leases AS l WHERE l.batch = h.batch AND l.expires_at > clock_timestamp()
    ) AND NOT EXISTS (
        SELECT 1 FROM {s}.jobs AS j WHERE j.batch = h.batch
            AND (j.status NOT IN ('completed', 'failed', 'expired', 'canceled')
            OR coalesce(j.completed, 'infinity') >= %(before)s)
    ) AND (b.created < %(before)s
        OR EXISTS (SELECT 1 FROM {s}.jobs AS j WHERE j.batch = h.batch))
), jobs AS (
    DELETE FROM {s}.jobs AS j USING ended WHERE j.batch = ended.batch RETURNING j.id
), results AS (DELETE FROM {s}.results AS r USING jobs WHERE r.job = jobs.id),
journal AS (DELETE FROM {s}.journal AS e USING ended WHERE e.batch = ended.batch),
counts AS (DELETE FROM {s}.counts AS c USING ended WHERE c.batch = ended.batch),
leases AS (DELETE FROM {s}.leases AS l USING ended WHERE l.batch = ended.batch),
heads AS (DELETE FROM {s}.heads AS h USING ended WHERE h.batch = ended.batch),
batches AS (DELETE FROM {s}.batches AS b USING ended WHERE b.id = ended.batch)
SELECT (SELECT count(*) FROM ended), (SELECT count(*) FROM jobs)
"""
