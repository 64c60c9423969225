"""What a batch is told once and remembers: its configuration and its record."""

from __future__ import annotations

import enum
import math
import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import attrs

from batchkit._errors import UsageError
from batchkit._limits import RateLimit
from batchkit._polling import PollPolicy
from batchkit._retry import RetryPolicy

OnUncertain = Literal["hold", "resubmit", "fail"]
Durability = Literal["off", "normal", "full"]

DAY = 86400.0


def _rate(value: str | RateLimit) -> RateLimit:
    return RateLimit.parse(value)


def seconds(value: float | timedelta) -> float:
    """A time span as seconds.

    Raises:
        UsageError: it is neither a number nor a time span.
    """
    if isinstance(value, timedelta):
        return value.total_seconds()
    try:
        return float(value)
    except (TypeError, ValueError) as exc:
        raise UsageError(f"{value!r} is no time: give seconds, or a timedelta") from exc


def _formats(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _absolute(folder: str | os.PathLike[str]) -> str:
    # A batch that is resumed from another folder delivers to the same place.
    try:
        return str(Path(folder).expanduser().absolute())
    except RuntimeError as exc:
        raise UsageError(f"the folder {str(folder)!r} cannot be found: {exc}") from exc


def _at_least(low: float) -> Any:
    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not low <= value < math.inf:
            raise UsageError(
                f"{attribute.name} is {value!r}: give a number that is {low:g} or more"
            )

    return check


def _one_of(*choices: str) -> Any:
    def check(_: object, attribute: attrs.Attribute[str], value: str) -> None:
        if value not in choices:
            raise UsageError(f"{attribute.name} is {value!r}: choose one of {', '.join(choices)}")

    return check


@attrs.frozen(kw_only=True)
class BatchConfig:
    """How a batch is run. Times are seconds, or :class:`~datetime.timedelta`.

    Attributes:
        max_concurrent: jobs in flight at once; can change while the batch runs.
        language: of prompts that do not say theirs.
        delay: seconds between submissions; clients whose work is free ignore it.
        rate_limit: as ``"30/min"``.
        request_timeout: seconds for one call to a provider that has a job to poll afterwards.
        job_timeout: seconds after which a job that does not end is given up.
        max_retries: new attempts after failures that allow one.
        retry: the whole policy, when ``max_retries`` is not enough.
        poll: waits between status queries.
        output: folder for results, kept as an absolute path; ``None`` downloads nothing.
        template: names inside that folder; see :mod:`batchkit.artifacts`.
        formats: how transcripts are written: any of txt, srt, vtt, json.
        collect_timeout: seconds for one try to bring one output to disk. The next try goes on where
            it broke off, where the server can do that.
        max_download_bytes: larger results are refused.
        allow_private_downloads: download from loopback and private addresses too, which a provider
            on the internet has no reason to name.
        stop_on_error: end the run at the first failed job.
        on_uncertain: what becomes of a submission that nobody can vouch for.
        max_double_cost: most that repeats of uncertain submissions may cost in all, in the
            provider's currency; it needs a client with ``estimate``. ``None`` sets no limit.
        max_prompt_length: characters; longer prompts are refused.
        client_name: ``"fal"`` or ``"module:factory"``, where it was given so; the runner writes it;
            the command line makes the client of a stored batch from it.
        local: the client works on this machine; the runner writes it, for screens.
    """

    max_concurrent: int = attrs.field(default=3, validator=_at_least(1))
    language: str = "pt"
    delay: float = attrs.field(default=0.5, converter=seconds, validator=_at_least(0))
    rate_limit: RateLimit | None = attrs.field(
        default=None, converter=attrs.converters.optional(_rate)
    )
    request_timeout: float = attrs.field(
        default=300.0, converter=seconds, validator=_at_least(0.001)
    )
    job_timeout: float = attrs.field(default=DAY, converter=seconds, validator=_at_least(0.001))
    max_retries: int = attrs.field(default=2, validator=_at_least(0))
    retry: RetryPolicy | None = None
    poll: PollPolicy = attrs.field(factory=PollPolicy)
    output: str | None = attrs.field(default=None, converter=attrs.converters.optional(_absolute))
    template: str = "{index:04d}-{slug}.{ext}"
    formats: tuple[str, ...] = attrs.field(
        default=("txt", "srt", "vtt", "json"), converter=_formats
    )
    collect_timeout: float = attrs.field(
        default=3600.0, converter=seconds, validator=_at_least(0.001)
    )
    max_download_bytes: int = attrs.field(default=20_000_000_000, validator=_at_least(1))
    allow_private_downloads: bool = False
    stop_on_error: bool = False
    on_uncertain: OnUncertain = attrs.field(
        default="hold", validator=_one_of("hold", "resubmit", "fail")
    )
    max_double_cost: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(_at_least(0))
    )
    max_prompt_length: int = attrs.field(default=20_000, validator=_at_least(1))
    client_name: str | None = None
    local: bool = False

    @property
    def auto_download(self) -> bool:
        """Whether results are written to a folder."""
        return self.output is not None

    @property
    def retry_policy(self) -> RetryPolicy:
        """The policy in force."""
        return self.retry or RetryPolicy(max_retries=self.max_retries)

    def replace(self, **changes: Any) -> BatchConfig:
        """A copy with other values.

        Raises:
            UsageError: an option has another name, or a value does not fit.
        """
        known = {field.name for field in attrs.fields(BatchConfig)}
        if unknown := sorted(set(changes) - known):
            raise UsageError(
                f"unknown option {unknown[0]!r}: choose from {', '.join(sorted(known))}"
            )
        return attrs.evolve(self, **changes)


class Control(enum.StrEnum):
    """What a person, in whichever process, wants of a batch."""

    RUNNING = "running"
    PAUSED = "paused"
    #: Let what is in flight end, submit nothing, leave.
    DRAINING = "draining"
    #: Leave as soon as the submissions in flight have been saved.
    ABORTING = "aborting"


@attrs.frozen(kw_only=True)
class Batch:
    """The record of a batch.

    Attributes:
        id: unique in its storage.
        uid: unique everywhere; part of every submit key.
        name: what people call it.
        client_ref: which client, account and model its handles belong to.
        config: the stored part of its configuration, as JSON values.
        control: what people want of it.
        control_reason: why, when batchkit itself paused it.
        max_concurrent: the limit now in force.
        created, started: UTC seconds.
    """

    id: int
    uid: str
    name: str
    client_ref: str = ""
    config: str = "{}"
    control: Control = Control.RUNNING
    control_reason: str = ""
    max_concurrent: int = 3
    created: float = 0.0
    started: float | None = None
