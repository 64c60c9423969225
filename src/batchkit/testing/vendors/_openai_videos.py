"""OpenAI's ``/v1/videos`` as gateways serve it: forms, and JSON as well. See
:mod:`batchkit.clients.openai_videos` for the facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchkit.testing._dialect import Dialect, Route, no_such_page
from batchkit.testing._messages import Reply, Request, refusal
from batchkit.testing._model import Model, RemoteJob
from batchkit.testing.vendors._recordings import read_form

_WORDS = {
    "queued": "queued",
    "running": "in_progress",
    "succeeded": "completed",
    # There is no cancel; what another interface of the same gateway cancels has failed here.
    "canceled": "failed",
}
#: Milliseconds that it asks to wait between status queries.
POLL_AFTER = 100
_TYPES = {401: "authentication_error", 429: "rate_limit_error"}


class OpenAIVideosDialect(Dialect):
    """``POST /videos``, and below it ``{id}`` and ``{id}/content``; ``/v1`` may stand before."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._asked: dict[str, dict[str, Any]] = {}

    def error(self, status: int, code: str, message: str) -> Any:
        """``error`` with ``code`` and ``type``."""
        word = {"moderation": "moderation_blocked", "402": "insufficient_quota"}.get(code)
        kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
        return {"error": {"message": message, "type": kind, "param": None, "code": word}}

    def route(self, request: Request) -> Route | Reply:
        """Submissions, states and results."""
        match request.method, request.path.removeprefix("/v1").strip("/").split("/"):
            case "POST", ["videos"]:
                return self._submission(_fields(request))
            case "GET", ["videos", job_id]:
                return self.poll(job_id, self._told)
            case "GET", ["videos", job_id, "content"]:
                return self.content(request, job_id)
        return no_such_page()

    def _submission(self, asked: Mapping[str, Any]) -> Route | Reply:
        if not asked.get("prompt"):
            return refusal(400, "Missing required parameter: 'prompt'.")

        def told(job: RemoteJob) -> Reply:
            self._asked[job.id] = {
                "prompt": job.item,
                "model": asked.get("model", "sora-2"),
                "seconds": str(asked.get("seconds", "4")),
                "size": asked.get("size", "720x1280"),
            }
            return self._told({"id": job.id, "state": "queued", "progress": 0.0})

        return self.submission(str(asked["prompt"]), told)

    def _told(self, told: Mapping[str, Any]) -> Reply:
        job = self.model.jobs[told["id"]]
        failed = told["state"] in ("failed", "canceled")
        data: dict[str, Any] = {
            **self._asked[job.id],
            "id": job.id,
            "object": "video",
            "created_at": int(job.started),
            "status": _WORDS.get(told["state"], told["state"]),
            "progress": int(told["progress"] * 100),
            "error": None,
        }
        if failed:
            reason = told.get("error", {"message": "it was cancelled"})["message"]
            data["error"] = {"code": "video_generation_failed", "message": reason}
        if "output" in told:
            data["expires_at"] = int(told["output"]["expires_at"])
        over = "cost_cents" in told
        return Reply(data=data, headers={} if over else {"openai-poll-after-ms": str(POLL_AFTER)})


def _fields(request: Request) -> Mapping[str, Any]:
    """What was asked: a form, as OpenAI's own SDK sends it always, or JSON."""
    if isinstance(request.data, Mapping):
        return request.data
    return {name: values[0] for name, values in read_form(request).fields.items()}
