from __future__ import annotations

import errno
import io
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from folder_kit import SPOKEN, a_job, fails, names_in, sha

from batchkit._errors import ClientError, StorageFullError, TemplateError, UsageError
from batchkit._jobs import Job
from batchkit._requests import (
    TranscribeVideo,
)
from batchkit._results import Artifact, Output, Transcript
from batchkit.artifacts import ArtifactStore, Limits, LocalFolder, Template


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(tmp_path / "out")


def test_a_folder_is_an_artifact_store(folder: LocalFolder) -> None:
    store: ArtifactStore = folder
    assert store is folder


def test_options_are_checked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="'doc' is no transcript format: choose from txt, srt"):
        LocalFolder(tmp_path, formats=("txt", "doc"))
    with pytest.raises(TemplateError):
        LocalFolder(tmp_path, template="{x}.{ext}")
    assert LocalFolder(tmp_path, template=Template("{id}.{ext}")).template.unique
    monkeypatch.chdir(tmp_path)
    assert LocalFolder("out").root == tmp_path / "out"


def test_check_creates_the_folder_and_leaves_nothing_in_it(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path / "a" / "b")
    folder.check([a_job()])
    folder.check([])
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_check_refuses_a_folder_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for root in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(StorageFullError, match=f"{root}.*choose another folder"):
            LocalFolder(root).check([])


def test_check_refuses_a_folder_that_cannot_be_written_to(
    folder: LocalFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "write", fails(errno.EROFS))
    with pytest.raises(StorageFullError, match="read-only"):
        folder.check([])
    assert names_in(folder.root) == []
    (folder.root / ".check.part").mkdir()
    with pytest.raises(StorageFullError, match=r"\.check\.part cannot be written"):
        folder.check([])


def test_check_refuses_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageFullError, match="MB are needed to start: free some space"):
        LocalFolder(tmp_path, limits=Limits(min_free_bytes=1 << 62)).check([])
    monkeypatch.setattr(shutil, "disk_usage", fails(errno.EIO))
    with pytest.raises(StorageFullError, match="Input/output error"):
        LocalFolder(tmp_path).check([])


@pytest.mark.parametrize(
    ("first", "second"), [("A cat", "a CAT!"), ("é", "E"), ("x" * 60, "x" * 61)]
)
def test_check_refuses_two_jobs_with_one_name(tmp_path: Path, first: str, second: str) -> None:
    folder = LocalFolder(tmp_path, template="{slug}.{ext}")
    jobs = [a_job(0, first), a_job(1, "else"), a_job(2, second)]
    with pytest.raises(TemplateError, match=r"items 1 and 3 .*\.mp4: add \{index\}"):
        folder.check(iter(jobs))


def test_check_compares_names_as_other_systems_do(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path, template="{meta[x]}.{ext}")
    for other in ("STRASSE", "stra\u00dfe"):
        with pytest.raises(TemplateError, match="items 1 and 2"):
            folder.check([a_job(0, metadata={"x": "Strasse"}), a_job(1, metadata={"x": other})])


def test_check_takes_the_probable_extension(tmp_path: Path) -> None:
    jobs = [a_job(0, "talk"), a_job(1, TranscribeVideo(source="talk.mp4"))]
    LocalFolder(tmp_path, template="{slug}.{ext}").check(jobs)
    twins = [jobs[1], a_job(2, TranscribeVideo(source="b/talk.mkv"))]
    for formats, name in (("srt", "txt"), "talk.srt"), ((), "talk.bin"):
        with pytest.raises(TemplateError, match=name):
            LocalFolder(tmp_path, template="{slug}.{ext}", formats=formats).check(twins)


def test_check_reads_nothing_when_names_cannot_collide(folder: LocalFolder) -> None:
    def jobs() -> Iterator[Job]:
        raise AssertionError("jobs are read")
        yield

    folder.check(jobs())


def test_check_misses_metadata_also_where_names_cannot_collide(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path, template="{index}-{meta[x]}.{ext}")
    folder.check([a_job(metadata={"x": 1})])
    with pytest.raises(TemplateError, match="no metadata 'x'"):
        folder.check([a_job(metadata={"x": 1}), a_job()])


# -- write


@pytest.mark.parametrize(
    "data",
    [b"video", bytearray(b"video"), memoryview(b"video"), [b"vi", b"deo"], iter([b"video"])],
    ids=["bytes", "bytearray", "memoryview", "list", "iterator"],
)
def test_bytes_are_written_and_described(folder: LocalFolder, data: Any) -> None:
    (made,) = folder.write(a_job(), Output(ref="x", media_type="video/webm"), data)
    assert made == Artifact(
        path=folder.root / "0001-a-cat.webm", size=5, sha256=sha(b"video"), media_type="video/webm"
    )
    assert made.path.read_bytes() == b"video"
    assert names_in(folder.root) == ["0001-a-cat.webm"]


