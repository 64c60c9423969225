"""One file on its way into an output folder."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import mimetypes
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import attrs

from batchkit._context import is_given_up
from batchkit._errors import ClientError
from batchkit._jobs import Job
from batchkit._results import Artifact, Download, Output
from batchkit.artifacts import _files as files
from batchkit.artifacts._manifest import FAILED, MANIFEST
from batchkit.artifacts._part import Part, discard, part_path
from batchkit.artifacts._template import Template, ext_for
from batchkit.artifacts.download import Expected, Limits, fill

log = logging.getLogger("batchkit.artifacts")

# Seconds by which a file's time may be coarser than the job's.
_CLOCK_SLACK = 2.0
_DIGEST_NAMES = {"md5": "MD5", "sha256": "SHA-256", "sha512": "SHA-512"}


@attrs.frozen(kw_only=True, eq=False)
class Delivery:
    """What is known of a file before its bytes are: where it belongs, and what it has to be.

    Attributes:
        root: the output folder.
        template: names inside it.
        naming: held between seeing that a name is free and taking it.
        reached: told of each point that tests inject crashes at.
        job, output: what is delivered.
        ext: file extension, without the dot.
        media_type: as ``"video/mp4"``.
        expected: as the provider declared it.
        limits: what it may take.
        may_be_empty: a transcript of silence is.
    """

    root: Path
    template: Template
    naming: threading.Lock
    reached: Callable[[str], None]
    job: Job
    output: Output
    ext: str
    media_type: str | None
    expected: Expected
    limits: Limits
    may_be_empty: bool = False

    def save(self, chunks: Iterable[bytes]) -> Artifact:
        """Writes these bytes; closes what they come from.

        Raises:
            StorageFullError: the disk refuses.
            ClientError: they are not what was declared.
        """
        with contextlib.ExitStack() as stack:
            if (close := getattr(chunks, "close", None)) is not None:
                stack.callback(close)
            part = stack.enter_context(Part.create(self._target()))
            self._fill(part, chunks)
            return self._publish(part)

    def download(self, what: Download) -> Artifact:
        """Downloads it, or what an earlier try has left of it.

        Raises:
            StorageFullError: the disk has no room.
            NotFoundError, ResultExpiredError, AuthenticationError: what the server says.
            ClientError: it is refused, the connection broke, or it is not what was declared.
        """
        owner, guess = self._owner(), mimetypes.guess_type(f"x.{self.ext}")[0]
        expected = attrs.evolve(self.expected, media_type=self.media_type or guess)
        with Part.resume(self._target(), owner) as part:
            fill(part, what, owner, expected, self.limits)
            # What does not fit as a whole is not gone on with.
            part.keep = False
            return self._publish(part)

    def forget(self) -> None:
        """Removes what a download has left that will not be gone on with."""
        discard(part_path(next(self._paths())))

    def _owner(self) -> str:
        """Which output of which attempt this is; other batches may have files of that name."""
        handle = self.job.handle.id if self.job.handle is not None else ""
        facts = [self.job.identity, self.job.attempt, handle, self.output.role, self._position()]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def _target(self) -> Path:
        """Where it belongs, in a folder that is there."""
        target = next(self._paths())
        files.make_folder(target.parent, self.root)
        self.reached("before-write")
        return target

    def _publish(self, part: Part) -> Artifact:
        size, sha256 = part.size, part.sha256
        noted = part.note.digests if part.note is not None else {}
        self._verify(part.path, size, sha256, {**noted, **self.expected.digests})
        part.sync()
        self.reached("before-rename")
        path = self._place(size, sha256, part.publish)
        return self._delivered(path, size, sha256)

    def take_over(self, source: Path) -> Artifact:
        """Moves a file here; it is copied and removed when it cannot be moved.

        Raises:
            StorageFullError: the disk refuses.
            ClientError: it is gone, unreadable, or not what was declared.
        """
        if not os.path.lexists(source):
            return self._recovered(source)
        try:
            # Reading a pipe or a device may never end.
            if not stat.S_ISREG(source.stat().st_mode):
                raise ClientError(f"{source}, which the client wrote, is no file", code="path")
            size, sha256 = files.digest_file(source)
        except OSError as exc:
            raise ClientError(
                f"{source}, which the client wrote, cannot be read ({exc.strerror})", code="path"
            ) from exc
        self._verify(source, size, sha256, self.expected.digests)
        # A link would be moved without what it leads to.
        moved = None if source.is_symlink() else self._move(source, size, sha256)
        if moved is not None:
            return self._delivered(moved, size, sha256)
        artifact = self.save(files.read_chunks(source))
        files.remove(source)
        return artifact

    # -- content ----------------------------------------------------------------------------

    def _fill(self, part: Part, chunks: Iterable[bytes]) -> None:
        declared, most = self.expected.size, self.limits.max_bytes
        for chunk in chunks:
            if not isinstance(chunk, (bytes, bytearray, memoryview)):
                raise ClientError(f"fetch gave {type(chunk).__name__}: let it give pieces of bytes")
            part.write(chunk)
            if declared is not None and part.size > declared:
                # Not read to its end, which may never come.
                raise self._incomplete(f"has more than the {declared} bytes that were declared")
            if part.size > most:
                raise ClientError(
                    f"the result is larger than {most} bytes: raise max_download_bytes",
                    code="too_large",
                )
            if is_given_up():
                raise ClientError("nobody waits for it any more", retryable=True)

    def _verify(self, path: Path, size: int, sha256: str, digests: Mapping[str, str]) -> None:
        if not size and not self.may_be_empty:
            raise self._incomplete("is empty")
        declared = self.expected.size
        if declared is not None and size != declared:
            raise self._incomplete(f"has {size} bytes and {declared} were declared")
        for algorithm, digest in digests.items():
            found = sha256 if algorithm == "sha256" else files.digest_file(path, algorithm)[1]
            if found != digest.strip().lower():
                name = _DIGEST_NAMES[algorithm]
                raise self._incomplete(f"does not have the {name} that was declared")

    def _is_declared(self, size: int, sha256: str) -> bool:
        return (
            self.expected.size in (None, size)
            and self.expected.digests.get("sha256", sha256).strip().lower() == sha256
        )

    def _incomplete(self, what: str) -> ClientError:
        name = next(self._paths()).name
        return ClientError(
            f"the result for {name} {what}: it is fetched again", code="incomplete", retryable=True
        )

    # -- name -------------------------------------------------------------------------------

    def _paths(self) -> Iterator[Path]:
        """Where it belongs, and the numbered names to use while that is taken."""
        template, job, ext, role = self.template, self.job, self.ext, self.output.role
        return (
            self.root / template.render(job, ext=ext, role=role, number=number)
            for number in itertools.count(self._position())
        )

    def _position(self) -> int:
        """From 1, among the job's outputs that would have the same name."""
        outputs = self.job.result.outputs if self.job.result is not None else ()
        before = list(itertools.takewhile(lambda other: other != self.output, outputs))
        if len(before) == len(outputs):
            return 1
        mine = (self.output.role, ext_for(self.output))
        return 1 + sum((other.role, ext_for(other)) == mine for other in before)

    def _place(self, size: int, sha256: str, move: Callable[[Path], object]) -> Path:
        """Calls *move* with the first name that is free, or that holds these very bytes."""
        wanted = next(self._paths())
        with self.naming:
            path = next(p for p in self._paths() if self._may_take(p, size, sha256))
            move(path)
        if path != wanted:
            log.warning("%s holds something else and was left alone: see %s", wanted, path.name)
        return path

    def _may_take(self, path: Path, size: int, sha256: str) -> bool:
        if path in (self.root / MANIFEST, self.root / FAILED):
            return False
        return not os.path.lexists(path) or files.same_bytes(path, size, sha256)

    def _move(self, source: Path, size: int, sha256: str) -> Path | None:
        self._target()
        files.follow_umask(source)
        files.sync_file(source)
        self.reached("before-rename")
        try:
            return self._place(size, sha256, source.replace)
        except OSError as exc:
            # Another disk, or a folder that lets nothing go. Copying tells which.
            log.debug("%s is copied, for it cannot be moved: %s", source, exc)
            return None

    def _delivered(self, path: Path, size: int, sha256: str) -> Artifact:
        self.reached("after-rename")
        files.sync_folder(path.parent)
        return Artifact(
            path=path, size=size, sha256=sha256, media_type=self.media_type, role=self.output.role
        )

    def _recovered(self, source: Path) -> Artifact:
        """After a crash between the move and its record, the file is where it belongs already."""
        for path in itertools.takewhile(Path.is_file, self._paths()):
            made = path.stat().st_mtime
            size, sha256 = files.digest_file(path)
            is_recent = made >= (self.job.started or 0.0) - _CLOCK_SLACK
            if is_recent and self._is_declared(size, sha256):
                log.warning("%s is gone; %s is taken for it", source, path)
                return self._delivered(path, size, sha256)
        raise ClientError(
            f"{source}, which the client wrote, is gone: let it write where nothing is tidied up"
            " before the batch ends",
            code="path",
        )
