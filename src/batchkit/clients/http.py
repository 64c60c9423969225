"""Clients of HTTP APIs without I/O: they say what to send and what an answer means.

An operation is a generator. It yields an :class:`HttpRequest`, is sent the :class:`HttpResponse`,
and returns what the pipeline wants. So it can be tested with literal JSON, and the sending, the
time-outs, the reading of errors and the limits are written once, for every provider and executor::

    class ExampleClient(HttpClient):
        name = "example"
        key_env = ("EXAMPLE_KEY",)
        default_url = "https://api.example.com/v1"

        def headers(self):
            return {"Authorization": f"Bearer {self.key}"}

        def http_submit(self, job):
            answer = yield HttpRequest("POST", "/videos", json={"prompt": job.request.prompt})
            return Accepted(handle=answer.text("id"))

        def http_poll(self, handle):
            answer = yield HttpRequest("GET", f"/videos/{handle.id}")
            ...
            return RemoteStatus(state=...)

``http_submit`` may send one request, the one that may cost money. Beside it and ``http_poll``
there are, found by presence: ``http_prepare(job)``, ``http_cancel(handle)``, ``http_find(job,
key)``; and, as in any client, ``check(request)`` and ``estimate(job)``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from urllib.parse import urlsplit

import attrs

from batchkit._errors import ClientError, UsageError
from batchkit._requests import Request
from batchkit._results import EMPTY
from batchkit.clients._http_choice import chosen_transport
from batchkit.clients.base import Capabilities, as_statuses

if TYPE_CHECKING:
    from batchkit.clients._http_session import HttpSession

T = TypeVar("T")

#: Seconds for one exchange, unless a request says otherwise.
TIMEOUT = 60.0


@attrs.frozen(kw_only=True)
class FilePart:
    """One file of a multipart body.

    Attributes:
        field: the name of its form field.
        filename: as the provider sees it; some read the format from its extension.
        path: where it is; it is streamed.
        data: its bytes, when it is small.
        media_type: as ``"audio/wav"``.
    """

    field: str
    filename: str
    path: str | None = None
    data: bytes | None = attrs.field(default=None, repr=False)
    media_type: str = "application/octet-stream"


@attrs.frozen
class HttpRequest:
    """One request, before it is sent.

    Attributes:
        method: as ``"POST"``.
        url: absolute, or a path below the client's ``base_url``.
        params: of the query.
        headers: beside those of the client, which go to its own host only.
        json: the body, as JSON values.
        form: the text fields of a multipart body; a list repeats its field.
        files: the files of a multipart body.
        path: a file that is the whole body; it is streamed.
        content: bytes that are the whole body.
        timeout: seconds to wait for the server each time; by default the client's.
        delay: seconds until it is sent, for what is asked again within one operation.
        expect: statuses from 300 on that the operation reads itself, instead of failing.
    """

    method: str
    url: str
    params: Mapping[str, Any] = attrs.field(default=EMPTY, kw_only=True)
    headers: Mapping[str, str] = attrs.field(default=EMPTY, kw_only=True, repr=False)
    json: Any = attrs.field(default=None, kw_only=True, repr=False)
    form: Mapping[str, str | Sequence[str]] | None = attrs.field(
        default=None, kw_only=True, repr=False
    )
    files: Sequence[FilePart] = attrs.field(default=(), kw_only=True)
    path: str | None = attrs.field(default=None, kw_only=True)
    content: bytes | None = attrs.field(default=None, kw_only=True, repr=False)
    timeout: float | None = attrs.field(default=None, kw_only=True)
    delay: float = attrs.field(default=0.0, kw_only=True)
    expect: frozenset[int] = attrs.field(default=frozenset(), converter=as_statuses, kw_only=True)


@attrs.frozen(kw_only=True)
class HttpResponse:
    """One answer.

    Attributes:
        status: as 200.
        headers: by their names in lower case.
        content: the whole body.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(default=EMPTY, repr=False)
    content: bytes = attrs.field(default=b"", repr=False)

    def json(self) -> Any:
        """The body as JSON values.

        Raises:
            ClientError: it is not JSON. After a submission, that leaves its outcome unknown.
        """
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            problem = f"the provider answers {self.status} with what is no JSON"
            raise ClientError(problem, code="garbled", retryable=True) from None

    def fields(self) -> Mapping[str, Any]:
        """The JSON object that the body is; empty where it is none. For :meth:`HttpClient.fault`,
        which must not raise."""
        try:
            found = json.loads(self.content)
        except (ValueError, RecursionError):
            return EMPTY
        return found if isinstance(found, dict) else EMPTY

    def get(self, *path: str | int, default: Any = None) -> Any:
        """A value inside the body, by names and positions; *default* where there is none."""
        found = self.json()
        for step in path:
            try:
                found = found[step]
            except (KeyError, IndexError, TypeError):
                return default
        return default if found is None else found

    def text(self, *path: str | int) -> str:
        """A text inside the body that must be there, and not empty.

        Raises:
            ClientError: it is not. After a submission, that leaves its outcome unknown.
        """
        found = self.get(*path)
        if not isinstance(found, (str, int)) or found == "" or isinstance(found, bool):
            name = ".".join(map(str, path))
            problem = f"the provider answers {self.status} without {name!r}"
            raise ClientError(problem, code="garbled", retryable=True)
        return str(found)


