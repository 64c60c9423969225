"""Requests as canonical JSON: the same item has the same identity, whoever wrote it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis import given

from batchkit import (
    GenerateVideo,
    OpaqueRequest,
    Request,
    TranscribeVideo,
    UsageError,
    register_request,
)
from batchkit._requests import _KINDS, dump_request, identity_of, load_request

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
PARAMS = st.dictionaries(st.text(), PLAIN, max_size=3)
TEXTS = st.none() | st.text()
VIDEOS = st.builds(
    GenerateVideo,
    prompt=st.text(),
    language=st.text(),
    model=TEXTS,
    duration=st.none() | st.floats(0, 1e4),
    aspect_ratio=TEXTS,
    seed=st.none() | st.integers(),
    image=TEXTS,
    params=PARAMS,
)
SPEECH = st.builds(
    TranscribeVideo, source=st.text(), language=st.text(), model=TEXTS, params=PARAMS
)
OPAQUE = st.builds(OpaqueRequest, stored_kind=st.just("of-a-plugin"), data=PARAMS)


@attrs.frozen(kw_only=True)
class Upscale(Request):
    kind: ClassVar[str] = "test-upscale"

    source: str
    factor: int = 2


@pytest.fixture
def upscale() -> Iterator[None]:
    """Known for one test only: other tests list the kinds that there are."""
    register_request(Upscale)
    yield
    del _KINDS[Upscale.kind]


@given(VIDEOS | SPEECH | OPAQUE)
def test_round_trip(request: Request) -> None:
    stored = dump_request(request)
    assert "\n" not in stored
    assert load_request(stored) == request
    assert dump_request(load_request(stored)) == stored


@given(PARAMS)
def test_the_order_of_params_does_not_matter(params: dict[str, Any]) -> None:
    backwards = dict(reversed(params.items()))
    first, second = (dump_request(GenerateVideo(prompt="x", params=p)) for p in (params, backwards))
    assert identity_of(first) == identity_of(second)


@given(VIDEOS, VIDEOS)
def test_identities(one: GenerateVideo, other: GenerateVideo) -> None:
    ids = [identity_of(dump_request(request)) for request in (one, other)]
    assert len(ids[0]) == 32
    assert (ids[0] == ids[1]) == (dump_request(one) == dump_request(other))


def test_numbers_that_are_equal_are_the_same_item() -> None:
    whole, exact = (GenerateVideo(prompt="x", duration=d) for d in (5, 5.0))
    assert dump_request(whole) == dump_request(exact)


def test_defaults_are_left_out() -> None:
    assert dump_request(GenerateVideo(prompt="é")) == '["generate",{"prompt":"é"}]'


def test_a_kind_that_nobody_registered_is_kept() -> None:
    stored = '["of-a-plugin",{"deep":[1,{"x":null}],"params":{"a":1}}]'
    request = load_request(stored)
    assert isinstance(request, OpaqueRequest)
    assert (request.stored_kind, request.title) == ("of-a-plugin", "of-a-plugin")
    assert dump_request(request) == stored


def test_fields_of_a_newer_version_do_not_stop_an_older_one() -> None:
    assert load_request('["generate",{"prompt":"x","fps":60}]') == GenerateVideo(prompt="x")


def test_titles() -> None:
    assert GenerateVideo(prompt="um gato").title == "um gato"
    assert Upscale(source="x").title == "test-upscale"
    sources = ("/a/b/c.mp4", "https://x/b/c.mp4/", r"C:\b\c.mp4", "c.mp4", "https://x/c.mp4?sig=s")
    assert {TranscribeVideo(source=source).title for source in sources} == {"c.mp4"}


@pytest.mark.usefixtures("upscale")
def test_registering() -> None:
    assert register_request(Upscale) is Upscale
    assert load_request(dump_request(Upscale(source="x", factor=4))) == Upscale(
        source="x", factor=4
    )


@pytest.mark.parametrize("taken", ["", "opaque", "generate"])
def test_a_kind_must_be_its_own(taken: str) -> None:
    class Other(Request):
        kind: ClassVar[str] = taken

    with pytest.raises(UsageError, match=f"Other.kind is '{taken}': give it a name of its own"):
        register_request(Other)


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, {("a",): 1}, b"bytes", Path("x"), dt.date(2026, 1, 1), "\ud83d"],
    ids=["object", "set", "key", "bytes", "path", "date", "surrogate"],
)
def test_what_would_not_come_back_the_same_is_refused(value: object) -> None:
    """Params go to the provider verbatim: stored ones may not differ from given ones."""
    request = GenerateVideo(prompt="x", params={"p": value})
    with pytest.raises(UsageError, match="put plain values into params"):
        dump_request(request)


def test_a_dataclass_of_ones_own_is_stored_without_being_registered() -> None:
    @attrs.frozen(kw_only=True)
    class Foreign(Request):
        kind: ClassVar[str] = "test-foreign"

        size: int = 1

    kind, data = json.loads(dump_request(Foreign(size=2)))
    assert (kind, data["size"]) == ("test-foreign", 2)
    assert isinstance(load_request(dump_request(Foreign())), OpaqueRequest)


@pytest.mark.parametrize("value", ["soon", [], object()])
def test_a_duration_is_a_number(value: object) -> None:
    with pytest.raises(UsageError, match="give seconds, as a number"):
        GenerateVideo(prompt="x", duration=value)
