"""Options: what is taken, what is refused and how, what is remembered."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from batchkit import BatchConfig, PollPolicy, RateLimit, RetryPolicy, UsageError
from batchkit._config import Batch, Control, seconds


def test_times() -> None:
    config = BatchConfig(delay=timedelta(minutes=1), job_timeout=5, request_timeout=0.5)
    assert (config.delay, config.job_timeout, config.request_timeout) == (60.0, 5.0, 0.5)
    assert seconds(timedelta(days=1)) == 86400.0


def test_values_are_brought_into_form() -> None:
    options: dict[str, Any] = {"output": Path("out"), "formats": ["txt"]}
    config = BatchConfig(rate_limit="30/min", **options)
    assert config.rate_limit == RateLimit(30, 60)
    assert (config.formats, config.auto_download) == (("txt",), True)
    assert not BatchConfig().auto_download


def test_the_folder_stays_the_same_wherever_the_batch_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert BatchConfig(output="out").output == str(tmp_path / "out")
    assert BatchConfig(output="~/out").output == "/home/me/out"
    assert BatchConfig(output="/out").output == "/out"
    with pytest.raises(UsageError, match="'~nobody-here/out' cannot be found"):
        BatchConfig(output="~nobody-here/out")


WRONG: list[tuple[str, Any]] = [
    ("max_concurrent", 0),
    ("max_concurrent", True),
    ("max_concurrent", "3"),
    ("max_concurrent", float("inf")),
    ("max_concurrent", float("nan")),
    ("max_retries", -1),
    ("max_prompt_length", 0),
    ("delay", -0.1),
    ("request_timeout", 0),
    ("job_timeout", 0),
    ("collect_timeout", 0),
    ("max_download_bytes", 0),
    ("job_timeout", float("inf")),
    ("on_uncertain", "repeat"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_values_that_do_not_fit(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=rf"{name} is .*: (give a number|choose one of)"):
        BatchConfig(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("delay", "soon"), ("job_timeout", None), ("rate_limit", 30), ("rate_limit", "often")],
)
def test_values_of_another_type_name_a_remedy(name: str, value: Any) -> None:
    with pytest.raises(UsageError):
        BatchConfig(**{name: value})


def test_one_format_is_not_taken_letter_by_letter() -> None:
    options: dict[str, Any] = {"formats": "srt"}
    try:
        config = BatchConfig(**options)
    except UsageError:
        return
    assert config.formats == ("srt",)


def test_replace() -> None:
    config = BatchConfig().replace(delay=2, output="/x")
    assert (config.delay, config.output) == (2.0, "/x")
    with pytest.raises(UsageError, match=r"unknown option 'dely': choose from .*delay, formats"):
        config.replace(dely=3)
    with pytest.raises(UsageError, match="max_concurrent is 0"):
        config.replace(max_concurrent=0)


def test_retry_policy() -> None:
    assert BatchConfig(max_retries=7).retry_policy == RetryPolicy(max_retries=7)
    policy = RetryPolicy(max_retries=1)
    assert BatchConfig(max_retries=7, retry=policy).retry_policy is policy


def test_every_option_is_documented() -> None:
    told = BatchConfig.__doc__ or ""
    assert all(f"    {field.name}: " in told for field in attrs.fields(BatchConfig))


def test_defaults() -> None:
    config = BatchConfig()
    assert (config.max_concurrent, config.language, config.on_uncertain) == (3, "pt", "hold")
    assert config.poll == PollPolicy()


def test_a_new_batch() -> None:
    batch = Batch(id=1, uid="u", name="b")
    assert (batch.control, batch.control_reason, batch.started) == (Control.RUNNING, "", None)
    assert {control.value for control in Control} == {"running", "paused", "draining", "aborting"}
