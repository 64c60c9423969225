"""One GET: every hop checked, credentials for one server alone, no secret in any message."""

from __future__ import annotations

import contextlib
import functools
import ssl
import time
import urllib.request
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs

from batchkit._errors import (
    AuthenticationError,
    ClientError,
    NotFoundError,
    ResultExpiredError,
)
from batchkit._redaction import hush_http_logs, ours, remember, secrets_in
from batchkit._results import Download
from batchkit._retry import parse_retry_after
from batchkit.artifacts import _addresses as addresses

if TYPE_CHECKING:
    import httpx

MAX_REDIRECTS = 10
#: Seconds to wait for a connection.
CONNECT_TIMEOUT = 20.0

_PORTS = {"http": 80, "https": 443}
_NOT_THERE, _GONE = 404, 410
_PASSING = (202, 408, 425, 429)
_REDIRECTS = (301, 302, 303, 307, 308)
#: Headers that decide what the bytes of the answer mean.
_OURS = frozenset({"accept-encoding", "connection", "host", "if-range", "range"})


def without_secrets(url: str) -> str:
    """A URL as it may be shown: without user, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        # Not even its parts can be told from each other.
        return "this URL"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextlib.contextmanager
def get(
    what: Download, headers: Mapping[str, str], *, allow_private: bool, stall: float
) -> Iterator[httpx.Response]:
    """The answer at the end of all redirects, whose body is still to be read, and read raw.

    Errors of the connection that come up inside are told as ours, too.

    Args:
        what: where, and what goes to that server alone.
        headers: what goes to every server.
        allow_private: reach addresses that are not of the internet.
        stall: seconds in which a server must send something.

    Raises:
        NotFoundError, ResultExpiredError: it is not there (404), it is gone (410).
        AuthenticationError: the credentials of *what* are refused (401).
        ClientError: anything else; ``retryable`` when it may pass.
    """
    where = without_secrets(what.url)
    if not where.startswith(("http://", "https://")):
        raise ClientError(f"{where} cannot be downloaded: only http and https can", code="url")
    remember(secrets_in(what.headers))
    hush_http_logs()
    with _explained(where), contextlib.ExitStack() as stack:
        response, trusted = _Hops(where, headers, allow_private, stall).follow(what, stack)
        _check(response, where, trusted)
        yield response


@attrs.frozen
class _Hops:
    """The way from a URL to what lies behind its redirects."""

    where: str
    headers: Mapping[str, str]
    allow_private: bool
    stall: float

    def follow(self, what: Download, stack: contextlib.ExitStack) -> tuple[httpx.Response, bool]:
        """The last answer, and whether the credentials of *what* went with its request."""
        import httpx  # loaded by the first download: most programs never make one

        url, own = httpx.URL(what.url), _own(what.headers)
        for _ in range(MAX_REDIRECTS + 1):
            hop = stack.enter_context(contextlib.ExitStack())
            response = self._send(url, {**own, **self.headers}, hop)
            location = response.headers.get("Location")
            if response.status_code not in _REDIRECTS or location is None:
                return response, bool(own)
            hop.close()
            before, url = url, self._next(url, location)
            if _origin(before) != _origin(url):
                # For good: a way back through a stranger is no way to be trusted.
                own = {}
        raise self._refusal(f"it leads on more than {MAX_REDIRECTS} times")

    def _next(self, url: httpx.URL, location: str) -> httpx.URL:
        target = url.join(location)
        if target.scheme not in _PORTS:
            raise self._refusal(f"it leads to {without_secrets(str(target))}")
        if (url.scheme, target.scheme) == ("https", "http"):
            raise self._refusal(f"it leads from https to {without_secrets(str(target))}")
        return target

    def _send(
        self, url: httpx.URL, headers: dict[str, str], stack: contextlib.ExitStack
    ) -> httpx.Response:
        import httpx

        host, proxy = url.raw_host.decode("ascii").strip("[]"), _proxy_of(url)
        transport = stack.enter_context(httpx.HTTPTransport(verify=_tls(), proxy=proxy))
        timeout = httpx.Timeout(self.stall, connect=CONNECT_TIMEOUT)
        extensions = {"timeout": timeout.as_dict(), "sni_hostname": host}
        headers["Host"] = url.netloc.decode("ascii")
        failed: httpx.TransportError | None = None
        for place in self._places(url, host, proxied=proxy is not None):
            request = httpx.Request("GET", place, headers=headers, extensions=extensions)
            if url.username or url.password:
                request = next(httpx.BasicAuth(url.username, url.password).auth_flow(request))
            try:
                with _hushed():
                    response = transport.handle_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
                failed = exc
                continue
            stack.callback(response.close)
            return response
        assert failed is not None
        raise failed

    def _places(self, url: httpx.URL, host: str, *, proxied: bool) -> list[httpx.URL]:
        """The URL with each address in the place of the name, so that nobody looks it up again."""
        bare = url.copy_with(userinfo=b"", fragment=None)
        if self.allow_private:
            return [bare]
        port = url.port or _PORTS[url.scheme]
        try:
            found = addresses.public_addresses(host, port, self.where)
        except ClientError as exc:
            if proxied and exc.code == "dns":
                # Such networks often leave the looking up to their proxy.
                return [bare]
            raise
        return [bare] if proxied else [bare.copy_with(host=address) for address in found]

    def _refusal(self, problem: str) -> ClientError:
        return ClientError(f"{self.where} cannot be downloaded: {problem}", code="redirect")


def _own(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _OURS}


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or _PORTS[url.scheme]


def _proxy_of(url: httpx.URL) -> str | None:
    """The proxy that this machine is set up to use for *url*."""
    if urllib.request.proxy_bypass(url.host):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(url.scheme) or proxies.get("all")


@functools.cache
def _tls() -> ssl.SSLContext:
    """Made once: reading the certificates takes longer than many a download."""
    import httpx

    return httpx.create_ssl_context()


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    token = ours.set(True)
    try:
        yield
    finally:
        ours.reset(token)


@contextlib.contextmanager
def _explained(where: str) -> Iterator[None]:
    """Tells httpx errors as our own. Theirs may hold the whole URL, so none is kept as a cause."""
    import httpx

    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as exc:
        reason = f"its address, or one that it leads to, cannot be used ({type(exc).__name__})"
        retryable = False
    except httpx.HTTPError as exc:
        reason, retryable = f"the connection broke ({type(exc).__name__})", True
    else:
        return
    message = f"{where} cannot be downloaded: {reason}"
    raise ClientError(message, code="download", retryable=retryable) from None


def _check(response: httpx.Response, where: str, trusted: bool) -> None:
    status = response.status_code
    if status in (200, 206, 416):
        return
    told = f"{where} cannot be downloaded: the server answers {status}"
    if status == _NOT_THERE:
        raise NotFoundError(told, code=str(status), retryable=True)
    if status == _GONE:
        raise ResultExpiredError(
            f"{where} is gone: the server answers {status}; collect results sooner",
            code=str(status),
        )
    if status == 401 and trusted:
        raise AuthenticationError(told, code=str(status))
    raise ClientError(
        told,
        code=str(status),
        retryable=status >= 500 or status in _PASSING,
        retry_after=parse_retry_after(response.headers, time.time()),
    )
