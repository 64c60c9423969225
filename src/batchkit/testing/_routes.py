"""The interface of the fake provider itself: requests in, replies out. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from batchkit.testing._dialect import Dialect, Route, no_such_page
from batchkit.testing._faults import Word
from batchkit.testing._messages import Reply, Request, refusal
from batchkit.testing._model import RemoteJob

_PAGE = 100


class Routes(Dialect):
    """The fake provider's own interface."""

    state_key = "state"
    tells_cost = True

    def route(self, request: Request) -> Route | Reply:
        """Jobs, and uploads."""
        parts = request.path.strip("/").split("/")
        match request.method, parts:
            case "POST", ["jobs"]:
                return self._submission(request)
            case "GET", ["jobs"] if "tag" in request.query:
                return self._find(request.query["tag"])
            case "GET", ["jobs"]:
                return Route("list", "", lambda _: self._list(request.query))
            case "GET", ["jobs", job_id]:
                return self.poll(job_id, lambda told: Reply(data=told))
            case "POST", ["jobs", job_id, "cancel"]:
                return self.about("cancel", job_id, self._cancel)
            case "POST", ["uploads"]:
                item = self.model.plan.read(request.query.get("prompt", ""))
                return self.upload(item, lambda: _uploaded(request.body))
        return no_such_page()

    def _submission(self, request: Request) -> Route | Reply:
        data = request.data
        if not isinstance(data, Mapping) or not isinstance(data.get("prompt"), str):
            return refusal(400, "send JSON with a prompt", "bad_request")
        key = request.headers.get("idempotency-key") or str(data.get("tag", ""))
        return self.submission(
            data["prompt"], _accepted, key=key, webhook_url=data.get("webhook_url")
        )

    def _list(self, query: Mapping[str, str]) -> Reply:
        wanted = query["ids"].split(",") if "ids" in query else list(self.model.jobs)
        after = query.get("after", "")
        start = wanted.index(after) + 1 if after in wanted else 0
        page = wanted[start : start + int(query.get("limit", _PAGE))]
        seen = [job for job_id in page if (job := self.model.visible(job_id)) is not None]
        more = start + len(page) < len(wanted)
        return Reply(data={"jobs": [self.model.look(job) for job in seen], "more": more})

    def _find(self, tag: str) -> Route:
        def handler(_: Word | None) -> Reply:
            if not self.model.finds:
                return refusal(501, "jobs cannot be looked up by their tag here", "no_lookup")
            job = self.model.known(tag)
            found = [] if job is None else [{"id": job.id, "item": job.item}]
            return Reply(data={"jobs": found, "more": False})

        known = self.model.known(tag)
        return Route("find", known.item if known is not None else "", handler)

    def _cancel(self, job: RemoteJob) -> Reply:
        self.model.halt(job)
        return Reply(data={"id": job.id, "state": str(job.state)})


def _uploaded(body: bytes) -> Reply:
    digest = hashlib.sha256(body).hexdigest()
    return Reply(data={"id": f"upload-{digest[:16]}", "size": len(body)})


def _accepted(job: RemoteJob) -> Reply:
    return Reply(status=201, data={"id": job.id, "item": job.item, "state": "queued"})
