"""Fresh addresses for results whose server refuses to hand them out.

Signed URLs live for minutes or hours, results mostly longer. A provider that is asked once more,
which is free, often answers with a new URL. Only when it has none either, or when a new one is
refused too, is a result believed gone. A wrong belief is dear: a job that EXPIRED can only be paid
for again, one whose collection FAILED is collected again for nothing.
"""

from __future__ import annotations

import logging

import attrs

from batchkit import _errors as errors
from batchkit._follow import GONE_AFTER_POLLS, GONE_AFTER_SECONDS, query
from batchkit._io import IO
from batchkit._jobs import Job
from batchkit._outcomes import dated
from batchkit._results import JobResult, Output
from batchkit._verdicts import describe
from batchkit.clients.base import BoundClient, RemoteState

log = logging.getLogger("batchkit.flow")

#: Fresh addresses for one output, before it is believed that they do not help.
MOST_RENEWALS = 3

_REFUSED = frozenset({"401", "403", "404", "410"})
_GONE = (RemoteState.EXPIRED, RemoteState.FAILED, RemoteState.CANCELED)


def is_refusal(exc: Exception) -> bool:
    """Whether a server said that it does not hand a result out: 401, 403, 404, 410."""
    if isinstance(exc, (errors.ResultExpiredError, errors.NotFoundError)):
        return True
    return isinstance(exc, errors.ClientError) and exc.code in _REFUSED


def has_expired(job: Job, exc: Exception, now: float) -> bool:
    """Whether a result that is not handed out is gone, and not only out of reach."""
    if isinstance(exc, errors.ResultExpiredError):
        return True
    expires = job.result.expires if job.result is not None else None
    if expires is not None:
        return now >= expires
    return isinstance(exc, errors.NotFoundError)


@attrs.define
class Refusals:
    """How often and since when one output has been refused.

    Attributes:
        count: refusals.
        since: when the first of them came, in UTC seconds.
        renewals: how often the provider has named other addresses since.
        is_same: it has named those that are known already.
    """

    count: int = 0
    since: float = 0.0
    renewals: int = 0
    is_same: bool = False

    def note(self, now: float) -> None:
        """Counts one more."""
        self.since = self.since if self.count else now
        self.count += 1

    def asks_in_vain(self, client: BoundClient, job: Job) -> bool:
        """Whether asking the provider once more cannot help."""
        return not _may_ask(client, job) or self.is_same or self.renewals >= MOST_RENEWALS

    def is_final(self, exc: Exception, now: float) -> bool:
        """Whether to take the refusal at its word.

        What is not found may only not be there yet: copies spread over a provider's servers.
        """
        if not isinstance(exc, errors.NotFoundError):
            return True
        return self.count >= GONE_AFTER_POLLS and now - self.since >= GONE_AFTER_SECONDS


def _may_ask(client: BoundClient, job: Job) -> bool:
    return client.poll is not None and job.handle is not None


async def renewed(io: IO, job: Job, refusals: Refusals) -> Job | None:
    """The job with other addresses, or ``None`` when the provider has none to tell now.

    Raises:
        ResultExpiredError: the provider says that there is nothing to collect any more.
        AuthenticationError: the provider refuses the key.
    """
    if not _may_ask(io.client, job) or refusals.renewals >= MOST_RENEWALS:
        return None
    assert job.handle is not None
    try:
        status = await query(io, job.handle)
    except errors.AuthenticationError:
        raise
    except errors.NotFoundError as exc:
        raise errors.ResultExpiredError(str(exc), code=exc.code) from exc
    except Exception as exc:  # noqa: BLE001 - it says nothing about the result; asked again later
        log.info("job %d: no fresh address: %s", job.id, describe(exc).message)
        return None
    if status.state in _GONE:
        raise errors.ResultExpiredError(f"the provider says {status.raw_state or status.state}")
    if status.state is not RemoteState.SUCCEEDED:
        return None
    fresh = dated(io, status.finished.result()) if status.finished is not None else JobResult()
    if not fresh.outputs:
        raise errors.ResultExpiredError("the provider has nothing to collect any more")
    return _changed(job, fresh, refusals)


def _changed(job: Job, fresh: JobResult, refusals: Refusals) -> Job | None:
    assert job.result is not None
    old = job.result.outputs
    refusals.is_same = [*map(_place, old)] == [*map(_place, fresh.outputs)]
    if refusals.is_same:
        return None
    refusals.renewals += 1
    log.info("job %d: the provider names a fresh address", job.id)
    if len(old) != len(fresh.outputs):
        return job.evolve(result=fresh)
    return job.evolve(result=attrs.evolve(job.result, outputs=fresh.outputs))


def _place(output: Output) -> tuple[object, ...]:
    return output.url, output.ref, output.path, output.data, output.transcript
