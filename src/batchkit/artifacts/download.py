"""Downloads over HTTP, in pieces and without ever naming a secret."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from batchkit._errors import ClientError, ResultExpiredError

if TYPE_CHECKING:
    import httpx

#: Bytes of one piece.
CHUNK = 64 * 1024
MAX_REDIRECTS = 10
#: Seconds to wait for a connection, and for each next piece; not for the whole download.
TIMEOUT = 60.0

_GONE = (404, 410)
_PASSING = (408, 425, 429)


def stream(url: str, *, timeout: float = TIMEOUT) -> Iterator[bytes]:
    """The content behind a URL, in pieces of at most 64 KiB.

    Redirects are followed. The connection is closed when the iterator ends or is closed.

    Args:
        url: http or https; its user, query and fragment may be secret and are in no message.
        timeout: seconds to wait for the server each time; a long download may take longer.

    Raises:
        ResultExpiredError: the server says that it is gone (404, 410).
        ClientError: anything else; ``retryable`` when it may pass.
    """
    where = without_secrets(url)
    if not where.startswith(("http://", "https://")):
        raise ClientError(f"{where} cannot be downloaded: only http and https can", code="url")
    return _stream(url, where, timeout)


def without_secrets(url: str) -> str:
    """A URL as it may be shown: without user, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        # Not even its parts can be told from each other.
        return "this URL"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _stream(url: str, where: str, timeout: float) -> Iterator[bytes]:
    import httpx  # loaded by the first download: most programs never make one

    with (
        _explained(where),
        httpx.Client(follow_redirects=True, max_redirects=MAX_REDIRECTS, timeout=timeout) as client,
    ):
        # Recordings are compressed already, and only plain bytes have the size that is declared.
        request = client.build_request("GET", url, headers={"Accept-Encoding": "identity"})
        with _discreet():
            response = client.send(request, stream=True)
        with contextlib.closing(response):
            _check(response, where)
            yield from response.iter_bytes(CHUNK)


@contextlib.contextmanager
def _explained(where: str) -> Iterator[None]:
    """Tells httpx errors as our own. Theirs may hold the whole URL, so none is kept as a cause."""
    import httpx

    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as exc:
        problem, retryable = f"its address, or one that it leads to, {_named(exc)}", False
    except httpx.TooManyRedirects:
        problem, retryable = f"it leads on more than {MAX_REDIRECTS} times", False
    except httpx.HTTPError as exc:
        problem, retryable = f"the connection broke ({type(exc).__name__})", True
    else:
        return
    message = f"{where} cannot be downloaded: {problem}"
    raise ClientError(message, code="download", retryable=retryable) from None


def _named(exc: Exception) -> str:
    return f"cannot be used ({type(exc).__name__})"


def _check(response: httpx.Response, where: str) -> None:
    status = response.status_code
    if response.is_success:
        return
    if status in _GONE:
        raise ResultExpiredError(
            f"{where} is gone: the server answers {status}; collect results sooner",
            code=str(status),
        )
    after = response.headers.get("Retry-After", "")
    raise ClientError(
        f"{where} cannot be downloaded: the server answers {status}",
        code=str(status),
        retryable=status >= 500 or status in _PASSING,
        retry_after=float(after) if after.isdecimal() else None,
    )


# -- httpx logs every address as a whole -----------------------------------------------------

_ours: ContextVar[bool] = ContextVar("batchkit_download", default=False)


def _redact(record: logging.LogRecord) -> bool:
    if _ours.get() and isinstance(record.args, tuple):
        args = ((str(arg), arg) for arg in record.args)
        record.args = tuple(without_secrets(text) if "://" in text else arg for text, arg in args)
    return True


@contextlib.contextmanager
def _discreet() -> Iterator[None]:
    """Inside, the log of httpx shows addresses without their secrets."""
    logging.getLogger("httpx").addFilter(_redact)
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)
