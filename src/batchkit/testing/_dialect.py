"""How a provider's interface is spoken: requests in, replies out, and the faults on it. No I/O."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import attrs

from batchkit._results import EMPTY
from batchkit.testing._control import control
from batchkit.testing._faults import Word
from batchkit.testing._files import file_reply
from batchkit.testing._messages import Reply, Request, refusal
from batchkit.testing._misbehaviour import misbehave
from batchkit.testing._model import Model, RemoteJob
from batchkit.testing._words import with_word

#: What a provider says that nobody understands.
UNKNOWN_WORD = "simmering"


@attrs.frozen
class Route:
    """Where a request leads.

    Attributes:
        operation: which faults it can have, a name of ``batchkit.testing._faults.REQUESTS``.
        item: of the batch, that it is about.
        handler: does what is asked; it is given the fault that befalls the request, or ``None``.
        key: the submit key, where the provider is told one.
    """

    operation: str
    item: str
    handler: Callable[[Word | None], Reply]
    key: str = ""


class Dialect(abc.ABC):
    """The interface of one provider: its paths, its words and its errors. Thread-safe.

    Which job there is, what it costs and what goes wrong, the model decides. A dialect finds out
    what a request wants (:meth:`route`) and says what the model answers in the provider's words.

    Args:
        model: the provider.
    """

    #: The field that says how a job is, wherever it stands in an answer.
    state_key: ClassVar[str] = "status"
    #: Whether the interface says what a job cost.
    tells_cost: ClassVar[bool] = False
    #: Between two status queries of one job; one that comes sooner is refused with 429.
    poll_seconds: float = 0.0

    def __init__(self, model: Model) -> None:
        self.model = model
        self._polled: dict[str, float] = {}

    # -- what a provider's dialect says ------------------------------------------------------

    @abc.abstractmethod
    def route(self, request: Request) -> Route | Reply:
        """What a request asks for; a reply refuses it as no request of this interface."""

    def authorized(self, request: Request) -> bool:
        """Whether a request carries the key."""
        return request.headers.get("authorization") == f"Bearer {self.model.api_key}"

    def error(self, status: int, code: str, message: str) -> Any:
        """The JSON value of an answer that reports a failure; ``None`` is the fake's own."""
        return None

    # -- for its routes ----------------------------------------------------------------------

    def submission(
        self,
        prompt: str,
        told: Callable[[RemoteJob], Reply],
        *,
        key: str = "",
        webhook_url: str | None = None,
    ) -> Route:
        """Starts a job, the one request that costs money.

        Args:
            prompt: what is asked for; see :class:`~batchkit.testing.FakeProvider` for its script.
            told: says what was started.
            key: the submit key, where this interface has a place for it.
            webhook_url: who wants to be told of the end.
        """
        item = self.model.plan.read(prompt)

        def start(word: Word | None) -> Reply:
            known = self.model.known(key)
            if known is not None and self.model.replays:
                return told(known)
            if known is not None and self.model.keys == "reject":
                return refusal(409, "a job with this key exists", "duplicate_key")
            shape = word if word is not None and word.fault.of_job else None
            return told(self.model.accept(item, key, shape, webhook_url))

        knows = self.model.replays or self.model.keys == "reject"
        again = knows and self.model.known(key) is not None
        return Route("replay" if again else "submit", item, start, key)

    def poll(self, job_id: str, told: Callable[[Mapping[str, Any]], Reply]) -> Route | Reply:
        """A status query; *told* is given what :meth:`Model.look` says of the job."""

        def look(job: RemoteJob) -> Reply:
            if (early := self._early(job)) > 0:
                headers = {"Retry-After": str(math.ceil(early))}
                return refusal(429, "this task was asked for too soon", headers=headers)
            seen = self.model.visible(job.id)
            return refusal(404, "no such job") if seen is None else told(self.model.look(seen))

        return self.about("poll", job_id, look)

    def _early(self, job: RemoteJob) -> float:
        """Seconds by which a status query comes too soon."""
        now = self.model.clock.time()
        wait = self._polled.get(job.id, -math.inf) + self.poll_seconds - now
        if wait <= 0:
            self._polled[job.id] = now
        return wait

    def about(
        self, operation: str, job_id: str, told: Callable[[RemoteJob], Reply]
    ) -> Route | Reply:
        """Something else about one job, as ``"cancel"``."""
        job = self.model.jobs.get(job_id)
        if job is None:
            return refusal(404, "no such job")
        return Route(operation, job.item, lambda _: told(job))

    def upload(self, item: str, told: Callable[[], Reply]) -> Route:
        """Takes a file before the submission; it is free."""

        def take(_: Word | None) -> Reply:
            self.model.ledger.record("upload", item)
            return told()

        return Route("prepare", item, take)

    def files(self, request: Request) -> Route | Reply:
        """The download of a result, below ``/files/``."""
        job = self.model.jobs.get(request.path.removeprefix("/files/"))
        if job is None:
            return refusal(404, "no such file")
        return Route("fetch", job.item, partial(file_reply, self.model, request, job))

    def content(self, request: Request, job_id: str) -> Route | Reply:
        """The download of a result by its job, for who has the key; nothing is signed."""
        job = self.model.jobs.get(job_id)
        if job is None:
            return refusal(404, "no such job")
        if not self.model.is_over(job) or "output" not in self.model.tell(job):
            return refusal(404, "there is no result")
        signed = dict(parse_qsl(urlsplit(self.model.sign(job)).query))
        asked = attrs.evolve(request, query=signed)
        return Route("fetch", job.item, partial(file_reply, self.model, asked, job))

    # -- answering ---------------------------------------------------------------------------

    def answer(self, request: Request) -> Reply:
        """One reply, right or wrong as the plan says."""
        with self.model.lock:
            if (controlled := control(self.model, request)) is not None:
                return controlled
            # A signed URL is its own licence, and the key must not travel to it.
            is_file = request.path.startswith("/files/")
            if self.model.api_key is not None and not is_file and not self.authorized(request):
                return self._worded(refusal(401, "the key is missing or wrong"))
            route = self.files(request) if is_file else self.route(request)
            return self._worded(self._carried_out(route, request))

    def _carried_out(self, route: Route | Reply, request: Request) -> Reply:
        if isinstance(route, Reply):
            return route
        self._count(route)
        word = self.model.plan.next(route.operation, route.item)
        if word is None or word.fault.of_job:
            return route.handler(word)
        reply = misbehave(word, partial(self._process, route, word), self.model.clock)
        if word.name != "confused":
            return reply
        # Not every answer to a status query says how the job is; some are its result.
        changed, count = with_word(reply.data, self.state_key, UNKNOWN_WORD)
        return attrs.evolve(reply, data=changed) if count else reply

    def _process(self, route: Route, word: Word) -> Reply:
        # What is late is processed when the lock has long been given back.
        with self.model.lock:
            return route.handler(word)

    def _count(self, route: Route) -> None:
        """What reaches the provider counts, whatever becomes of it."""
        if route.operation in ("submit", "replay"):
            self.model.ledger.record("submission", route.item, key=route.key)
        elif route.operation == "poll":
            self.model.ledger.record("poll", route.item)

    def _worded(self, reply: Reply) -> Reply:
        """A refusal in the provider's words."""
        if reply.later is not None:
            later = reply.later
            return attrs.evolve(reply, later=lambda: self._worded(later()))
        if reply.refused is None:
            return reply
        said = self.error(reply.status, *reply.refused)
        return attrs.evolve(reply, data=reply.data if said is None else said, refused=None)


def address(request: Request, path: str) -> str:
    """An absolute URL of the server that a request reached."""
    return f"http://{request.headers.get('host', '127.0.0.1')}{path}"


def no_such_page(headers: Mapping[str, str] = EMPTY) -> Reply:
    """There is nothing under this path."""
    return refusal(404, "no such page", headers=headers)
