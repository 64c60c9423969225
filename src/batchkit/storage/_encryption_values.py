"""What of a record is sealed, and how the values of the contract carry it.

Every value keeps its type, so that any backend stores it: a sealed request is an opaque one, a
sealed handle has a sealed text as its id, and so on. What is left in clear is what a backend sorts,
counts and fences by.

Each text is sealed for one place. Fields of a job are bound to its id, and the handle to its
attempt too; what is written before a job has an id, to its batch and identity; a journal line to
its batch, job, attempt, time and kind. A handle in the journal has the same place as the one in the
record: the rescue file turns one into the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from batchkit._codec import (
    dump_result,
    dumps,
    load_error,
    load_handle,
    load_result,
    plain_error,
    plain_handle,
)
from batchkit._config import Batch
from batchkit._jobs import Attempt, Handle, Job, JobError
from batchkit._requests import OpaqueRequest, dump_request, load_request
from batchkit._results import EMPTY, JobResult
from batchkit.storage._encryption_vault import Vault
from batchkit.storage.base import Change, Entry, NewJob

#: The kind of a sealed request, and the key of a sealed text where a mapping is stored.
SEALED = "sealed"
#: A runner's save does not write the request: it belongs to persons.
_UNWRITTEN = OpaqueRequest(stored_kind=SEALED)


class Sealer:
    """Seals the values of the contract on their way in, and opens them on their way out."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    # -- texts and mappings ------------------------------------------------------------------

    def text(self, place: str, text: str) -> str:
        """A sealed text; nothing stays nothing."""
        return self._vault.seal(place, text) if text else ""

    def open_text(self, place: str, sealed: str) -> str:
        """The text that was sealed."""
        return self._vault.open(place, sealed) if sealed else ""

    def _mapping(self, place: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
        return {SEALED: self._vault.seal(place, dumps(dict(value)))} if value else EMPTY

    def _open_mapping(self, place: str, sealed: Mapping[str, Any]) -> Mapping[str, Any]:
        if not sealed:
            return EMPTY
        found: Mapping[str, Any] = json.loads(self._vault.open(place, sealed.get(SEALED)))
        return found

    # -- batches -----------------------------------------------------------------------------

    def config(self, batch_id: int, config: str) -> str:
        """The configuration of a batch, which names its output folder."""
        return dumps({SEALED: self._vault.seal(f"config:{batch_id}", config)})

    def open_batch(self, batch: Batch) -> Batch:
        """A batch as it was given."""
        config = json.loads(batch.config)
        if config:
            config = self._vault.open(f"config:{batch.id}", config.get(SEALED))
        return attrs.evolve(
            batch,
            config=config or batch.config,
            client_ref=self.open_text(f"client:{batch.id}", batch.client_ref),
            control_reason=self.open_text(f"reason:{batch.id}", batch.control_reason),
        )

    # -- jobs --------------------------------------------------------------------------------

    def identity(self, batch_id: int, identity: str) -> str:
        """What finds a job by its identity."""
        return self._vault.identity(batch_id, identity)

    def new_job(self, batch_id: int, item: NewJob) -> NewJob:
        """A job to be added."""
        identity = self.identity(batch_id, item.identity)
        request = self._request(batch_id, identity, item.identity, item.stored)
        return NewJob(
            identity=identity,
            request=request,
            stored=dump_request(request),
            priority=item.priority,
            metadata=self._mapping(f"metadata:{batch_id}:{identity}", item.metadata),
        )

    def _request(self, batch_id: int, identity: str, known_as: str, stored: str) -> OpaqueRequest:
        """The request; with it the identity, which its HMAC does not bring back."""
        text = dumps([known_as, stored])
        value = self._vault.seal(f"request:{batch_id}:{identity}", text)
        return OpaqueRequest(stored_kind=SEALED, data={"value": value})

    def job(self, job: Job) -> Job:
        """A record as a person's change writes it: all of it."""
        identity = self.identity(job.batch_id, job.identity)
        return self._state(
            job,
            identity=identity,
            request=self._request(job.batch_id, identity, job.identity, dump_request(job.request)),
            metadata=self._mapping(f"metadata:{job.batch_id}:{identity}", job.metadata),
        )

    def _saved(self, job: Job) -> Job:
        """A record as a runner's save writes it: without what belongs to persons."""
        identity = self.identity(job.batch_id, job.identity)
        return self._state(job, identity=identity, request=_UNWRITTEN, metadata=EMPTY)

    def _state(self, job: Job, **known: Any) -> Job:
        handle, error, prepared, result = job.handle, job.error, job.prepared, job.result
        return job.evolve(
            handle=None if handle is None else self._handle(job.id, job.attempt, handle),
            error=None if error is None else self._error(job.id, error),
            prepared=None if prepared is None else self._prepared(job.id, prepared),
            result=None if result is None else self._result(job.id, result),
            **known,
        )

    def open_job(self, job: Job) -> Job:
        """A record as it was given."""
        request = job.request
        value = request.data.get("value") if isinstance(request, OpaqueRequest) else None
        place = f"{job.batch_id}:{job.identity}"
        identity, stored = json.loads(self._vault.open(f"request:{place}", value))
        handle, error, prepared, result = job.handle, job.error, job.prepared, job.result
        return job.evolve(
            identity=identity,
            request=load_request(stored),
            metadata=self._open_mapping(f"metadata:{place}", job.metadata),
            handle=None if handle is None else self.open_handle(job.id, job.attempt, handle),
            error=None if error is None else self._open_error(job.id, error),
            prepared=None if prepared is None else self._open_prepared(job.id, prepared),
            result=None if result is None else self.open_result(job.id, result),
        )

    def _handle(self, job_id: int, attempt: int, handle: Handle) -> Handle:
        text = dumps(plain_handle(handle))
        return Handle(id=self._vault.seal(f"handle:{job_id}:{attempt}", text))

    def open_handle(self, job_id: int, attempt: int, sealed: Handle) -> Handle:
        """A handle as the provider gave it."""
        return load_handle(json.loads(self._vault.open(f"handle:{job_id}:{attempt}", sealed.id)))

    def _error(self, job_id: int, error: JobError) -> JobError:
        # In the remedy: messages are searched for secrets, and masked text would not open again.
        sealed = self._vault.seal(f"error:{job_id}", dumps(plain_error(error)))
        return JobError(kind=error.kind, message=SEALED, remedy=sealed, retryable=error.retryable)

    def _open_error(self, job_id: int, sealed: JobError) -> JobError:
        return load_error(json.loads(self._vault.open(f"error:{job_id}", sealed.remedy)))

    def _prepared(self, job_id: int, prepared: Mapping[str, Any]) -> Mapping[str, Any]:
        return {SEALED: self._vault.seal(f"prepared:{job_id}", dumps(dict(prepared)))}

    def _open_prepared(self, job_id: int, sealed: Mapping[str, Any]) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads(
            self._vault.open(f"prepared:{job_id}", sealed.get(SEALED))
        )
        return found

    def _result(self, job_id: int, result: JobResult) -> JobResult:
        return JobResult(value=self._vault.seal(f"result:{job_id}", dump_result(result)))

    def open_result(self, job_id: int, sealed: JobResult) -> JobResult:
        """A result as it was given."""
        return load_result(self._vault.open(f"result:{job_id}", sealed.value))

    # -- changes and the journal -------------------------------------------------------------

    def change(self, change: Change) -> Change:
        """A save; *before* tells a backend how the counters move, and nothing else."""
        job = self._saved(change.job)
        bare = {"metadata": EMPTY, "handle": None, "error": None, "prepared": None, "result": None}
        return Change(
            job=job,
            before=change.before.evolve(identity=job.identity, request=_UNWRITTEN, **bare),
            entries=[self.entry(job.batch_id, entry) for entry in change.entries],
            power_safe=change.power_safe,
            result=change.result,
            told=change.told,
        )

    def entry(self, batch_id: int, entry: Entry) -> Entry:
        """A journal line; a handle in it stays one, because backends look for it."""
        if not entry.data:
            return entry
        rest = {name: value for name, value in entry.data.items() if name != "handle"}
        data = dict(self._mapping(_line(batch_id, entry), rest))
        if "handle" in entry.data:
            handle = self._handle(entry.job_id, entry.attempt, load_handle(entry.data["handle"]))
            data["handle"] = plain_handle(handle)
        return entry._replace(data=data)

    def open_entry(self, batch_id: int, entry: Entry) -> Entry:
        """A journal line as it was given."""
        if not entry.data:
            return entry
        data: dict[str, Any] = {}
        if SEALED in entry.data:
            data |= self._open_mapping(_line(batch_id, entry), entry.data)
        if "handle" in entry.data:
            sealed = load_handle(entry.data["handle"])
            data["handle"] = plain_handle(self.open_handle(entry.job_id, entry.attempt, sealed))
        return entry._replace(data=data)

    def open_attempt(self, job_id: int, attempt: Attempt) -> Attempt:
        """An attempt with the handle that the provider gave."""
        if attempt.handle is None:
            return attempt
        handle = self.open_handle(job_id, attempt.number, attempt.handle)
        return attrs.evolve(attempt, handle=handle)


def _line(batch_id: int, entry: Entry) -> str:
    at = float(entry.at).hex()
    return f"journal:{batch_id}:{entry.job_id}:{entry.attempt}:{at}:{entry.kind}"
