"""Records to JSON and back."""

from __future__ import annotations

import json
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from batchkit import (
    Artifact,
    BatchConfig,
    ErrorKind,
    Handle,
    JobError,
    JobResult,
    Output,
    PollPolicy,
    RateLimit,
    RetryPolicy,
    Segment,
    Transcript,
    Word,
)
from batchkit._codec import (
    dump_config,
    dump_result,
    dumps,
    load_config,
    load_error,
    load_handle,
    load_result,
    plain_error,
    plain_handle,
)

TEXT = st.text()
MAYBE = st.none() | TEXT
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT | NUMBER,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
FACTS = st.dictionaries(TEXT, PLAIN, max_size=3)
WORDS = st.builds(Word, start=NUMBER, end=NUMBER, text=TEXT, probability=st.none() | NUMBER)
SEGMENTS = st.builds(
    Segment, start=NUMBER, end=NUMBER, text=TEXT, words=st.lists(WORDS, max_size=2).map(tuple)
)
TRANSCRIPTS = st.builds(
    Transcript,
    text=TEXT,
    language=MAYBE,
    duration=st.none() | NUMBER,
    segments=st.lists(SEGMENTS, max_size=2).map(tuple),
)
OUTPUTS = st.builds(
    Output,
    url=MAYBE,
    data=st.none() | st.binary(),
    path=MAYBE,
    ref=MAYBE,
    transcript=st.none() | TRANSCRIPTS,
    media_type=MAYBE,
    size=st.none() | st.integers(0),
    sha256=MAYBE,
    expires=st.none() | NUMBER,
    role=TEXT,
)
ARTIFACTS = st.builds(
    Artifact,
    path=st.text("abc/é. ", min_size=1).map(Path),
    size=st.integers(0),
    sha256=TEXT,
    media_type=MAYBE,
    role=TEXT,
)
RESULTS = st.builds(
    JobResult,
    outputs=st.lists(OUTPUTS, max_size=2).map(tuple),
    artifacts=st.lists(ARTIFACTS, max_size=2).map(tuple),
    text=MAYBE,
    transcript=st.none() | TRANSCRIPTS,
    value=PLAIN,
    raw=FACTS,
)


@given(RESULTS)
def test_results(result: JobResult) -> None:
    stored = dump_result(result)
    assert "\n" not in stored
    assert load_result(stored) == result


@given(st.builds(Handle, id=TEXT, data=FACTS))
def test_handles(handle: Handle) -> None:
    assert load_handle(json.loads(dumps(plain_handle(handle)))) == handle


@given(
    st.builds(
        JobError,
        kind=st.sampled_from(ErrorKind),
        message=TEXT,
        code=MAYBE,
        remedy=MAYBE,
        retryable=st.booleans(),
    )
)
def test_errors(error: JobError) -> None:
    assert load_error(json.loads(dumps(plain_error(error)))) == error


def test_where_a_result_is() -> None:
    assert (JobResult().path, JobResult().url) == (None, None)
    file = Artifact(path=Path("a.mp4"), size=1, sha256="")
    found = JobResult(artifacts=(file,), outputs=(Output(url="https://x"),))
    assert (found.path, found.url) == (Path("a.mp4"), "https://x")


def test_what_is_empty_takes_no_room() -> None:
    assert dump_result(JobResult()) == "{}"
    assert plain_handle(Handle(id="h")) == {"id": "h"}


class Foreign:
    def __repr__(self) -> str:
        return "<foreign>"


def test_what_is_not_json_is_kept_as_text() -> None:
    assert json.loads(dumps({"x": [Foreign()]})) == {"x": ["<foreign>"]}
    assert load_result(dump_result(JobResult(value=Foreign()))).value == "<foreign>"


@pytest.mark.parametrize("value", [{("a", 1): 2}, {Foreign(): 1}, [{b"k": 1}]], ids=repr)
def test_names_that_are_not_json_do_not_lose_what_was_paid(value: object) -> None:
    assert json.loads(dumps(value))


def test_half_a_sign_can_be_written_to_a_file() -> None:
    stored = dump_result(JobResult(text="cut \ud83d"))
    assert stored.encode()
    assert load_result(stored).text == "cut \ud83d"


CONFIGS = st.builds(
    BatchConfig,
    max_concurrent=st.integers(1, 99),
    language=TEXT,
    delay=st.floats(0, 1e6),
    rate_limit=st.none() | st.sampled_from(["30/min", "2/s", "5/10s", "1000/30d", "1/0.5h"]),
    request_timeout=st.floats(0.001, 1e6),
    max_retries=st.integers(0, 9),
    poll=st.builds(PollPolicy, first=st.floats(0, 9), factor=st.floats(1, 3)),
    # "~x" is the home of somebody who is not here.
    output=MAYBE.filter(lambda text: text is None or not text.startswith("~")),
    template=TEXT,
    formats=st.lists(st.sampled_from(["txt", "srt"])).map(tuple),
    stop_on_error=st.booleans(),
    on_uncertain=st.sampled_from(["hold", "resubmit", "fail"]),
)


@given(CONFIGS)
def test_configs(config: BatchConfig) -> None:
    assert load_config(dump_config(config)) == config


def test_a_policy_is_code_and_is_not_stored() -> None:
    config = BatchConfig(max_retries=5, retry=RetryPolicy(max_retries=9))
    assert load_config(dump_config(config)) == BatchConfig(max_retries=5)


def test_options_of_other_versions_are_left_out() -> None:
    stored = '{"delay":2.0,"of_tomorrow":1,"rate_limit":"2/s"}'
    assert load_config(stored) == BatchConfig(delay=2.0, rate_limit=RateLimit(2, 1))
    assert load_config("{}") == BatchConfig()
    assert load_config('{"retry":{"max_retries":9}}').retry == RetryPolicy()
