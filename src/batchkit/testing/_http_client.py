"""Clients of the fake provider over HTTP: two that behave well, and one that does not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from batchkit._errors import ClientError, NotAcceptedError
from batchkit._jobs import Handle, Job
from batchkit._results import Output
from batchkit.clients.base import Accepted, Capabilities, RemoteStatus
from batchkit.testing import _protocol as protocol
from batchkit.testing._messages import NOT_JSON, Reply, Request
from batchkit.testing._model import Keys

if TYPE_CHECKING:
    import httpx

#: Seconds that a server may take for an answer.
TIMEOUT = 10.0
_CHUNK = 65536
#: Where a signed URL that is not good any more is answered.
_URL_OLD = 403


class _Shared:
    """What both clients are told, and how they read replies."""

    def __init__(
        self,
        base_url: str,
        *,
        keys: Keys = "none",
        api_key: str = "",
        timeout: float = TIMEOUT,
        fetches: bool = True,
        uploads: bool = False,
        webhook_url: str = "",
        capabilities: Capabilities | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        replays: Literal["replay", "none"] = "replay" if keys == "replay" else "none"
        self.capabilities = capabilities or Capabilities(cancel="running", idempotency=replays)
        self._api_key, self._timeout, self._webhook_url = api_key, timeout, webhook_url
        # Optional methods are found by presence.
        if keys == "lookup":
            self.find = self._find
        if fetches:
            self.fetch = self._fetch
        if uploads:
            self.prepare = self._prepare
        self._connect()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url}>"

    _find: Any
    _fetch: Any
    _prepare: Any

    def _connect(self) -> None:
        """Makes the connection pool."""
        raise NotImplementedError

    def _options(self) -> dict[str, Any]:
        import httpx  # loaded by the first client: most tests need no network

        # Our own limits are elsewhere: a pool that is full must not look like a fault.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        return {
            "base_url": self.base_url,
            "timeout": self._timeout,
            "trust_env": False,
            "limits": limits,
        }

    def _arguments(self, request: Request) -> dict[str, Any]:
        headers = dict(request.headers)
        if self._api_key:
            headers["authorization"] = f"Bearer {self._api_key}"
        body = {"json": request.data} if request.data is not None else {"content": request.body}
        return {
            "method": request.method,
            "url": request.path,
            "params": dict(request.query),
            "headers": headers,
            **body,
        }

    def _submission(self, job: Job) -> Request:
        upload = str((job.prepared or {}).get("upload", ""))
        prompt = protocol.prompt_of(job)
        return protocol.submit_request(
            prompt, job.submit_key, upload=upload, webhook_url=self._webhook_url
        )

    def _upload(self, job: Job) -> Request:
        prompt = protocol.prompt_of(job)
        return protocol.upload_request(prompt, prompt.encode())

    def _is_old(self, response: httpx.Response, job: Job) -> bool:
        return response.status_code == _URL_OLD and job.handle is not None

    def _fresh(self, status: RemoteStatus) -> str:
        if status.finished is None or not status.finished.outputs:
            raise ClientError("there is no URL of the result any more", retryable=True)
        return str(status.finished.outputs[0].url)


def _read(response: httpx.Response) -> Reply:
    try:
        data = response.json()
    except ValueError:
        data = NOT_JSON
    return Reply(status=response.status_code, headers=response.headers, data=data)


def _check_file(response: httpx.Response) -> None:
    if not response.is_success:
        raise protocol.refused(_read(response), time.time())


def _pieces(response: httpx.Response) -> Iterator[bytes]:
    if not response.is_success:
        response.read()
    _check_file(response)
    yield from response.iter_bytes(_CHUNK)


#: A signed URL is its own licence: the key does not travel to it.
_PLAIN = {"accept-encoding": "identity"}


class HTTPFakeClient(_Shared):
    """A well-behaved client of a :class:`FakeServer`, with plain methods.

    It submits with one POST and repeats nothing; it says *not accepted* only where the provider
    documents it, and sends its key to no signed URL.

    Args:
        base_url: of the server.
        keys: what the provider does with a submit key that it has seen: with ``"replay"`` the
            client declares it, with ``"lookup"`` it has ``find``.
        api_key: sent with every request but downloads.
        timeout: seconds that the server may take for an answer.
        fetches: bring results itself, with a fresh URL when the first is not good any more;
            otherwise the URL is left to batchkit.
        uploads: send a file before each submission.
        webhook_url: where the provider tells the end of a job.
        capabilities: by default paid work that can be cancelled.
    """

    def _connect(self) -> None:
        import httpx

        self.http = httpx.Client(**self._options())

    def _ask(self, request: Request) -> Reply:
        return _read(self.http.request(**self._arguments(request)))

    def submit(self, job: Job) -> Accepted:
        """Submits once; never repeats."""
        return protocol.accepted(self._ask(self._submission(job)), time.time())

    def poll(self, handle: Handle) -> RemoteStatus:
        """One status query."""
        reply = self._ask(protocol.poll_request(handle.id))
        return protocol.status_of(reply, time.time(), self.base_url)

    def cancel(self, handle: Handle) -> bool:
        """Ends a running job."""
        return protocol.canceled(self._ask(protocol.cancel_request(handle.id)), time.time())

    def _prepare(self, job: Job) -> dict[str, Any]:
        return protocol.uploaded(self._ask(self._upload(job)), time.time())

    def _find(self, job: Job, submit_key: str) -> Handle | None:
        return protocol.found(self._ask(protocol.find_request(submit_key)), time.time())

    def _fetch(self, job: Job, output: Output) -> Iterator[bytes]:
        with self.http.stream("GET", str(output.url), headers=_PLAIN) as response:
            if not self._is_old(response, job):
                yield from _pieces(response)
                return
        assert job.handle is not None
        fresh = self._fresh(self.poll(job.handle))
        with self.http.stream("GET", fresh, headers=_PLAIN) as response:
            yield from _pieces(response)

    def close(self) -> None:
        """Closes its connections."""
        self.http.close()


class AsyncHTTPFakeClient(_Shared):
    """The same with ``async`` methods; one instance for one event loop."""

    def _connect(self) -> None:
        import httpx

        self.http = httpx.AsyncClient(**self._options())

    async def _ask(self, request: Request) -> Reply:
        return _read(await self.http.request(**self._arguments(request)))

    async def submit(self, job: Job) -> Accepted:
        """Submits once; never repeats."""
        return protocol.accepted(await self._ask(self._submission(job)), time.time())

    async def poll(self, handle: Handle) -> RemoteStatus:
        """One status query."""
        reply = await self._ask(protocol.poll_request(handle.id))
        return protocol.status_of(reply, time.time(), self.base_url)

    async def cancel(self, handle: Handle) -> bool:
        """Ends a running job."""
        return protocol.canceled(await self._ask(protocol.cancel_request(handle.id)), time.time())

    async def _prepare(self, job: Job) -> dict[str, Any]:
        return protocol.uploaded(await self._ask(self._upload(job)), time.time())

    async def _find(self, job: Job, submit_key: str) -> Handle | None:
        return protocol.found(await self._ask(protocol.find_request(submit_key)), time.time())

    async def _fetch(self, job: Job, output: Output) -> bytes:
        response = await self.http.get(str(output.url), headers=_PLAIN)
        if self._is_old(response, job):
            assert job.handle is not None
            url = self._fresh(await self.poll(job.handle))
            response = await self.http.get(url, headers=_PLAIN)
        _check_file(response)
        return response.content

    async def aclose(self) -> None:
        """Closes its connections."""
        await self.http.aclose()


class RudeHTTPFakeClient(HTTPFakeClient):
    """A client with the faults that ``check_client`` has to find.

    Args:
        base_url: of the server.
        rudeness: ``"retries"`` repeats submissions behind batchkit's back, as SDKs of providers do;
            ``"guesses"`` takes every failure for proof that nothing was accepted; ``"forgets"``
            looks up without looking.
        options: as for :class:`HTTPFakeClient`.
    """

    def __init__(
        self, base_url: str, rudeness: Literal["retries", "guesses", "forgets"], **options: Any
    ) -> None:
        super().__init__(base_url, **options)
        self._rudeness = rudeness
        if rudeness == "forgets":
            self.find = self._forget

    def submit(self, job: Job) -> Accepted:
        """Submits, rudely."""
        try:
            return super().submit(job)
        except Exception as exc:
            if self._rudeness == "retries":
                return super().submit(job)
            if self._rudeness == "guesses":
                raise NotAcceptedError("something went wrong") from exc
            raise

    def _forget(self, job: Job, submit_key: str) -> None:
        return None
