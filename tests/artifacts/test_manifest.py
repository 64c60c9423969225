from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from folder_kit import SPOKEN, a_job, done, fails, lines, names_in, sha

from batchkit._errors import StorageFullError
from batchkit._jobs import ErrorKind, JobError, JobStatus
from batchkit._requests import (
    GenerateVideo,
    OpaqueRequest,
    Request,
    TranscribeVideo,
)
from batchkit._results import Artifact, JobResult, Output
from batchkit.artifacts import LocalFolder
from batchkit.sources import read_prompts, to_request


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(tmp_path / "out")


def test_the_manifest_tells_what_became_of_every_job(folder: LocalFolder) -> None:
    request = GenerateVideo(prompt="Olá", image="https://u:SECRET@x/i.png?sig=SECRET#SECRET")
    output = Output(url="https://x/v.mp4?sig=SECRET", media_type="video/mp4", role="main")
    made = folder.write(a_job(), output, b"video")
    error = JobError(
        kind=ErrorKind.NETWORK,
        code="x",
        message="\ud800 GET https://x/y?sig=SECRET, twice",
        remedy="z",
    )
    result = JobResult(artifacts=made, text="PRIVATE", outputs=(output,))
    job = a_job(4, request, identity="key:k", attempt=2, cost=0.5, started=1.0, completed=2.0)
    folder.report([job.evolve(status=JobStatus.FAILED, result=result, error=error), a_job(5)])
    first, second = lines(folder.root / "manifest.jsonl")
    assert first == {
        "index": 4,
        "id": 5,
        "identity": "key:k",
        "kind": "generate",
        "request": {"prompt": "Olá", "image": "https://x/i.png"},
        "request_hash": first["request_hash"],
        "status": "failed",
        "attempt": 2,
        "files": [
            {
                "path": "0001-a-cat-main.mp4",
                "size": 5,
                "sha256": sha(b"video"),
                "role": "main",
                "media_type": "video/mp4",
            }
        ],
        "started": 1.0,
        "completed": 2.0,
        "cost": 0.5,
        "error": {"kind": "network", "code": "x", "message": "\ud800 GET https://x/y twice"},
    }
    assert (second["status"], second["files"], second["error"]) == ("pending", [], None)
    text = (folder.root / "manifest.jsonl").read_text("utf-8")
    assert "SECRET" not in text
    assert "PRIVATE" not in text
    assert names_in(folder.root) == ["0001-a-cat-main.mp4", "failed.jsonl", "manifest.jsonl"]


def test_failed_jobs_can_be_asked_for_again(folder: LocalFolder) -> None:
    whole = GenerateVideo(
        prompt="A?b", language="en", model="m", seed=1, image="https://x/i?sig=1", params={"a": [1]}
    )
    jobs = [
        a_job(0, whole, identity="key:k", priority=3, metadata={"t": "x"}),
        a_job(1, "Um gato", metadata={"kind": "of"}),
        a_job(2, TranscribeVideo(source="a.mp4", language="de")),
        a_job(3, Request()),
    ]
    ends = (JobStatus.FAILED, JobStatus.EXPIRED, JobStatus.FAILED, JobStatus.COMPLETED)
    folder.report(job.evolve(status=end) for job, end in zip(jobs, ends, strict=True))
    rows = [to_request(row, language="fr") for row in read_prompts(folder.root / "failed.jsonl")]
    assert rows == [
        (whole, {"t": "x"}, "k", 3),
        (jobs[1].request, {"kind": "of"}, None, 0),
        (jobs[2].request, {}, None, 0),
    ]
    folder.report([jobs[3]])
    assert not (folder.root / "failed.jsonl").exists()


def test_requests_of_unknown_kinds_are_reported(folder: LocalFolder) -> None:
    request = OpaqueRequest(stored_kind="upscale", data={"source": "a", "key": "own"})
    folder.report([a_job(0, request, identity="key:k", status=JobStatus.FAILED)])
    assert lines(folder.root / "failed.jsonl") == [{"kind": "upscale", "source": "a", "key": "own"}]


def test_a_report_that_fails_leaves_the_last_one(
    folder: LocalFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.report([a_job()])
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fails(errno.ENOSPC))
        with pytest.raises(StorageFullError):
            folder.report([a_job(), a_job(1)])
    assert len(lines(folder.root / "manifest.jsonl")) == 1
    assert names_in(folder.root) == ["manifest.jsonl"]


