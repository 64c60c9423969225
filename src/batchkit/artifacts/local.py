"""Results in a folder on this machine."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import attrs

from batchkit._errors import ClientError, StorageFullError, TemplateError, UsageError
from batchkit._jobs import Job
from batchkit._requests import GenerateVideo, TranscribeVideo
from batchkit._results import Artifact, Download, JobResult, Output, Transcript
from batchkit.artifacts import _files as files
from batchkit.artifacts import _names as names
from batchkit.artifacts._delivery import Delivery
from batchkit.artifacts._manifest import Manifest
from batchkit.artifacts._part import Part
from batchkit.artifacts._template import DEFAULT_TEMPLATE, Template, ext_for
from batchkit.artifacts.base import Fetched
from batchkit.artifacts.download import Expected, Limits

log = logging.getLogger("batchkit.artifacts")

_FORMAT_TYPES = {
    "txt": "text/plain",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "json": "application/json",
}


def _as_formats(given: Iterable[str]) -> tuple[str, ...]:
    formats = tuple(given)
    if unknown := [name for name in formats if name not in _FORMAT_TYPES]:
        raise UsageError(
            f"{unknown[0]!r} is no transcript format: choose from {', '.join(_FORMAT_TYPES)}"
        )
    return formats


def _as_template(given: str | Template) -> Template:
    return given if isinstance(given, Template) else Template(given)


def _as_root(given: str | os.PathLike[str]) -> Path:
    # The program may change its working directory; paths in records must outlast that.
    return Path(given).expanduser().absolute()


@attrs.define(eq=False)
class LocalFolder:
    """Delivers results into a folder, and keeps ``manifest.jsonl`` and ``failed.jsonl`` there.

    A file gets its name only when it is whole, verified and safe against the loss of power. A name
    that is taken by other bytes is left alone: the new file gets a number. All methods may be
    called from several threads.

    Args:
        root: the folder; created when it is missing.
        template: names inside it, see :class:`Template`.
        formats: files that a transcript becomes: any of txt, srt, vtt, json.
        limits: what a result may take, and which addresses a download may reach.
        hook: for tests; called with ``artifact:before-write``, ``artifact:before-rename`` and
            ``artifact:after-rename`` when these points are reached.

    Raises:
        TemplateError: the template cannot work.
        UsageError: a format is unknown.
    """

    root: Path = attrs.field(converter=_as_root)
    template: Template = attrs.field(
        default=Template(DEFAULT_TEMPLATE), converter=_as_template, kw_only=True
    )
    formats: tuple[str, ...] = attrs.field(
        default=tuple(_FORMAT_TYPES), converter=_as_formats, kw_only=True
    )
    limits: Limits = attrs.field(default=Limits(), kw_only=True)
    hook: Callable[[str], object] | None = attrs.field(default=None, kw_only=True)
    _manifest: Manifest = attrs.field(
        default=attrs.Factory(lambda self: Manifest(self.root), takes_self=True), init=False
    )
    # Between seeing that a name is free and taking it.
    _naming: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    # -- before anything is paid ------------------------------------------------------------

    def check(self, jobs: Iterable[Job]) -> None:
        """Creates the folder, and refuses what could not be delivered into it.

        Args:
            jobs: all jobs of the batch; read once, and not kept.

        Raises:
            StorageFullError: the folder cannot be written to, or has too little space.
            TemplateError: two jobs have one name, or metadata that the template needs is missing.
        """
        self._check_place()
        if not self.template.unique:
            self._check_names(jobs)
        elif "meta" in self.template.fields:
            for job in jobs:
                self._probable_name(job)

    def _check_place(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with Part.create(self.root / "check") as probe:
                probe.write(b"x")
            free = files.free_bytes(self.root)
        except OSError as exc:
            raise files.cannot_write(self.root, exc) from exc
        except ClientError as exc:
            raise StorageFullError(str(exc)) from exc
        if free < (least := self.limits.min_free_bytes):
            raise StorageFullError(
                f"{self.root} has {free / 1e6:.0f} MB left and {least / 1e6:.0f} MB are needed to"
                " start: free some space, or choose another folder"
            )
        files.sync_folder(self.root.parent)

    def _check_names(self, jobs: Iterable[Job]) -> None:
        # Hashes, since a batch may have a million names.
        seen: dict[bytes, int] = {}
        for job in jobs:
            name = self._probable_name(job)
            digest = hashlib.blake2b(names.fold(name).encode(), digest_size=12).digest()
            first = seen.setdefault(digest, job.index)
            if first != job.index:
                raise TemplateError(
                    f"items {first + 1} and {job.index + 1} ({job.title[:40]!r}) would both be"
                    f" written to {name}: add {{index}} to the output template {self.template}"
                )

    def _probable_name(self, job: Job) -> str:
        spoken = isinstance(job.request, TranscribeVideo) and self.formats
        ext = self.formats[0] if spoken else _default_ext(job)
        return self.template.render(job, ext=ext, strict=True)

    def existing(self, job: Job) -> JobResult | None:
        """The result that an earlier run left here for the same request, or ``None``.

        It counts only if the manifest says that the job was completed and every file is still
        there, byte for byte. What cannot be read is not there.

        Raises:
            StorageFullError: the folder cannot be used any more.
        """
        try:
            return self._manifest.find(job)
        except OSError as exc:
            # If it is the whole folder, nothing more may be paid for.
            self._check_place()
            log.warning("job %d: what lies in %s cannot be read: %s", job.id, self.root, exc)
            return None

    # -- results ----------------------------------------------------------------------------

    def write(self, job: Job, output: Output, data: Fetched | None) -> tuple[Artifact, ...]:
        """Delivers one output.

        Args:
            job: whose output it is.
            output: what the client named.
            data: what its ``fetch`` brought; a path is moved here, as ``output.path`` is. A URL,
                and a :class:`~batchkit.Download`, goes on where an earlier try broke off.

        Returns:
            the files: one for each format of a transcript; none when there is nothing to write.

        Raises:
            StorageFullError: the disk refuses; nothing partial has a final name.
            NotFoundError, ResultExpiredError: its server says 404, or 410.
            AuthenticationError: its server refuses the credentials of a ``Download``.
            ClientError: it is empty, incomplete, not what the provider declared, or refused.
        """
        if output.transcript is not None:
            return self._write_transcript(job, output, output.transcript)
        source = _source(output, data)
        if source is None:
            return ()
        delivery = self._delivery(job, output, self._ext(job, output), output.media_type)
        if isinstance(source, Path):
            return (delivery.take_over(source),)
        if isinstance(source, Download):
            return (delivery.download(source),)
        return (delivery.save(source),)

    def _write_transcript(
        self, job: Job, output: Output, transcript: Transcript
    ) -> tuple[Artifact, ...]:
        from batchkit.artifacts.transcripts import FORMATS

        def written(name: str) -> Artifact:
            media_type = _FORMAT_TYPES[name]
            delivery = self._delivery(job, output, name, media_type, may_be_empty=True)
            # Half of a surrogate pair must not cost the rest of the text.
            return delivery.save([FORMATS[name](transcript).encode(errors="replace")])

        return tuple(written(name) for name in self.formats)

    def discard(self, job: Job) -> None:
        """Removes what downloads for *job* have left that will not be gone on with."""
        for output in job.result.outputs if job.result is not None else ():
            if output.transcript is None:
                self._delivery(job, output, self._ext(job, output), None).forget()

    def holds(self, artifacts: Iterable[Artifact]) -> bool:
        """Whether all these files still lie where they were written, byte for byte."""
        return all(files.same_bytes(each.path, each.size, each.sha256) for each in artifacts)

    def report(self, jobs: Iterable[Job]) -> None:
        """Rewrites ``manifest.jsonl``, and ``failed.jsonl`` when jobs failed or expired.

        Args:
            jobs: all jobs of the batch; read once, and not kept.

        Raises:
            StorageFullError: the folder cannot be written to; the files are as they were.
        """
        files.make_folder(self.root, self.root)
        self._manifest.report(jobs)

    def _ext(self, job: Job, output: Output) -> str:
        return ext_for(output, _default_ext(job) if not output.role else "bin")

    def _delivery(
        self,
        job: Job,
        output: Output,
        ext: str,
        media_type: str | None,
        *,
        may_be_empty: bool = False,
    ) -> Delivery:
        return Delivery(
            root=self.root,
            template=self.template,
            naming=self._naming,
            reached=self._reached,
            job=job,
            output=output,
            ext=ext,
            media_type=media_type,
            may_be_empty=may_be_empty,
            limits=self.limits,
            # What the provider declares of a transcript is about a file of its own.
            expected=Expected() if may_be_empty else _expected(output),
        )

    def _reached(self, point: str) -> None:
        if self.hook is not None:
            self.hook(f"artifact:{point}")


def _expected(output: Output) -> Expected:
    declared = {"sha256": output.sha256, "md5": output.md5}
    digests = {name: digest for name, digest in declared.items() if digest is not None}
    return Expected(size=output.size, digests=digests)


def _default_ext(job: Job) -> str:
    return "mp4" if isinstance(job.request, GenerateVideo) else "bin"


def _source(output: Output, data: Fetched | None) -> Path | Download | Iterable[bytes] | None:
    """Where the bytes come from; ``None`` when there is nothing to write."""
    if data is not None:
        return _fetched(data)
    if output.data is not None:
        return [output.data]
    if output.path is not None:
        return Path(output.path)
    if output.url is not None:
        return Download(output.url)
    if output.ref is not None:
        raise ClientError("the output has to be fetched: give the client a fetch method")
    return None


def _fetched(data: object) -> Path | Download | Iterable[bytes]:
    """What a client's ``fetch`` returned, which no type checker has seen."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return [bytes(data)]
    if isinstance(data, (Path, Download)):
        return data
    if isinstance(data, Iterable) and not isinstance(data, str):
        return data
    raise ClientError(
        f"fetch returned {type(data).__name__}: let it return bytes, a Path, pieces of bytes, or a"
        " Download"
    )
