"""Requests in, replies out: the interface of the fake provider, and the faults on it. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs

from batchkit._errors import UsageError
from batchkit.testing._faults import Word
from batchkit.testing._files import file_reply
from batchkit.testing._messages import NOT_JSON, Reply, Request, refusal
from batchkit.testing._misbehaviour import misbehave
from batchkit.testing._model import Model, RemoteJob

_PAGE = 100


@attrs.frozen
class _Route:
    """Where a request leads: an operation, the item that it is about, and what answers it."""

    operation: str
    item: str
    handler: Callable[[Word | None], Reply]


class Routes:
    """The interface of one provider. Thread-safe.

    Args:
        model: the provider.
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    def answer(self, request: Request) -> Reply:
        """One reply, right or wrong as the plan says."""
        with self.model.lock:
            if request.path.startswith("/_"):
                return self._control(request)
            if (refused := self._unauthorized(request)) is not None:
                return refused
            route = self._route(request)
            if isinstance(route, Reply):
                return route
            self._count(route, request)
            word = self.model.plan.next(route.operation, route.item)
            if word is None or word.fault.of_job:
                return route.handler(word)
            return misbehave(word, partial(self._process, route, word), self.model.clock)

    def _process(self, route: _Route, word: Word) -> Reply:
        # What is late is processed when the lock has long been given back.
        with self.model.lock:
            return route.handler(word)

    def _unauthorized(self, request: Request) -> Reply | None:
        key = self.model.api_key
        # A signed URL is its own licence, and the key must not travel to it.
        if key is None or request.path.startswith("/files/"):
            return None
        if request.headers.get("authorization") == f"Bearer {key}":
            return None
        return refusal(401, "the key is missing or wrong")

    def _route(self, request: Request) -> _Route | Reply:
        parts = request.path.strip("/").split("/")
        match request.method, parts:
            case "POST", ["jobs"]:
                return self._submission(request)
            case "GET", ["jobs"] if "tag" in request.query:
                known = self.model.known(request.query["tag"])
                item = known.item if known is not None else ""
                return _Route("find", item, partial(self._find, request.query["tag"]))
            case "GET", ["jobs"]:
                return _Route("list", "", partial(self._list, request.query))
            case "GET", ["jobs", job_id]:
                return self._about(job_id, "poll", self._poll)
            case "POST", ["jobs", job_id, "cancel"]:
                return self._about(job_id, "cancel", self._cancel)
            case "GET", ["files", job_id]:
                return self._about(job_id, "fetch", partial(file_reply, self.model, request))
            case "POST", ["uploads"]:
                item = self.model.plan.read(request.query.get("prompt", ""))
                return _Route("prepare", item, partial(self._upload, request, item))
        return refusal(404, "no such page")

    def _submission(self, request: Request) -> _Route | Reply:
        data = request.data
        if not isinstance(data, Mapping) or not isinstance(data.get("prompt"), str):
            return refusal(400, "send JSON with a prompt", "bad_request")
        item = self.model.plan.read(data["prompt"])
        known = self.model.known(_key_of(request)) is not None
        again = known and (self.model.replays or self.model.keys == "reject")
        return _Route("replay" if again else "submit", item, partial(self._submit, request, item))

    def _about(
        self, job_id: str, operation: str, handler: Callable[[RemoteJob, Word | None], Reply]
    ) -> _Route | Reply:
        job = self.model.jobs.get(job_id)
        if job is None:
            return refusal(404, "no such job")
        return _Route(operation, job.item, partial(handler, job))

    def _count(self, route: _Route, request: Request) -> None:
        """What reaches the provider counts, whatever becomes of it."""
        ledger = self.model.ledger
        if route.operation in ("submit", "replay"):
            ledger.record("submission", route.item, key=_key_of(request))
        elif route.operation == "poll":
            ledger.record("poll", route.item)

    # -- what each operation does ------------------------------------------------------------

    def _submit(self, request: Request, item: str, word: Word | None) -> Reply:
        key = _key_of(request)
        known = self.model.known(key)
        if known is not None and self.model.replays:
            return _accepted(known)
        if known is not None and self.model.keys == "reject":
            return refusal(409, "a job with this key exists", "duplicate_key")
        shape = word if word is not None and word.fault.of_job else None
        return _accepted(self.model.accept(item, key, shape, request.data.get("webhook_url")))

    def _poll(self, job: RemoteJob, _: Word | None) -> Reply:
        seen = self.model.visible(job.id)
        if seen is None:
            return refusal(404, "no such job")
        return Reply(data=self.model.look(seen))

    def _list(self, query: Mapping[str, str], _: Word | None) -> Reply:
        wanted = query["ids"].split(",") if "ids" in query else list(self.model.jobs)
        after = query.get("after", "")
        start = wanted.index(after) + 1 if after in wanted else 0
        page = wanted[start : start + int(query.get("limit", _PAGE))]
        seen = [job for job_id in page if (job := self.model.visible(job_id)) is not None]
        more = start + len(page) < len(wanted)
        return Reply(data={"jobs": [self.model.look(job) for job in seen], "more": more})

    def _find(self, tag: str, _: Word | None) -> Reply:
        if not self.model.finds:
            return refusal(501, "jobs cannot be looked up by their tag here", "no_lookup")
        job = self.model.known(tag)
        found = [] if job is None else [{"id": job.id, "item": job.item}]
        return Reply(data={"jobs": found, "more": False})

    def _cancel(self, job: RemoteJob, _: Word | None) -> Reply:
        self.model.halt(job)
        return Reply(data={"id": job.id, "state": str(job.state)})

    def _upload(self, request: Request, item: str, _: Word | None) -> Reply:
        self.model.ledger.record("upload", item)
        digest = hashlib.sha256(request.body).hexdigest()
        return Reply(data={"id": f"upload-{digest[:16]}", "size": len(request.body)})

    # -- for tests ---------------------------------------------------------------------------

    def _control(self, request: Request) -> Reply:
        match request.method, request.path:
            case "GET", "/_ledger":
                return Reply(data=self.model.ledger.as_dict())
            case "POST", "/_script":
                return self._script(request.data)
        return refusal(404, "no such page")

    def _script(self, asked: Any) -> Reply:
        if asked is NOT_JSON or not isinstance(asked, Mapping):
            return refusal(400, "send JSON with items, next, rates or refuse", "bad_request")
        try:
            for item, words in asked.get("items", {}).items():
                self.model.plan.script(item, *words)
            self.model.plan.script_next(*asked.get("next", ()))
        except UsageError as exc:
            return refusal(400, str(exc), "bad_request")
        self.model.plan.rates.update(asked.get("rates", {}))
        return Reply(data={"ok": True}, refuse=float(asked.get("refuse", 0.0)))


def _key_of(request: Request) -> str:
    tag = request.data.get("tag", "") if isinstance(request.data, Mapping) else ""
    return request.headers.get("idempotency-key") or str(tag)


def _accepted(job: RemoteJob) -> Reply:
    return Reply(status=201, data={"id": job.id, "item": job.item, "state": "queued"})
