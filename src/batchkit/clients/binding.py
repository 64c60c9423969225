"""Looks a client's methods up once: objects, classes, factories, names and plain functions."""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeGuard, runtime_checkable

from anyio.from_thread import start_blocking_portal

from batchkit._errors import UsageError
from batchkit._jobs import Job
from batchkit._redaction import remember, scrub, secrets_in, secrets_of_headers
from batchkit._requests import Request
from batchkit._results import Output, Transcript
from batchkit.clients._load import is_name, load_named, names
from batchkit.clients.base import Accepted, BoundClient, Capabilities, Finished, Method

log = logging.getLogger("batchkit.clients")


@runtime_checkable
class _MadeForRuns(Protocol):
    """What makes a client for each run, as HTTP clients do."""

    def for_run(self) -> object: ...


def bind_client(client: object) -> BoundClient:
    """Finds out what *client* can do.

    Args:
        client: an object with ``submit``, or with ``for_run()``, which makes one for each run; a
            class or a function without parameters that makes one; ``"module:factory"``; a name
            that :func:`batchkit.clients.load` knows, or ``"name@base_url"``; or a plain function
            ``f(request) -> result``, sync or async.

    Raises:
        UsageError: it is none of these; the message says what is missing.
    """
    if isinstance(client, str):
        return bind_client(load_named(client) if is_name(client) else _import(client))
    if isinstance(client, _MadeForRuns) and not isinstance(client, type):
        return _bind_made(client.for_run)
    if isinstance(client, type) or _is_factory(client):
        return _bind_made(client)
    if not hasattr(client, "submit") and callable(client):
        return _bind_function(client)
    return _bind_object(client)


def _bind_made(factory: Callable[[], object]) -> BoundClient:
    try:
        made = factory()
    except TypeError as exc:
        name = getattr(factory, "__name__", "the client's factory")
        raise UsageError(
            f"{name} cannot be called without arguments ({exc}): pass an instance, or a function "
            "that makes one"
        ) from exc
    if hasattr(made, "for_run"):
        return bind_client(made)
    return _bind_object(made, closers=_closers(made))


def close_client(client: BoundClient) -> None:
    """Closes a client that a factory made and that no run has closed."""
    for closer in client.closers:
        try:
            if closer.is_async:
                with start_blocking_portal() as portal:
                    portal.call(closer.fn)
            else:
                closer.fn()
        except Exception as exc:  # noqa: BLE001 - a bad farewell must not hide why it was closed
            log.warning("closing the client failed: %s", scrub(str(exc)))


def _import(path: str) -> object:
    module, colon, name = path.partition(":")
    if not colon or not name:
        raise UsageError(
            f"client {path!r} is not understood: choose from {', '.join(names())}, or write it as "
            '"package.module:factory"'
        )
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as exc:
        # Importing runs a module, which may raise anything.
        raise UsageError(f"client {path!r} cannot be imported: {exc}") from exc


def _is_factory(client: object) -> TypeGuard[Callable[[], object]]:
    if not callable(client) or hasattr(client, "submit"):
        return False
    made_from = getattr(client, "func", None)
    if isinstance(client, functools.partial) and isinstance(made_from, type):
        return True
    return inspect.isroutine(client) and not _parameters(client)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError:
        # Some builtins have no signature; they are taken for functions of one argument.
        return [inspect.Parameter("request", inspect.Parameter.POSITIONAL_ONLY)]