def test_an_output_may_hold_its_bytes(folder: LocalFolder) -> None:
    (made,) = folder.write(a_job(), Output(data=b"video", role="poster"), None)
    assert made.path.name == "0001-a-cat-poster.bin"
    assert made.role == "poster"


def test_an_output_without_content_is_nothing(folder: LocalFolder) -> None:
    assert folder.write(a_job(), Output(), None) == ()


def test_an_output_that_nobody_fetched_is_refused(folder: LocalFolder) -> None:
    with pytest.raises(ClientError, match="give the client a fetch method"):
        folder.write(a_job(), Output(ref="x"), None)


@pytest.mark.parametrize("data", ["text", 5])
def test_only_bytes_are_written(folder: LocalFolder, data: Any) -> None:
    with pytest.raises(ClientError, match="let it return bytes"):
        folder.write(a_job(), Output(ref="x"), data)
    with pytest.raises(ClientError, match="let it give pieces of bytes"):
        folder.write(a_job(), Output(ref="x"), [data])
    assert names_in(folder.root) == []


def test_what_the_bytes_come_from_is_closed(folder: LocalFolder) -> None:
    good, bad = io.BytesIO(b"video"), io.BytesIO(b"")
    folder.write(a_job(), Output(ref="x"), good)
    with pytest.raises(ClientError):
        folder.write(a_job(), Output(ref="x"), bad)
    assert good.closed
    assert bad.closed


def test_an_error_of_the_source_leaves_no_file(folder: LocalFolder) -> None:
    def broken() -> Iterator[bytes]:
        yield b"vi"
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        folder.write(a_job(), Output(ref="x"), broken())
    assert names_in(folder.root) == []


def test_urls_are_downloaded(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path / "out", limits=Limits(allow_private=True))

    class Provider(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"video")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Provider) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/x.mov?sig=SECRET"
        (made,) = folder.write(a_job(), Output(url=url), None)
        thread.join()
    assert made.path.name == "0001-a-cat.mov"
    assert made.path.read_bytes() == b"video"


def test_templates_make_folders(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path / "out", template="{kind}/{meta[x]}/{index}.{ext}")
    (made,) = folder.write(a_job(metadata={"x": "../../.."}), Output(data=b"x"), None)
    assert made.path == tmp_path / "out" / "generate" / "-..-" / "1.mp4"


@pytest.mark.parametrize(
    ("declared", "data", "message"),
    [
        ({}, [], "is empty"),
        ({"size": 6}, [b"video"], "has 5 bytes and 6 were declared"),
        ({"size": 4}, [b"vid", b"eo"], "has more than the 4 bytes"),
        ({"sha256": "0" * 64}, [b"video"], "does not have the SHA-256"),
    ],
)
def test_what_is_not_as_declared_is_fetched_again(
    folder: LocalFolder, declared: Any, data: Any, message: str
) -> None:
    with pytest.raises(ClientError, match=message) as caught:
        folder.write(a_job(), Output(ref="x", **declared), data)
    assert caught.value.retryable
    assert names_in(folder.root) == []


def test_what_is_as_declared_is_kept(folder: LocalFolder) -> None:
    output = Output(ref="x", size=5, sha256=sha(b"video").upper())
    assert folder.write(a_job(), output, b"video")[0].size == 5


# -- transcripts


def test_transcripts_become_a_file_for_each_format(folder: LocalFolder) -> None:
    job = a_job(request=TranscribeVideo(source="Fala.mp4"))
    made = folder.write(job, Output(transcript=SPOKEN, size=1, sha256="x"), None)
    assert [artifact.path.name for artifact in made] == [
        "0001-fala.txt", "0001-fala.srt", "0001-fala.vtt", "0001-fala.json",
    ]  # fmt: skip
    assert [artifact.media_type for artifact in made] == [
        "text/plain", "application/x-subrip", "text/vtt", "application/json",
    ]  # fmt: skip
    assert all("Olá." in artifact.path.read_text("utf-8") for artifact in made)


def test_silence_is_a_transcript_too(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path, formats=("txt",))
    (made,) = folder.write(a_job(), Output(transcript=Transcript(text="")), None)
    assert made.size == 0
    LocalFolder(tmp_path, formats=()).write(a_job(), Output(transcript=SPOKEN), None)


def test_half_a_surrogate_pair_costs_no_transcript(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path, formats=("txt",))
    (made,) = folder.write(a_job(), Output(transcript=Transcript(text="a\ud800b")), None)
    assert made.path.read_text("utf-8") == "a?b\n"
