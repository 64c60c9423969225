"""What a job produces: outputs as the client hands them over, artifacts as they lie on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs


class _Empty(Mapping[str, Any]):
    """A mapping without items, which cannot get any."""

    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"

    def __reduce__(self) -> str:
        return "EMPTY"


#: The default of mappings: one read-only object for all, because every job would make several.
EMPTY: Mapping[str, Any] = _Empty()


@attrs.frozen(kw_only=True)
class Word:
    """One spoken word. Times are seconds from the start of the recording."""

    start: float
    end: float
    text: str
    probability: float | None = None


@attrs.frozen(kw_only=True)
class Segment:
    """A stretch of speech, as one subtitle shows it. Times are seconds from the start."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()


@attrs.frozen(kw_only=True)
class Transcript:
    """What was said.

    Attributes:
        text: all of it, as one string.
        language: spoken language, as the model found it.
        duration: of the recording, in seconds.
        segments: with times; empty when the provider gives none.
    """

    text: str
    language: str | None = None
    duration: float | None = None
    segments: tuple[Segment, ...] = ()


@attrs.frozen(kw_only=True)
class Output:
    """One thing that a client produced and that may still have to be collected.

    Exactly one of ``url``, ``data``, ``path``, ``ref`` or ``transcript`` says where it is; none of
    them means that there is nothing to write to disk.

    Attributes:
        url: where to download it; a signed URL is a secret.
        data: the bytes themselves, for what is small.
        path: a file that the client wrote; it is moved, not copied.
        ref: whatever the client's own ``fetch`` needs.
        transcript: speech as text.
        media_type: as ``"video/mp4"``; decides the file extension.
        size: bytes, when the provider says so; checked after collection.
        sha256, md5: hex digests, when the provider says so; checked after collection.
        expires: UTC seconds at which the provider deletes it, or its URL stops working. What
            expires first is collected first.
        role: tells several outputs of one job apart, as ``"thumbnail"``.
    """

    url: str | None = attrs.field(default=None, repr=False)
    data: bytes | None = attrs.field(default=None, repr=False)
    path: str | None = None
    ref: str | None = attrs.field(default=None, repr=False)
    transcript: Transcript | None = attrs.field(default=None, repr=False)
    media_type: str | None = None
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    expires: float | None = None
    role: str = ""


@attrs.frozen
class Download:
    """Where a result is, for a client's ``fetch`` to return when its server wants to see headers.

    batchkit downloads it as it downloads :attr:`Output.url`: it goes on where an earlier try broke
    off, also in a later run. Bytes that ``fetch`` brings itself start anew each time.

    Attributes:
        url: http or https; a signed URL is a secret.
        headers: such as ``Authorization``. They go to the server of *url* alone, never to another
            one that it redirects to.
    """

    url: str = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(default=EMPTY, repr=False, hash=False)


@attrs.frozen(kw_only=True)
class Artifact:
    """A file that was collected and verified.

    Attributes:
        path: where it lies.
        size: bytes.
        sha256: hex digest of its content.
        media_type: as ``"video/mp4"``.
        role: as in :class:`Output`.
    """

    path: Path
    size: int
    sha256: str
    media_type: str | None = None
    role: str = ""


@attrs.frozen(kw_only=True)
class JobResult:
    """The result of a job.

    Attributes:
        outputs: what is still to be collected; empty once that is done, unless no folder was
            asked for.
        artifacts: the files, in the order in which the client named them.
        text: what was said, for transcriptions; what a function returned, if a string.
        transcript: speech with times.
        value: what a plain function returned, when it is JSON.
        raw: small facts of the provider worth keeping (request ids, model version).
        collected: how many of the outputs are on disk already, from the first.
    """

    outputs: tuple[Output, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    text: str | None = None
    transcript: Transcript | None = attrs.field(default=None, repr=False)
    value: Any = attrs.field(default=None, hash=False)
    raw: Mapping[str, Any] = attrs.field(default=EMPTY, repr=False, hash=False)
    collected: int = 0

    @property
    def expires(self) -> float | None:
        """UTC seconds at which the first of what is still to be collected is deleted."""
        left = self.outputs[self.collected :]
        return min((out.expires for out in left if out.expires is not None), default=None)

    @property
    def url(self) -> str | None:
        """Where the first output can be downloaded, when no folder was asked for."""
        return self.outputs[0].url if self.outputs else None

    @property
    def path(self) -> Path | None:
        """The first file, or ``None`` when nothing was written to disk."""
        return self.artifacts[0].path if self.artifacts else None