def _is_async(function: object) -> bool:
    called = getattr(function, "__call__", None)  # noqa: B004 - an object may define it as async
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def _bind_object(client: object, closers: tuple[Method, ...] = ()) -> BoundClient:
    remember(_secrets_of(client))
    submit = getattr(client, "submit", None)
    if not callable(submit):
        raise UsageError(
            f"{type(client).__name__} is not a client: it has no submit(job) method. Give it one "
            "that returns Accepted or Finished, or pass a function f(request) -> result"
        )
    capabilities = getattr(client, "capabilities", Capabilities())
    if not isinstance(capabilities, Capabilities):
        raise UsageError(f"{type(client).__name__}.capabilities must be a batchkit.Capabilities")
    if _method(client, "poll") is None and not capabilities.sync_result:
        raise UsageError(
            f"{type(client).__name__} has no poll(handle) method: give it one, or declare "
            "Capabilities(sync_result=True) if submit returns the finished result"
        )
    if capabilities.auth_on_download and _method(client, "fetch") is None:
        raise UsageError(
            f"{type(client).__name__} declares auth_on_download and has no fetch(job, output) "
            "method: give it one that returns batchkit.Download(output.url, headers), or the bytes"
        )
    cls = type(client)
    ref = getattr(client, "ref", "") or f"{cls.__module__}.{cls.__qualname__}"
    if capabilities.account:
        ref = f"{ref}@{capabilities.account}"
    return BoundClient(
        ref=ref,
        capabilities=capabilities,
        submit=Method(submit, _is_async(submit)),
        poll=_method(client, "poll"),
        prepare=_method(client, "prepare"),
        fetch=_method(client, "fetch"),
        cancel=_method(client, "cancel"),
        find=_method(client, "find"),
        estimate=_method(client, "estimate"),
        check=_method(client, "check"),
        asyncio_only=getattr(client, "asyncio_only", False) is True,
        closers=closers,
    )


def _secrets_of(client: object) -> Iterator[str]:
    """What must never be shown: the client's own keys, and the headers of its HTTP client."""
    fields: Mapping[str, Any] = getattr(client, "__dict__", {})
    yield from secrets_in(fields)
    yield from (v for k, v in fields.items() if k.strip("_") == "key" and isinstance(v, str))
    for value in fields.values():
        headers = getattr(value, "headers", None)
        if isinstance(headers, Mapping):
            yield from secrets_of_headers(headers)


def _method(client: object, name: str) -> Method | None:
    found = getattr(client, name, None)
    return Method(found, _is_async(found)) if callable(found) else None


def _closers(client: object) -> tuple[Method, ...]:
    for name in ("aclose", "close"):
        found = _method(client, name)
        if found is not None:
            return (found,)
    return ()


# -- plain functions -------------------------------------------------------------------------


def _bind_function(function: Callable[..., Any]) -> BoundClient:
    if len(_parameters(function)) < 1:
        raise UsageError("the function must take one argument, the request")
    capabilities = getattr(function, "capabilities", None) or Capabilities(sync_result=True)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    module = getattr(function, "__module__", "") or ""
    is_async = _is_async(function)
    submit = _async_submit(function) if is_async else _submit(function)
    return BoundClient(
        ref=f"{module}.{name}",
        capabilities=capabilities,
        submit=Method(submit, is_async),
        is_function=True,
    )


def _submit(function: Callable[[Request], Any]) -> Callable[[Job], Any]:
    def submit(job: Job) -> Accepted | Finished:
        return as_finished(function(job.request))

    return submit


def _async_submit(function: Callable[[Request], Any]) -> Callable[[Job], Any]:
    async def submit(job: Job) -> Accepted | Finished:
        return as_finished(await function(job.request))

    return submit


def as_finished(value: object) -> Finished:
    """What a plain function returned, as a result.

    ``str`` is a text, ``bytes`` and ``Path`` are files, ``Transcript`` and ``Output`` are
    themselves; everything else is kept as a JSON value. What is none of these was paid for all the
    same: it is kept as its ``repr``, with a warning.
    """
    if isinstance(value, Finished):
        return value
    if isinstance(value, str):
        return Finished(text=value)
    if isinstance(value, Transcript):
        return Finished(transcript=value, outputs=(Output(transcript=value),))
    if isinstance(value, Output):
        return Finished(outputs=(value,))
    if isinstance(value, bytes):
        return Finished(outputs=(Output(data=value),))
    if isinstance(value, Path):
        return Finished(outputs=(Output(path=str(value)),))
    if value is None or isinstance(value, (bool, int, float, list, tuple, Mapping)):
        return Finished(value=value)
    log.warning(
        "the function returned %s, which is kept as text: return text, bytes, a Path, "
        "a Transcript, an Output or JSON values",
        type(value).__name__,
    )
    return Finished(text=repr(value))
