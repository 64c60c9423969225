"""Results in a folder on this machine."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import logging
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import attrs

from batchkit._errors import ClientError, StorageFullError, TemplateError, UsageError
from batchkit._jobs import Job
from batchkit._requests import GenerateVideo, TranscribeVideo
from batchkit._results import Artifact, JobResult, Output, Transcript
from batchkit.artifacts import _files as files
from batchkit.artifacts import _names as names
from batchkit.artifacts import download
from batchkit.artifacts._manifest import FAILED, MANIFEST, Manifest
from batchkit.artifacts._template import DEFAULT_TEMPLATE, Template, ext_for
from batchkit.artifacts.base import Fetched

log = logging.getLogger("batchkit.artifacts")

_FORMAT_TYPES = {
    "txt": "text/plain",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "json": "application/json",
}
# Seconds by which a file's time may be coarser than the job's.
_CLOCK_SLACK = 2.0


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
    called from several threads. The ids of the points that *hook* hears of are
    ``artifact:before-write``, ``artifact:before-rename`` and ``artifact:after-rename``.

    Args:
        root: the folder; created when it is missing.
        template: names inside it, see :class:`Template`.
        formats: files that a transcript becomes: any of txt, srt, vtt, json.
        min_free_bytes: with less free space than that, :meth:`check` refuses to start.
        hook: for tests: called at the points above with their names.

    Raises:
        TemplateError: the template cannot work.
        UsageError: a format is unknown.
    """

    root: Path = attrs.field(converter=_as_root)
    template: Template = attrs.field(
        default=DEFAULT_TEMPLATE, converter=_as_template, kw_only=True
    )
    formats: tuple[str, ...] = attrs.field(
        default=tuple(_FORMAT_TYPES), converter=_as_formats, kw_only=True
    )
    min_free_bytes: int = attrs.field(default=50_000_000, kw_only=True)
    hook: Callable[[str], None] | None = attrs.field(default=None, kw_only=True)
    _manifest: Manifest = attrs.field(init=False)
    # Between seeing that a name is free and taking it.
    _naming: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self._manifest = Manifest(self.root)

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
            with files.Part.create(self.root / "check") as probe:
                probe.write(b"x")
            free = shutil.disk_usage(self.root).free
        except OSError as exc:
            raise files.cannot_write(self.root, exc) from exc
        except ClientError as exc:
            raise StorageFullError(str(exc)) from exc
        if free < self.min_free_bytes:
            raise StorageFullError(
                f"{self.root} has {free / 1e6:.0f} MB left and {self.min_free_bytes / 1e6:.0f} MB"
                " are needed to start: free some space, or choose another folder"
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
        there, byte for byte.
        """
        return self._manifest.find(job)

    # -- results ----------------------------------------------------------------------------

    def write(self, job: Job, output: Output, data: Fetched | None) -> tuple[Artifact, ...]:
        """Delivers one output.

        Args:
            job: whose output it is.
            output: what the client named.
            data: what its ``fetch`` brought; a path is moved here, as ``output.path`` is.

        Returns:
            the files: one for each format of a transcript; none when there is nothing to write.

        Raises:
            StorageFullError: the disk refuses; nothing partial has a final name.
            ResultExpiredError: the provider has deleted it.
            ClientError: it is empty, incomplete, or not what the provider declared.
        """
        if output.transcript is not None:
            return self._write_transcript(job, output, output.transcript)
        source = _source(output, data)
        if source is None:
            return ()
        ext = ext_for(output, _default_ext(job) if not output.role else "bin")
        delivery = _Delivery(self, job, output, ext, output.media_type)
        if isinstance(source, Path):
            return (delivery.take_over(source),)
        return (delivery.save(source),)

    def _write_transcript(
        self, job: Job, output: Output, transcript: Transcript
    ) -> tuple[Artifact, ...]:
        from batchkit.artifacts.transcripts import FORMATS

        def written(name: str) -> Artifact:
            # A text with half a surrogate pair was paid for like any other.
            content = FORMATS[name](transcript).encode(errors="replace")
            # What the provider declares is about its own file, not about these.
            plain = attrs.evolve(output, size=None, sha256=None)
            return _Delivery(self, job, plain, name, _FORMAT_TYPES[name]).save([content])

        return tuple(written(name) for name in self.formats)

    def report(self, jobs: Iterable[Job]) -> None:
        """Rewrites ``manifest.jsonl``, and ``failed.jsonl`` when jobs failed or expired.

        Args:
            jobs: all jobs of the batch; read once, and not kept.

        Raises:
            StorageFullError: the folder cannot be written to; the files are as they were.
        """
        files.make_folder(self.root, self.root)
        self._manifest.report(jobs)

    # -- names ------------------------------------------------------------------------------

    def path_for(self, job: Job, ext: str, role: str, number: int = 1) -> Path:
        """Where an output belongs; from 2, *number* is the one after names that are taken."""
        return self.root / self.template.render(job, ext=ext, role=role, number=number)

    def place(self, candidates: Iterator[Path], content: Content, move: Callable[[Path], None]) -> Path:
        """Calls *move* with the first name that is free, or that holds these very bytes."""
        with self._naming:
            wanted = next(candidates)
            for path in itertools.chain([wanted], candidates):
                if self._is_free(path) or files.same_bytes(path, content.size, content.sha256):
                    break
            move(path)
        if path != wanted:
            log.warning("%s holds something else and was left alone: see %s", wanted, path)
        return path

    def _is_free(self, path: Path) -> bool:
        return not os.path.lexists(path) and path not in (self.root / MANIFEST, self.root / FAILED)

    def reached(self, point: str) -> None:
        """Tells the hook."""
        if self.hook is not None:
            self.hook(f"artifact:{point}")
