"""The record that lies next to the results: ``manifest.jsonl`` and ``failed.jsonl``."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

import attrs

from batchkit._jobs import Job, JobStatus
from batchkit._redaction import scrubbed
from batchkit._requests import dump_request, identity_of
from batchkit._results import Artifact, JobResult
from batchkit.artifacts import _files as files
from batchkit.artifacts._part import Part

log = logging.getLogger("batchkit.artifacts")

MANIFEST = "manifest.jsonl"
FAILED = "failed.jsonl"

# How an identity that the user chose starts; others are made of the request.
_KEY = "key:"
_RETRY = (JobStatus.FAILED, JobStatus.EXPIRED)


@attrs.define(eq=False)
class Manifest:
    """The manifest of one output folder, written by :meth:`report` and looked up by :meth:`find`.

    Attributes:
        root: the folder; absolute.
    """

    root: Path
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    # Offsets and not lines: a batch may have a million of them.
    _offsets: dict[str, int] = attrs.field(factory=dict, init=False)
    _read: tuple[int, ...] | None = attrs.field(default=None, init=False)

    # -- writing ----------------------------------------------------------------------------

    def report(self, jobs: Iterable[Job]) -> None:
        """Rewrites both files from *jobs*, which are read once and not kept.

        Raises:
            StorageFullError: the folder cannot be written to; the files are as they were.
        """
        manifest, failed = self.root / MANIFEST, self.root / FAILED
        count = 0
        with Part.create(manifest) as all_jobs, Part.create(failed) as to_retry:
            for job in jobs:
                all_jobs.write(_line(self._entry(job)))
                if job.status in _RETRY:
                    to_retry.write(_line(input_row(job)))
                    count += 1
            all_jobs.sync()
            to_retry.sync()
            all_jobs.publish(manifest)
            if count:
                to_retry.publish(failed)
        if not count:
            files.remove(failed)
        files.sync_folder(self.root)

    def _entry(self, job: Job) -> dict[str, Any]:
        stored = dump_request(job.request)
        kind, fields = json.loads(stored)
        artifacts = job.result.artifacts if job.result is not None else ()
        error = job.error and {
            "kind": str(job.error.kind), "code": job.error.code, "message": job.error.message
        }  # fmt: skip
        return {
            "index": job.index,
            "id": job.id,
            "identity": job.identity,
            "kind": kind,
            "request": scrubbed(fields),
            # Of the request as it is stored, for the line above may leave something out.
            "request_hash": identity_of(stored),
            "status": str(job.status),
            "attempt": job.attempt,
            "files": [self._file(artifact) for artifact in artifacts],
            "started": job.started,
            "completed": job.completed,
            "cost": job.cost,
            "error": scrubbed(error),
        }

    def _file(self, artifact: Artifact) -> dict[str, Any]:
        path = artifact.path
        inside = path.relative_to(self.root) if path.is_relative_to(self.root) else path
        return {
            "path": inside.as_posix(),
            "size": artifact.size,
            "sha256": artifact.sha256,
            "role": artifact.role,
            "media_type": artifact.media_type,
        }

    # -- looking up -------------------------------------------------------------------------

    def find(self, job: Job) -> JobResult | None:
        """The result that an earlier run left for the same item, if every byte of it is here."""
        with self._lock:
            entry = self._lookup(job.identity)
        if entry is None or entry.get("request_hash") != identity_of(dump_request(job.request)):
            return None
        artifacts: list[Artifact] = []
        for file in entry["files"]:
            artifact = self._verified(file)
            if artifact is None:
                return None
            artifacts.append(artifact)
        # Without files there would be nothing to hand over: values are not in the manifest.
        return JobResult(artifacts=tuple(artifacts), text=_text(artifacts)) if artifacts else None

    def _lookup(self, identity: str) -> Mapping[str, Any] | None:
        try:
            with (self.root / MANIFEST).open("rb") as file:
                self._index(file)
                offset = self._offsets.get(identity)
                if offset is None:
                    return None
                file.seek(offset)
                return _entry_of(file.readline())
        except FileNotFoundError:
            return None
        except OSError as exc:
            log.warning("the manifest in %s cannot be read: %s", self.root, exc)
            return None

    def _index(self, file: IO[bytes]) -> None:
        """Notes where the lines are, once for each manifest that comes to lie here."""
        stat = os.fstat(file.fileno())
        version = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if version == self._read:
            return
        self._offsets, self._read, offset = {}, version, 0
        for number, line in enumerate(file, 1):
            entry = _entry_of(line)
            if entry is None:
                log.warning("line %d of the manifest in %s is damaged", number, self.root)
            elif entry["status"] == JobStatus.COMPLETED:
                self._offsets[entry["identity"]] = offset
            offset += len(line)

    def _verified(self, file: Mapping[str, Any]) -> Artifact | None:
        inside = PurePosixPath(file["path"])
        if inside.is_absolute() or ".." in inside.parts:
            return None
        path = self.root / inside
        if not files.same_bytes(path, file["size"], file["sha256"]):
            log.info("%s is missing or changed: its job is done again", path)
            return None
        return Artifact(
            path=path,
            size=file["size"],
            sha256=file["sha256"],
            media_type=file["media_type"],
            role=file["role"],
        )


def input_row(job: Job) -> dict[str, Any]:
    """The job as :func:`batchkit.sources.to_request` takes it, to be asked for once more.

    What was asked for is left whole, a URL among it too: it is the user's own input.
    """
    stored = dump_request(job.request)
    kind, fields = json.loads(stored)
    row: dict[str, Any] = {"kind": kind, **fields}
    # The default language may be another one next time.
    if (language := getattr(job.request, "language", None)) is not None:
        row["language"] = language
    if job.identity.startswith(_KEY):
        row.setdefault("key", job.identity.removeprefix(_KEY))
    if job.metadata:
        row.setdefault("metadata", dict(job.metadata))
    if job.priority:
        row.setdefault("priority", job.priority)
    return row


def _line(value: Mapping[str, Any]) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    # Half of a surrogate pair has no UTF-8; the backslash escape is the one of JSON.
    return text.encode(errors="backslashreplace") + b"\n"


def _entry_of(line: bytes) -> dict[str, Any] | None:
    """A line of the manifest; people edit such files, so nothing is taken for granted."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    match entry:
        case {"identity": str(), "status": str(), "files": [*found]} if all(map(_is_file, found)):
            return dict(entry)
    return None


def _is_file(value: object) -> bool:
    match value:
        case {
            "path": str(), "size": int(), "sha256": str(), "role": str(),
            "media_type": str() | None,
        }:  # fmt: skip
            return True
    return False


def _text(artifacts: Iterable[Artifact]) -> str | None:
    """What was said, from the transcript among the files."""
    for artifact in artifacts:
        if artifact.media_type == "application/json":
            try:
                transcript = json.loads(artifact.path.read_bytes())
            except (OSError, ValueError) as exc:
                log.warning("%s is no transcript: %s", artifact.path, exc)
                continue
            match transcript:
                case {"text": str(text), "segments": list()}:
                    return text
    return None
