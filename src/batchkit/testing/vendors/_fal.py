"""fal's queue: three URLs per job, and failures that are COMPLETED. See :mod:`batchkit.clients.fal`
for the facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from batchkit.testing._dialect import Dialect, Route, address, no_such_page
from batchkit.testing._messages import Reply, Request, refusal
from batchkit.testing._model import RemoteJob

_WORDS = {
    "queued": "IN_QUEUE",
    "running": "IN_PROGRESS",
    "succeeded": "COMPLETED",
    "failed": "COMPLETED",
    "canceled": "COMPLETED",
}
_STATUSES = {"client_cancelled": 499, "runner_disconnected": 503}


class FalDialect(Dialect):
    """``POST /{owner}/{alias}[/{path}]``, and below it ``requests/{id}``."""

    def authorized(self, request: Request) -> bool:
        """fal has a scheme of its own."""
        return request.headers.get("authorization") == f"Key {self.model.api_key}"

    def error(self, status: int, code: str, message: str) -> Any:
        """``detail``: a list for what is wrong with the request, else a text."""
        if status != 422:
            return {"detail": message}
        kind = "content_policy_violation" if code == "moderation" else "value_error"
        return {"detail": [{"loc": ["body", "prompt"], "msg": message, "type": kind}]}

    def route(self, request: Request) -> Route | Reply:
        """Submissions, and what is below a request."""
        parts = request.path.strip("/").split("/")
        match request.method, parts:
            case "POST", [_, _, *_] if "requests" not in parts:
                return self._submission(request, "/".join(parts[:2]))
            case "GET", [_, _, "requests", job_id, "status"]:
                return self.poll(job_id, lambda told: self._status(request, told))
            case "GET", [_, _, "requests", job_id]:
                return self.about("poll", job_id, lambda job: self._result(request, job))
            case "PUT", [_, _, "requests", job_id, "cancel"]:
                return self.about("cancel", job_id, self._cancel)
        return no_such_page()

    def _submission(self, request: Request, app: str) -> Route | Reply:
        if not isinstance(request.data, Mapping) or "prompt" not in request.data:
            return refusal(422, "field required", "missing")

        def told(job: RemoteJob) -> Reply:
            # The sub-path of a model is not part of these URLs.
            base = address(request, f"/{app}/requests/{job.id}")
            urls = {
                "response_url": base,
                "status_url": f"{base}/status",
                "cancel_url": f"{base}/cancel",
            }
            queued = {"request_id": job.id, "status": "IN_QUEUE", "queue_position": 0}
            return Reply(data={**queued, **urls})

        return self.submission(str(request.data["prompt"]), told)

    def _status(self, request: Request, told: Mapping[str, Any]) -> Reply:
        word = _WORDS.get(told["state"], told["state"])
        data: dict[str, Any] = {"status": word, "request_id": told["id"]}
        # fal's own client reads the position and the logs without asking whether they are there.
        data |= {"queue_position": 0} if word == "IN_QUEUE" else {"logs": None}
        if word == "COMPLETED":
            data["metrics"] = {"inference_time": 1.0}
            if (failure := _failure(told)) and _tells_early(told["id"]):
                data |= {"error": failure[0], "error_type": failure[1]}
        # 202 while it is not over.
        return Reply(status=200 if word == "COMPLETED" else 202, data=data)

    def _result(self, request: Request, job: RemoteJob) -> Reply:
        told = self.model.tell(job)
        if failure := _failure(told):
            headers = {"X-Fal-Error-Type": failure[1]}
            return refusal(_STATUSES.get(failure[1], 500), failure[0], headers=headers)
        if told["state"] != "succeeded":
            return refusal(400, "Request is still in progress")
        if "output" not in told:
            return Reply(data={"seed": 1})
        made = told["output"]
        video = {
            "url": address(request, made["url"]),
            "content_type": made["media_type"],
            "file_name": f"{job.id}.mp4",
            "file_size": made["size"],
        }
        return Reply(data={"video": video, "seed": 1})

    def _cancel(self, job: RemoteJob) -> Reply:
        if self.model.is_over(job):
            return attrs.evolve(refusal(400, ""), data={"status": "ALREADY_COMPLETED"})
        self.model.halt(job)
        return Reply(status=202, data={"status": "CANCELLATION_REQUESTED"})


def _failure(told: Mapping[str, Any]) -> tuple[str, str] | None:
    """Why there is no result: a message, and fal's word for it."""
    if told["state"] == "canceled":
        return "the client cancelled it", "client_cancelled"
    if told["state"] != "failed":
        return None
    kind = "runner_disconnected" if told["error"]["retryable"] else "runner_server_error"
    return told["error"]["message"], kind


def _tells_early(job_id: str) -> bool:
    """Whether the status says that a job failed, and not only its result."""
    return int(job_id.rpartition("-")[2]) % 2 == 1