#: An operation: yields requests, is sent responses, returns its outcome.
Exchange = Generator[HttpRequest, HttpResponse, T]


@attrs.frozen(kw_only=True)
class Fault:
    """What a provider says in an answer that reports a failure.

    Attributes:
        message: its own words.
        code: its own word for the fault.
        kind: where the status does not tell: ``"authentication"``, ``"moderation"``, ``"quota"``,
            ``"rate_limit"`` or ``"invalid"``; it is believed of answers from 400 to 499 only.
    """

    message: str = ""
    code: str | None = None
    kind: str = ""


class HttpClient:
    """Base of clients of HTTP APIs; see the module for how to write one.

    Args:
        key: of the account; by default from the first environment variable of :attr:`key_env` that
            is set.
        base_url: of the API, for gateways and tests.
        model: for requests that name none; the provider's own name for it.
        account: a name that tells accounts apart: a batch that has work in flight at one account
            refuses to go on with another. Never a secret.
        http_client: an ``httpx.AsyncClient``, ``httpx2.AsyncClient`` or ``aiohttp.ClientSession``
            of yours, which is not closed; or a function that makes one for each run, which is.
        timeout: seconds to wait for the server each time.
        transport: the library that sends when no *http_client* is given: ``"httpx"``, the default,
            ``"httpx2"`` or ``"aiohttp"``, which needs an executor on asyncio or on threads.

    Raises:
        UsageError: there is no key; the message names the environment variable. Or there is no such
            transport, or *http_client* is none.
        MissingExtraError: the transport is not installed.
    """

    #: What the client is called, in :func:`batchkit.clients.load` and in messages.
    name: ClassVar[str] = ""
    #: The provider's own environment variables for its key, in order.
    key_env: ClassVar[tuple[str, ...]] = ()
    default_url: ClassVar[str] = ""
    #: Whether the API works without a key.
    key_optional: ClassVar[bool] = False

    capabilities: Capabilities = Capabilities()

    def __init__(
        self,
        key: str | None = None,
        *,
        base_url: str | None = None,
        model: str | None = None,
        account: str = "",
        http_client: Any = None,
        timeout: float = TIMEOUT,
        transport: str | None = None,
    ) -> None:
        self.key = key or self._key_from_environment()
        self.base_url = (base_url or self.default_url).rstrip("/")
        if not self.base_url.startswith(("http://", "https://")):
            raise UsageError(f"base_url is {self.base_url!r}: write it as https://host/path")
        self.model, self.account = model, account
        self.http_client, self.timeout = http_client, timeout
        #: The library that sends; ``""`` while only a function knows that makes its client.
        self.transport = chosen_transport(transport, http_client)
        self.capabilities = attrs.evolve(
            type(self).capabilities, account=account, quota=self._quota()
        )

    def _key_from_environment(self) -> str:
        for variable in self.key_env:
            if found := os.environ.get(variable):
                return found
        if self.key_optional or not self.key_env:
            return ""
        raise UsageError(
            f"{type(self).__name__} needs a key: set {self.key_env[0]}, or pass it as key="
        )

    def _quota(self) -> str:
        digest = hashlib.blake2b(f"{self.base_url}\0{self.key}".encode(), digest_size=8)
        return f"{self.name}:{digest.hexdigest()}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url}>"

    def model_of(self, request: Request) -> str:
        """The model that a request names, or the client's own.

        Raises:
            UsageError: there is neither.
        """
        model = getattr(request, "model", None) or self.model
        if not model:
            raise UsageError(
                f"{type(self).__name__} needs a model: pass model= to the client, or with the job"
            )
        return str(model)

    def check(self, request: Request) -> None:
        """Refuses what cannot work, before anything is paid.

        Raises:
            UsageError: the message says what to change.
        """

    @property
    def ref(self) -> str:
        """Which provider a batch's handles belong to; compared on resume.

        Another host than the provider's own is another provider, unless ``account`` tells them
        apart: the ids of jobs mean nothing there.
        """
        name = f"{type(self).__module__}.{type(self).__qualname__}"
        if self.account or self.base_url == self.default_url:
            return name
        return f"{name}@{urlsplit(self.base_url).netloc.rpartition('@')[2]}"

    def for_run(self) -> HttpSession:
        """The client of one run: connections belong to the event loop in which they are made."""
        from batchkit.clients._http_session import HttpSession

        return HttpSession(self)

    # -- what a provider's client says -------------------------------------------------------

    def headers(self) -> Mapping[str, str]:
        """Headers of every request to the API's own host, the key among them."""
        return EMPTY

    def http_submit(self, job: Any) -> Exchange[Any]:
        """Submits with one request; returns ``Accepted`` or ``Finished``."""
        raise NotImplementedError

    def http_poll(self, handle: Any) -> Exchange[Any]:
        """Asks for the state of a job; returns a ``RemoteStatus``."""
        raise NotImplementedError

    def fault(self, response: HttpResponse) -> Fault:
        """Reads an answer that reports a failure; it must not raise."""
        return Fault(message=_message(response))


def _message(response: HttpResponse) -> str:
    """The text that most APIs put into one of these places."""
    for path in (("error", "message"), ("error",), ("message",), ("detail",), ("title",)):
        found: Any = response.fields()
        for step in path:
            found = found.get(step) if isinstance(found, Mapping) else None
        if isinstance(found, str):
            return found
    return ""
