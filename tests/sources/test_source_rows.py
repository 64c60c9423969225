from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import attrs
import pytest

from batchkit import _requests
from batchkit._errors import UsageError
from batchkit._requests import GenerateVideo, Request, TranscribeVideo, register_request
from batchkit.sources import (
    records,
    to_request,
)

NAN = math.nan


@pytest.fixture
def invented() -> Iterator[None]:
    """Kinds of request that a host program added."""
    known = dict(_requests._KINDS)
    register_request(Upscale)
    register_request(Anything)
    yield
    _requests._KINDS.clear()
    _requests._KINDS.update(known)


@attrs.frozen(kw_only=True)
class Upscale(Request):
    kind: ClassVar[str] = "upscale"

    source: str
    factor: int = 2
    box: tuple[int, int] | None = None
    key: str = ""


@attrs.frozen(kw_only=True)
class Anything(Request):
    kind: ClassVar[str] = "anything"


# -- rows


def made(row: Any, **options: Any) -> Any:
    return to_request(row, **{"language": "en", **options})


def test_a_text_is_the_main_field() -> None:
    assert made("A cat") == (GenerateVideo(prompt="A cat", language="en"), {}, None, 0)
    assert made("a.mp4", kind="transcribe") == (TranscribeVideo(source="a.mp4"), {}, None, 0)


def test_a_request_is_taken_as_it_is() -> None:
    request = GenerateVideo(prompt="A cat")
    assert made(request) == (request, {}, None, 0)


def test_a_mapping_tells_everything() -> None:
    row = {
        "prompt": "A cat",
        "language": "de",
        "model": None,
        "duration": "4.5",
        "seed": 3.0,
        "params": {"a": 1},
        "key": "k",
        "priority": "2",
        "metadata": {"t": "own"},
        "t": "column",
        "x": 1,
    }
    request, metadata, key, priority = made(row)
    assert request == GenerateVideo(
        prompt="A cat", language="de", duration=4.5, seed=3, params={"a": 1}
    )
    assert (metadata, key, priority) == ({"t": "own", "x": 1}, "k", 2)


def test_a_mapping_may_name_its_kind() -> None:
    row = {"kind": "transcribe", "source": "a.mp4", "prompt": "x"}
    assert made(row) == (TranscribeVideo(source="a.mp4"), {"prompt": "x"}, None, 0)


def test_an_empty_prompt_is_left_to_the_caller() -> None:
    assert made(" ")[0].prompt == " "
    with pytest.raises(UsageError, match=r"^source is empty"):
        made(" ", kind="transcribe")


@pytest.mark.usefixtures("invented")
def test_kinds_of_the_host_have_their_own_fields() -> None:
    row = {"kind": "upscale", "source": "a", "factor": "4", "box": (1, 2), "key": "own"}
    request, metadata, key, _ = made(row)
    assert request == Upscale(source="a", factor=4, box=(1, 2), key="own")
    assert metadata == {}
    assert key == "own"
    assert made({"kind": "anything"})[0] == Anything()
    with pytest.raises(UsageError, match="anything request has no main field"):
        made("x", kind="anything")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "prompt is missing: a generate request needs it"),
        ({"prompt": None}, "prompt is missing"),
        ({"prompt": 5}, "prompt is 5: give a text"),
        ({"prompt": "x", "duration": "4,5"}, "duration is '4,5': give a number, with a point"),
        ({"prompt": "x", "duration": "inf"}, "give a number"),
        ({"prompt": "x", "duration": True}, "give a number"),
        ({"prompt": "x", "duration": []}, "give a number"),
        ({"prompt": "x", "duration": 10**400}, "give a number"),
        ({"prompt": "x", "seed": 1.5}, "seed is 1.5: give a whole number"),
        ({"prompt": "x", "seed": True}, "whole number"),
        ({"prompt": "x", "seed": "x"}, "whole number"),
        ({"prompt": "x", "seed": []}, "whole number"),
        ({"prompt": "x", "priority": math.inf}, "priority is inf"),
        ({"prompt": "x", "params": "{"}, "params is not JSON"),
        ({"prompt": "x", "params": "[1]"}, "params is .*: give a mapping"),
        ({"prompt": "x", "metadata": 5}, "metadata is 5"),
        ({"prompt": "x", "key": 5}, "key is 5: give a text"),
        ({"kind": "paint"}, "'paint' is no kind of request: choose from generate, transcribe"),
        (5, "a row is int"),
    ],
)
def test_rows_that_cannot_work_are_refused(row: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        made(row)


class NotAvailable:
    """As pandas.NA."""

    def __ne__(self, _: object) -> Any:
        return self

    __hash__ = None  # type: ignore[assignment]  # as in pandas

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


class Array(NotAvailable):
    """As an array of numpy."""

    def __bool__(self) -> bool:
        raise ValueError("truth value of an array is ambiguous")


class Frame:
    columns = ("prompt",)

    def __init__(self, *rows: Mapping[Any, Any]) -> None:
        self.rows = rows

    def to_dict(self, orient: str) -> list[Mapping[Any, Any]]:
        assert orient == "records"
        return list(self.rows)


def test_rows_of_a_data_frame_lose_their_empty_cells() -> None:
    array = Array()
    frame = Frame(
        {"prompt": "A", "seed": 3.0, 5: array}, {"a": NAN, "b": None, "c": NotAvailable()}
    )
    assert list(records(frame)) == [{"prompt": "A", "seed": 3.0, "5": array}, {}]
    with pytest.raises(UsageError, match="list is no DataFrame"):
        records([])
