"""OpenRouter's videos: results that are signed, or that want the key. See
:mod:`batchkit.clients.openrouter` for the facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchkit.testing._dialect import Dialect, Route, address, no_such_page
from batchkit.testing._messages import Reply, Request, refusal
from batchkit.testing._model import RemoteJob

_WORDS = {
    "queued": "pending",
    "running": "in_progress",
    "succeeded": "completed",
    "canceled": "cancelled",
}


class OpenRouterDialect(Dialect):
    """``POST /videos``, and below it ``{id}`` and ``{id}/content``; ``/api/v1`` may stand before.

    Of one job in three there is no stored copy: its result has no signed URL, and wants the key.
    """

    tells_cost = True

    def error(self, status: int, code: str, message: str) -> Any:
        """The number of the status is the code."""
        return {"error": {"code": status, "message": message}}

    def route(self, request: Request) -> Route | Reply:
        """Submissions, states and results."""
        base = request.path[: request.path.find("/videos")]
        match request.method, request.path.removeprefix(base).strip("/").split("/"):
            case "POST", ["videos"]:
                return self._submission(request, base)
            case "GET", ["videos", job_id]:
                return self.poll(job_id, lambda told: self._told(request, base, told))
            case "GET", ["videos", job_id, "content"]:
                return self.content(request, job_id)
        return no_such_page()

    def _submission(self, request: Request, base: str) -> Route | Reply:
        asked = request.data
        if not isinstance(asked, Mapping) or not (asked.get("prompt") and asked.get("model")):
            return refusal(400, "prompt and model are required")

        def told(job: RemoteJob) -> Reply:
            where = address(request, f"{base}/videos/{job.id}")
            data = {"id": job.id, "polling_url": where, "status": "pending"}
            return Reply(status=202, data=data)

        return self.submission(str(asked["prompt"]), told, webhook_url=asked.get("callback_url"))

    def _told(self, request: Request, base: str, told: Mapping[str, Any]) -> Reply:
        where = address(request, f"{base}/videos/{told['id']}")
        word = _WORDS.get(told["state"], told["state"])
        data: dict[str, Any] = {"id": told["id"], "polling_url": where, "status": word}
        if "cost_cents" in told:
            data["generation_id"] = f"gen-{told['id']}"
            data["usage"] = {"cost": told["cost_cents"] / 100, "is_byok": False}
        if "error" in told:
            data["error"] = told["error"]["message"]
        if "output" in told:
            data["unsigned_urls"] = [f"{where}/content?index=0"]
            if not _wants_key(told["id"]):
                data["urls"] = [address(request, told["output"]["url"])]
                data["expires_at"] = int(told["output"]["expires_at"])
        return Reply(data=data)


def _wants_key(job_id: str) -> bool:
    return int(job_id.rpartition("-")[2]) % 3 == 0
