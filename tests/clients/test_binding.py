"""What counts as a client, and what people are told about things that do not."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from batchkit import (
    Accepted,
    BatchRunner,
    Capabilities,
    Finished,
    Handle,
    Job,
    Output,
    RemoteState,
    RemoteStatus,
    Transcript,
    UsageError,
    VideoClient,
)
from batchkit._requests import GenerateVideo, Request
from batchkit.clients.binding import as_finished, bind_client
from batchkit.testing import AsyncFakeClient, FakeClient, FakeProvider

MakeRunner = Callable[..., BatchRunner]


class Whole:
    """A client with every method."""

    capabilities = Capabilities(account="team-7", cancel="running")

    def submit(self, job: Job) -> Accepted:
        return Accepted(handle=Handle(id="h"))

    async def poll(self, handle: Handle) -> RemoteStatus:
        return RemoteStatus(state=RemoteState.SUCCEEDED)

    def prepare(self, job: Job) -> dict[str, object]:
        return {}

    def fetch(self, job: Job, output: Output) -> bytes:
        return b""

    def cancel(self, handle: Handle) -> bool:
        return True

    def find(self, job: Job, submit_key: str) -> Handle | None:
        return None

    def check(self, request: Request) -> None:
        return None


class SubmitOnly:
    def submit(self, job: Job) -> Finished:
        return Finished()


def a_job() -> Job:
    return Job(id=1, batch_id=1, index=0, identity="x", request=GenerateVideo(prompt="a cat"))


# -- objects ---------------------------------------------------------------------------------------


def test_every_method_is_found_with_its_kind() -> None:
    bound = bind_client(Whole())

    methods = (bound.submit, bound.prepare, bound.fetch, bound.cancel, bound.find, bound.check)
    assert all(method is not None and not method.is_async for method in methods)
    assert bound.poll is not None
    assert bound.poll.is_async
    assert not bound.is_async, "submit decides where the work runs"
    assert not bound.is_function
    assert bound.closers == ()


def test_the_reference_names_the_class_and_the_account() -> None:
    assert bind_client(Whole()).ref == f"{__name__}.Whole@team-7"
    assert bind_client(FakeClient(FakeProvider())).ref.endswith(".FakeClient")


def test_an_async_client_is_known_as_one() -> None:
    assert bind_client(AsyncFakeClient(FakeProvider())).is_async


def test_a_callable_object_may_be_a_method() -> None:
    class Submits:
        async def __call__(self, job: Job) -> Finished:
            return Finished()

    class Client(Whole):
        submit = Submits()  # type: ignore[assignment]

    assert bind_client(Client()).is_async


def test_free_work_is_told_by_its_capabilities() -> None:
    class Free(Whole):
        capabilities = Capabilities(repeat="free")

    assert bind_client(Free()).free
    assert not bind_client(Whole()).free


def test_an_attribute_that_cannot_be_called_is_no_method() -> None:
    class Client(Whole):
        find = None  # type: ignore[assignment]

    assert bind_client(Client()).find is None


def test_the_protocol_recognises_clients() -> None:
    assert isinstance(Whole(), VideoClient)
    assert not isinstance(object(), VideoClient)


@pytest.mark.parametrize(
    ("client", "message"),
    [
        (object(), r"object is not a client: it has no submit\(job\) method"),
        (12, "int is not a client"),
        (SubmitOnly(), r"has no poll\(handle\) method.*sync_result=True"),
        (
            types.SimpleNamespace(
                submit=print, poll=print, capabilities=Capabilities(auth_on_download=True)
            ),
            r"declares auth_on_download and has no fetch.*batchkit\.Download",
        ),
        (
            types.SimpleNamespace(submit=print, poll=print, capabilities={"paid": True}),
            "capabilities must be a batchkit.Capabilities",
        ),
        ("package.module", 'write it as "package.module:factory"'),
        ("package.module:", 'write it as "package.module:factory"'),
        ("no.such.module:factory", "cannot be imported"),
        ("batchkit:no_such_name", "cannot be imported"),
        (lambda: None, "NoneType is not a client"),
    ],
)
def test_what_is_no_client_is_refused_with_a_remedy(client: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        bind_client(client)


@pytest.mark.parametrize("path", [":factory", ".relative:factory"])
def test_a_path_without_a_package_is_refused_too(path: str) -> None:
    with pytest.raises(UsageError):
        bind_client(path)


def test_a_class_that_needs_arguments_is_refused_with_a_remedy() -> None:
    with pytest.raises(UsageError, match="FakeClient"):
        bind_client(FakeClient)


# -- factories -------------------------------------------------------------------------------------


class Closes(Whole):
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


class ClosesAsync(Closes):
    async def aclose(self) -> None:
        self.closed = True


def test_a_class_and_a_function_without_parameters_make_clients() -> None:
    for factory in (Closes, lambda: Closes()):
        bound = bind_client(factory)
        assert bound.ref.endswith("Closes@team-7")
        (closer,) = bound.closers
        assert not closer.is_async


def test_an_async_farewell_comes_first() -> None:
    (closer,) = bind_client(ClosesAsync).closers
    assert closer.is_async


def test_a_client_that_is_given_is_its_owners_to_close() -> None:
    assert bind_client(Closes()).closers == ()


def test_a_client_without_a_farewell_needs_none() -> None:
    assert bind_client(Whole).closers == ()


def test_a_name_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("my_clients")
    module.__dict__.update(factory=lambda: Closes(), one=Whole(), work=str.upper)
    monkeypatch.setitem(sys.modules, "my_clients", module)

    assert bind_client("my_clients:factory").closers
    assert not bind_client("my_clients:one").closers
    assert bind_client("my_clients:work").is_function


def test_a_partial_that_makes_a_client_is_a_factory() -> None:
    bound = bind_client(partial(FakeClient, FakeProvider()))

    assert not bound.is_function


# -- plain functions -------------------------------------------------------------------------------


def test_a_function_works_for_its_request() -> None:
    bound = bind_client(lambda request: request.prompt.upper())

    assert bound.is_function
    assert bound.capabilities == Capabilities(sync_result=True)
    assert bound.submit.fn(a_job()) == Finished(text="A CAT")


async def work_async(request: GenerateVideo) -> str:
    return request.prompt


def test_an_async_function_is_awaited(executor: str, make_runner: MakeRunner) -> None:
    bound = bind_client(work_async)
    assert bound.is_async
    assert bound.ref == f"{__name__}.work_async"
    runner = make_runner(work_async, executor=executor)
    job = runner.add("a cat")

    assert runner.run().ok
    result = runner.job(job).result
    assert result is not None
    assert result.text == "a cat"


def test_a_callable_object_is_a_function(make_runner: MakeRunner) -> None:
    class Work:
        capabilities = Capabilities(repeat="free", sync_result=True)

        def __call__(self, request: GenerateVideo) -> str:
            return request.prompt

    bound = bind_client(Work())

    assert bound.is_function
    assert bound.free
    assert bound.ref.endswith("Work")


def test_builtins_and_partials_are_functions_of_a_request() -> None:
    assert bind_client(print).is_function
    assert bind_client(repr).submit.fn(a_job()).text.startswith("GenerateVideo")
    # A builtin without a signature is taken for a function of one argument.
    assert bind_client(min).is_function
    assert bind_client(partial(_two, "x")).is_function


def _two(first: str, request: object) -> str:
    return first


def test_a_callable_that_takes_nothing_is_refused() -> None:
    class Nothing:
        def __call__(self) -> None:
            return None

    with pytest.raises(UsageError, match="must take one argument, the request"):
        bind_client(Nothing())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Finished(text="x", cost=2.0), Finished(text="x", cost=2.0)),
        ("text", Finished(text="text")),
        (b"bytes", Finished(outputs=(Output(data=b"bytes"),))),
        (Path("made.mp4"), Finished(outputs=(Output(path="made.mp4"),))),
        (Output(ref="r"), Finished(outputs=(Output(ref="r"),))),
        (
            Transcript(text="hi"),
            Finished(
                transcript=Transcript(text="hi"),
                outputs=(Output(transcript=Transcript(text="hi")),),
            ),
        ),
        (None, Finished()),
        (True, Finished(value=True)),
        (3, Finished(value=3)),
        (2.5, Finished(value=2.5)),
        ([1], Finished(value=[1])),
        ((1, 2), Finished(value=(1, 2))),
        ({"a": 1}, Finished(value={"a": 1})),
    ],
)
def test_what_a_function_returns_is_a_result(value: object, expected: Finished) -> None:
    assert as_finished(value) == expected


def test_what_cannot_be_stored_was_paid_for_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert as_finished({1}) == Finished(text="{1}")
    assert "the function returned set, which is kept as text" in caplog.text


def test_an_async_check_is_not_passed_over(make_runner: MakeRunner) -> None:
    class Picky(AsyncFakeClient):
        async def check(self, request: Any) -> None:
            raise UsageError("this model needs a seed")

    runner = make_runner(Picky(FakeProvider()))

    with pytest.raises(UsageError, match="needs a seed"):
        runner.add("a")
