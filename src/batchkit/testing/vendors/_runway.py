"""Runway's tasks: at most one query every 5 s, tasks that wait for the account's others, uploads to
a host of their own. See :mod:`batchkit.clients.runway` for the facts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from batchkit.clients.runway import VERSION
from batchkit.testing._dialect import Dialect, Route, address, no_such_page
from batchkit.testing._messages import Reply, Request, refusal
from batchkit.testing._model import Model, RemoteJob
from batchkit.testing.vendors._recordings import read_form

_WORDS = {
    "queued": "PENDING",
    "running": "RUNNING",
    "succeeded": "SUCCEEDED",
    "failed": "FAILED",
    "canceled": "CANCELLED",
}
#: Where files go, which is another host than that of the API, and has no business with the key.
_STORE = "/uploads/"
_URI = "runway://"
_STARTS = ("text_to_video", "image_to_video")
#: Tasks of an account that run at a time; the others are THROTTLED.
AT_ONCE = 5
#: Why tasks fail for good, in turn.
FAILURES = ("ASSET.INVALID", "SAFETY.INPUT.TEXT", "INPUT_PREPROCESSING.SAFETY.TEXT")
_PASSING = "INTERNAL.BAD_OUTPUT.CODE01"


class RunwayDialect(Dialect):
    """``POST /v1/text_to_video`` or ``/v1/image_to_video``, and ``/v1/tasks/{id}``.

    A price of 1.0 is one credit.
    """

    tells_cost = True
    poll_seconds = 5.0

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._deleted: set[str] = set()
        #: What was promised a place, and whether its file has come.
        self._uploads: dict[str, bool] = {}

    def authorized(self, request: Request) -> bool:
        """The form of an upload is signed, and the key must not travel to its host."""
        if request.path.startswith(_STORE):
            return "authorization" not in request.headers
        return super().authorized(request)

    def error(self, status: int, code: str, message: str) -> Any:
        """A text alone."""
        return {"error": message}

    def route(self, request: Request) -> Route | Reply:
        """Submissions, and tasks."""
        if request.method == "POST" and request.path.startswith(_STORE):
            return self._take(request, request.path.removeprefix(_STORE))
        if request.headers.get("x-runway-version") != VERSION:
            return refusal(400, "X-Runway-Version is missing, or no version")
        match request.method, request.path.strip("/").split("/"):
            case "POST", ["v1", kind] if kind in _STARTS:
                return self._submission(request.data)
            case "POST", ["v1", "uploads"]:
                return self._promise(request)
            case "GET", ["v1", "tasks", job_id]:
                return self.poll(job_id, lambda told: self._told(request, told))
            case "DELETE", ["v1", "tasks", job_id]:
                return self.about("cancel", job_id, self._delete)
        return no_such_page()

    def _submission(self, asked: Any) -> Route | Reply:
        if not isinstance(asked, Mapping) or not (asked.get("promptText") and asked.get("model")):
            return refusal(400, "Validation of body failed")
        image = str(asked.get("promptImage", ""))
        if image.startswith(_URI) and not self._uploads.get(image.removeprefix(_URI)):
            return refusal(400, "promptImage names no upload")

        def told(job: RemoteJob) -> Reply:
            return Reply(data={"id": job.id, "estimatedCost": {"credits": job.cents / 100}})

        return self.submission(str(asked["promptText"]), told)

    def _promise(self, request: Request) -> Route | Reply:
        """A place for a file: a signed form, and what the file will be called."""
        asked = request.data
        if not isinstance(asked, Mapping) or not asked.get("filename"):
            return refusal(400, "Validation of body failed")

        def told() -> Reply:
            name = f"upload-{len(self._uploads) + 1}"
            self._uploads[name] = False
            where = address(request, f"{_STORE}{name}").replace("127.0.0.1", "localhost")
            fields = {"key": name, "policy": _sealed(name)}
            return Reply(data={"uploadUrl": where, "fields": fields, "runwayUri": f"{_URI}{name}"})

        return self.upload(str(asked["filename"]), told)

    def _take(self, request: Request, name: str) -> Reply:
        """The file itself, behind the fields of its form."""
        form = read_form(request)
        known = form.first("key") == name and form.first("policy") == _sealed(name)
        if not (known and name in self._uploads and form.files.get("file")):
            return refusal(403, "the form is not as it was signed")
        self._uploads[name] = True
        return Reply(status=204, body=b"")

    def _told(self, request: Request, told: Mapping[str, Any]) -> Reply:
        job = self.model.jobs[told["id"]]
        created = dt.datetime.fromtimestamp(job.started, dt.UTC).isoformat()
        data: dict[str, Any] = {"id": job.id, "createdAt": created}
        if "cost_cents" not in told:
            word = "THROTTLED" if self._waits(job) else _WORDS.get(told["state"], told["state"])
            data |= {"status": word, "estimatedCost": {"credits": job.cents / 100}}
            return Reply(data=data | ({"progress": told["progress"]} if word == "RUNNING" else {}))
        data["cost"] = {"credits": job.cents / 100}
        data["status"] = "CANCELLED" if job.id in self._deleted else _WORDS[told["state"]]
        if data["status"] == "FAILED":
            data["failure"] = told["error"]["message"]
            data["failureCode"] = _PASSING if told["error"]["retryable"] else _reason(job)
        if data["status"] == "SUCCEEDED":
            found = [told["output"]["url"]] if "output" in told else []
            data["output"] = [address(request, url) for url in found]
        return Reply(data=data)

    def _waits(self, job: RemoteJob) -> bool:
        """Whether so many tasks that started before still run that this one has to wait."""
        earlier = 0
        for other in self.model.jobs.values():
            if other is job or earlier >= AT_ONCE:
                break
            earlier += other.state in ("queued", "running")
        return earlier >= AT_ONCE

    def _delete(self, job: RemoteJob) -> Reply:
        """Cancels a task that runs; one that has ended is deleted with its result."""
        if self.model.is_over(job):
            self._deleted.add(job.id)
        else:
            self.model.halt(job)
        return Reply(status=204, body=b"")


def _sealed(name: str) -> str:
    """What a signed form has to bring back."""
    return f"policy-of-{name}"


def _reason(job: RemoteJob) -> str:
    return FAILURES[int(job.id.rpartition("-")[2]) % len(FAILURES)]