def test_the_result_of_an_earlier_run_is_found(folder: LocalFolder) -> None:
    made = folder.write(a_job(), Output(ref="x", media_type="video/mp4"), b"video")
    folder.report([done(a_job(), *made), a_job(1, "B")])
    later = LocalFolder(folder.root)
    assert later.existing(a_job(9, identity=a_job().identity)) == JobResult(artifacts=made)
    assert later.existing(a_job(1, "B")) is None
    assert later.existing(a_job(2, "C")) is None


def test_the_text_of_an_earlier_transcript_is_found(folder: LocalFolder) -> None:
    job = a_job(request=TranscribeVideo(source="a.mp4"))
    made = folder.write(job, Output(transcript=SPOKEN), None)
    folder.report([done(job, *made)])
    found = folder.existing(job)
    assert found is not None
    assert found.text == "Olá."


@pytest.mark.parametrize("content", [b"{}", b"\xff", b'{"text": 1, "segments": []}'])
def test_other_json_is_no_transcript(folder: LocalFolder, content: bytes) -> None:
    made = folder.write(a_job(), Output(ref="x", media_type="application/json"), content)
    folder.report([done(a_job(), *made)])
    assert folder.existing(a_job()) == JobResult(artifacts=made)


def test_nothing_is_found_without_a_manifest(
    folder: LocalFolder, caplog: pytest.LogCaptureFixture
) -> None:
    assert folder.existing(a_job()) is None
    assert not caplog.records
    (folder.root / "manifest.jsonl").mkdir(parents=True)
    assert folder.existing(a_job()) is None
    assert "cannot be read" in caplog.text


def test_a_newer_manifest_is_read_again(folder: LocalFolder) -> None:
    folder.report([a_job()])
    assert folder.existing(a_job()) is None
    made = folder.write(a_job(), Output(ref="x"), b"video")
    folder.report([done(a_job(), *made)])
    assert folder.existing(a_job()) is not None
    assert folder.existing(a_job()) is not None


def test_only_the_same_request_is_found(folder: LocalFolder) -> None:
    job = a_job(identity="key:k")
    made = folder.write(job, Output(ref="x"), b"video")
    folder.report([done(job, *made)])
    assert folder.existing(job) is not None
    assert folder.existing(a_job(request="Other", identity="key:k")) is None


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"VIDEO")])
def test_what_is_missing_or_changed_is_not_found(
    folder: LocalFolder, damage: Callable[[Path], object]
) -> None:
    made = folder.write(a_job(), Output(ref="x"), b"video")
    folder.report([done(a_job(), *made)])
    damage(made[0].path)
    assert folder.existing(a_job()) is None


def test_what_has_no_files_is_not_found(folder: LocalFolder) -> None:
    folder.report([done(a_job())])
    assert folder.existing(a_job()) is None


def test_files_outside_the_folder_are_not_found(folder: LocalFolder, tmp_path: Path) -> None:
    outside = tmp_path / "0001.mp4"
    outside.write_bytes(b"video")
    artifact = Artifact(path=outside, size=5, sha256=sha(b"video"))
    folder.report([done(a_job(), artifact)])
    manifest = folder.root / "manifest.jsonl"
    (entry,) = lines(manifest)
    assert entry["files"][0]["path"] == str(outside)
    assert folder.existing(a_job()) is None
    manifest.write_text(manifest.read_text().replace(str(outside), "../0001.mp4"))
    assert folder.existing(a_job()) is None


def test_damaged_lines_of_the_manifest_are_passed_over(
    folder: LocalFolder, caplog: pytest.LogCaptureFixture
) -> None:
    made = folder.write(a_job(), Output(ref="x"), b"video")
    folder.report([done(a_job(), *made)])
    manifest = folder.root / "manifest.jsonl"
    bad = b'{"half\n\xff\n[]\n{"identity": 1}\n{"identity": "x", "status": "s", "files": [{}]}\n'
    manifest.write_bytes(bad + manifest.read_bytes())
    assert folder.existing(a_job()) is not None
    assert [record.args[0] for record in caplog.records if isinstance(record.args, tuple)] == [
        1, 2, 3, 4, 5,
    ]  # fmt: skip
