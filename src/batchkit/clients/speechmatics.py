"""Speechmatics: batch transcription as jobs that are found again by our own reference.

Facts (speechmatics-batch 1.1.0 and https://docs.speechmatics.com, the API reference ``batch.yaml``
and the pages "Limits", "Output" and "Troubleshooting"):

* ``POST /jobs`` is a form with ``config`` (JSON) and ``data_file`` (less than 1 GB), or with
  ``fetch_data.url`` in the config instead of a file; it answers ``id``. Files go with the one
  submission: there is no upload before it.
* ``tracking.reference`` in the config comes back with the job: the submit key goes there.
* ``GET /jobs/{id}``: ``created``, ``running``, ``done``, ``rejected`` with ``errors``, ``deleted``
  by the user, ``expired``; HTTP 410 once it has expired.
* ``GET /jobs/{id}/transcript?format=json-v2``: words and marks with times in seconds; 404 or 423
  while it is not there yet.
* ``GET /jobs`` lists the newest first, at most 100; ``created_before`` reads on, and
  ``include_deleted`` lists deleted ones too.
* ``DELETE /jobs/{id}?force=true`` terminates a running job and answers it as ``deleted``. It
  deletes one that has ended too: so it is sent only while the job was seen to run.
* Everything is deleted after 7 days. No idempotency key; no answer names a price.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from batchkit._errors import ClientError, UsageError
from batchkit._jobs import ErrorKind, Handle, Job, JobError
from batchkit._requests import Request
from batchkit._results import Output
from batchkit.clients._http_transport import media_type_of
from batchkit.clients._http_values import timestamp
from batchkit.clients._speechmatics_json import transcript, turns
from batchkit.clients._transcripts import check_recording, is_address, recording, speakers
from batchkit.clients.base import Accepted, Capabilities, Finished, RemoteState, RemoteStatus
from batchkit.clients.http import Exchange, Fault, FilePart, HttpClient, HttpRequest, HttpResponse

_STATES = {
    "created": RemoteState.QUEUED,
    "running": RemoteState.RUNNING,
    "done": RemoteState.SUCCEEDED,
    "rejected": RemoteState.FAILED,
    "deleted": RemoteState.CANCELED,
    "expired": RemoteState.EXPIRED,
}
_LIVE = ("created", "running")
#: A file has to be smaller than 1 GB.
MAX_BYTES = 999_999_999
_VENDOR = "Speechmatics"
_UPLOAD_SECONDS = 600.0
_LISTED = 100
_PAGES = 50
_DAY = 86400.0
_KEPT = 7 * _DAY


class SpeechmaticsClient(HttpClient):
    """Transcribes files and addresses with Speechmatics; ``model`` is as ``"enhanced"``.

    ``params`` are fields of the job's config, verbatim, as ``{"transcription_config":
    {"diarization": "speaker"}}``. Each submission carries its submit key as ``tracking.reference``,
    so that one whose answer was lost is found again. A file goes with the submission itself: raise
    ``request_timeout`` (at most 600 s) for large files and slow lines. Who speaks when, if it was
    asked for, is in the result's value under ``"speakers"``.

    Args:
        key: of the account; by default from ``SPEECHMATICS_API_KEY``.
        max_bytes: of a file; ``None`` is no limit, for a container of your own.
        options: of :class:`~batchkit.clients.http.HttpClient`.
    """

    name = "speechmatics"
    key_env = ("SPEECHMATICS_API_KEY",)
    default_url = "https://asr.api.speechmatics.com/v2"
    capabilities = Capabilities(
        cancel="running",
        # A submission lasts as long as its upload, and is listed after it.
        find_after_seconds=900.0,
        find_until_seconds=_KEPT - _DAY,
        min_poll_seconds=1.0,
        result_ttl_seconds=_KEPT,
    )

    def __init__(
        self, key: str | None = None, *, max_bytes: int | None = MAX_BYTES, **options: Any
    ) -> None:
        super().__init__(key, **options)
        self.max_bytes = max_bytes

    def headers(self) -> dict[str, str]:
        """The key."""
        return {"Authorization": f"Bearer {self.key}"}

    def check(self, request: Request) -> None:
        """Refuses what is no transcription, a missing or too large file, a second reference."""
        check_recording(request, _VENDOR, urls=True, max_bytes=self.max_bytes)
        if "reference" in (request.params.get("tracking") or {}):
            raise UsageError("tracking.reference holds the submit key: use tracking.tags for yours")

    def http_submit(self, job: Job) -> Exchange[Accepted]:
        """Starts the transcription; a file goes with it."""
        answer = yield build_submit(job, self.model)
        return Accepted(handle=answer.text("id"))

    def http_poll(self, handle: Handle) -> Exchange[RemoteStatus]:
        """Asks for the state, and for the transcript once it is there."""
        gone = frozenset({410})
        answer = yield HttpRequest("GET", f"/jobs/{handle.id}", expect=gone)
        status = parse_job(answer)
        if status.state is not RemoteState.SUCCEEDED:
            return status
        found = yield HttpRequest(
            "GET",
            f"/jobs/{handle.id}/transcript",
            params={"format": "json-v2"},
            expect=gone | {404, 423},
        )
        return parse_transcript(found)

    def http_cancel(self, handle: Handle) -> Exchange[bool]:
        """Terminates a job that runs; a transcript that is there already is not deleted."""
        answer = yield HttpRequest("GET", f"/jobs/{handle.id}", expect=frozenset({410}))
        if answer.status == 410 or answer.get("job", "status") not in _LIVE:
            return False
        ended = yield HttpRequest(
            "DELETE",
            f"/jobs/{handle.id}",
            params={"force": "true"},
            expect=frozenset({404, 410, 423}),
        )
        return ended.status < 300 and bool(ended.get("job", "status") == "deleted")

    def http_find(self, job: Job, submit_key: str) -> Exchange[Handle | None]:
        """Reads the list from the newest on until a job carries the submit key.

        Raises:
            ClientError: the list does not decide it; the submission stays uncertain.
        """
        params: dict[str, Any] = {"limit": _LISTED, "include_deleted": "true"}
        seen: set[str] = set()
        for _ in range(_PAGES):
            answer = yield HttpRequest("GET", "/jobs", params=dict(params))
            listed = _listed(answer)
            for entry in listed:
                if _reference(entry) == submit_key:
                    return Handle(id=str(entry["id"]))
            if len(listed) < _LISTED:
                return None
            new = {str(entry["id"]) for entry in listed} - seen
            if not new:
                raise ClientError("the list does not go on: it proves nothing")
            seen |= new
            params["created_before"] = _just_after(listed[-1].get("created_at"))
        raise ClientError("the list is too long to prove that the submission is not in it")

    def fault(self, response: HttpResponse) -> Fault:
        """Reads ``error`` and ``detail``."""
        return parse_fault(response)


def build_submit(job: Job, model: str | None) -> HttpRequest:
    """The one request that costs money; it carries the submit key, and the file if there is one."""
    request = recording(job.request, _VENDOR)
    language: dict[str, Any] = {"language": request.language.partition("-")[0].lower()}
    if chosen := request.model or model:
        language["model"] = chosen
    config: dict[str, Any] = {"type": "transcription", "transcription_config": language}
    files: list[FilePart] = []
    if is_address(request.source):
        config["fetch_data"] = {"url": request.source}
    else:
        files.append(_file(request.source))
    config = _merged(config, request.params)
    config["tracking"] = {**(config.get("tracking") or {}), "reference": job.submit_key}
    form = {"config": json.dumps(config)}
    return HttpRequest("POST", "/jobs", form=form, files=files, timeout=_UPLOAD_SECONDS)


def _merged(config: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What is given wins, field by field inside the parts of the config."""
    merged = {**config, **given}
    for name, part in config.items():
        if isinstance(part, dict) and isinstance(given.get(name), Mapping):
            merged[name] = {**part, **given[name]}
    return merged


def _file(source: str) -> FilePart:
    kind = media_type_of(source)
    return FilePart(field="data_file", filename=Path(source).name, path=source, media_type=kind)


def _listed(answer: HttpResponse) -> list[Mapping[str, Any]]:
    listed = answer.get("jobs")
    if not isinstance(listed, list):
        raise ClientError("the provider answers without a list", code="garbled", retryable=True)
    return listed


def _reference(entry: Mapping[str, Any]) -> str | None:
    config = entry.get("config")
    if not isinstance(config, Mapping):
        raise ClientError("the list does not tell the config of a job: it proves nothing")
    found = (config.get("tracking") or {}).get("reference")
    return None if found is None else str(found)


def _just_after(created: object) -> str:
    """A cursor that lists *created* again: they compare milliseconds, and several may share one."""
    when = timestamp(created)
    if when is None:
        raise ClientError("the list does not tell when a job was created: it proves nothing")
    cursor = dt.datetime.fromtimestamp(when + 0.001, dt.UTC)
    return cursor.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_job(answer: HttpResponse) -> RemoteStatus:
    """The state, or why there is no transcript; SUCCEEDED without one, which is fetched apart."""
    if answer.status == 410:
        return RemoteStatus(state=RemoteState.EXPIRED, raw_state="410")
    word = answer.text("job", "status")
    state = _STATES.get(word, RemoteState.RUNNING)
    if state is RemoteState.FAILED:
        said = "; ".join(_messages(answer.get("job", "errors")))
        error = JobError(kind=ErrorKind.PROVIDER, message=said or "the job was rejected", code=word)
        return RemoteStatus(state=state, error=error, raw_state=word)
    return RemoteStatus(state=state, raw_state=word)


def _messages(errors: object) -> Iterator[str]:
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, Mapping) and error.get("message"):
            yield str(error["message"])


def parse_transcript(answer: HttpResponse) -> RemoteStatus:
    """The transcript of a job that is done, unless it is not there yet, or no more."""
    if answer.status == 410:
        return RemoteStatus(state=RemoteState.EXPIRED, raw_state="410")
    if answer.status >= 300:
        return RemoteStatus(state=RemoteState.RUNNING, raw_state="done")
    body = answer.json()
    found = transcript(body)
    said = speakers(turns(body))
    done = Finished(transcript=found, outputs=(Output(transcript=found),), value=said)
    return RemoteStatus(state=RemoteState.SUCCEEDED, finished=done, raw_state="done")


def parse_fault(answer: HttpResponse) -> Fault:
    """What Speechmatics says of a failure; never raises. Its gateway answers in HTML."""
    body = answer.fields()
    error, detail = body.get("error"), body.get("detail")
    told = ": ".join(one for one in (error, detail) if isinstance(one, str) and one)
    return Fault(message=told, code=error if isinstance(error, str) else None)
