from __future__ import annotations

import base64
import gzip
import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from download_kit import got, refused
from file_server import Answer, FileServer, serving
from folder_kit import a_job, names_in

from batchkit._errors import ClientError, StorageFullError
from batchkit._results import Output
from batchkit.artifacts import Limits, LocalFolder

BODY = random.Random(5).randbytes(100_000)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(BODY) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(tmp_path / "out", limits=Limits(allow_private=True))


# -- size and room


@pytest.mark.parametrize(
    ("answer", "declared"),
    [(Answer(), {}), (Answer(without=("Content-Length",)), {}), (Answer(), {"size": 100_000})],
    ids=["announced", "unannounced", "declared"],
)
def test_what_is_too_large_is_refused(
    tmp_path: Path, server: FileServer, answer: Answer, declared: Any
) -> None:
    folder = LocalFolder(tmp_path / "out", limits=Limits(allow_private=True, max_bytes=99_999))
    server.answers.append(answer)
    assert "raise max_download_bytes" in refused(folder, server.url, **declared)


def test_fetched_bytes_may_not_be_too_large_either(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path / "out", limits=Limits(max_bytes=10))
    with pytest.raises(ClientError, match="raise max_download_bytes"):
        folder.write(a_job(), Output(ref="r"), iter([b"12345678"] * 2))
    assert names_in(folder.root) == []


def test_a_disk_without_room_is_not_filled(tmp_path: Path, server: FileServer) -> None:
    folder = LocalFolder(
        tmp_path / "out", limits=Limits(allow_private=True, min_free_bytes=1 << 62)
    )
    with pytest.raises(StorageFullError, match="has no room for 0 MB more: free some space"):
        got(folder, server.url)


# -- content


def test_compressed_content_is_refused(folder: LocalFolder, server: FileServer) -> None:
    server.answers.append(Answer(body=gzip.compress(BODY), headers={"Content-Encoding": "gzip"}))
    assert "compresses it (gzip)" in refused(folder, server.url)


@pytest.mark.parametrize("said", ["text/html; charset=utf-8", "application/json"])
def test_a_page_is_no_recording(folder: LocalFolder, server: FileServer, said: str) -> None:
    server.answers += [Answer(headers={"Content-Type": said})] * 2
    with pytest.raises(ClientError, match="where video/mp4 was expected") as caught:
        got(folder, server.url)
    assert caught.value.retryable
    url = server.url.replace("mp4", "json")
    assert got(folder, url, media_type="application/json") == BODY


def digest(algorithm: str, body: bytes = BODY) -> str:
    made = hashlib.new(algorithm, body, usedforsecurity=False).digest()
    return base64.b64encode(made).decode()


@pytest.mark.parametrize(
    ("name", "form", "algorithm"),
    [
        ("Content-MD5", "{}", "md5"),
        ("Digest", "md5=x,SHA-256={}", "sha256"),
        ("Repr-Digest", "sha-512=:{}:", "sha512"),
        ("Content-Digest", "unknown=:AAAA:, sha-256=:{}:", "sha256"),
    ],
)
def test_digests_of_the_server_are_checked(
    folder: LocalFolder, server: FileServer, name: str, form: str, algorithm: str
) -> None:
    server.answers += [
        Answer(headers={name: form.format(digest(algorithm, b"other"))}),
        Answer(headers={name: form.format(digest(algorithm))}),
    ]
    with pytest.raises(ClientError, match=r"does not have the (MD5|SHA-256|SHA-512)") as caught:
        got(folder, server.url)
    assert caught.value.retryable
    assert names_in(folder.root) == []
    assert got(folder, server.url) == BODY


@pytest.mark.parametrize(
    "declared", [{"sha256": "0" * 64}, {"md5": "0" * 32}, {"size": 99_999}, {"size": 100_001}]
)
def test_what_was_declared_is_checked(
    folder: LocalFolder, server: FileServer, declared: Any
) -> None:
    with pytest.raises(ClientError, match="declared") as caught:
        got(folder, server.url, **declared)
    assert (caught.value.retryable, caught.value.code) == (True, "incomplete")
    assert names_in(folder.root) == []


@pytest.mark.parametrize("length", [len(BODY) + 1, len(BODY) - 1])
def test_a_server_that_lies_about_the_length_is_found_out(
    folder: LocalFolder, server: FileServer, length: int
) -> None:
    server.etag = None
    server.answers.append(Answer(headers={"Content-Length": str(length)}))
    with pytest.raises(ClientError):
        got(folder, server.url, sha256=server.sha256)
    assert ".mp4" not in "".join(n for n in names_in(folder.root) if not n.startswith("."))


def test_more_than_was_declared_is_not_read_to_its_end(
    folder: LocalFolder, server: FileServer
) -> None:
    server.answers.append(Answer(without=("Content-Length",)))
    with pytest.raises(ClientError, match="more than the 10 bytes"):
        got(folder, server.url, size=10)
    assert names_in(folder.root) == []


# -- paths


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = LocalFolder(tmp_path / "out", template="{kind}/{index}.{ext}")
    folder.check([])
    (folder.root / "generate").symlink_to(outside)
    with pytest.raises(ClientError, match="leads out of"):
        folder.write(a_job(), Output(ref="r"), b"video")
    assert list(outside.iterdir()) == []


def test_a_link_within_the_folder_and_to_it_is_fine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    folder = LocalFolder(tmp_path / "out", template="{kind}/{index}.{ext}")
    (tmp_path / "real" / "there").mkdir()
    (tmp_path / "real" / "generate").symlink_to(tmp_path / "real" / "there")
    (made,) = folder.write(a_job(), Output(ref="r"), b"video")
    assert made.path.read_bytes() == b"video"


@pytest.mark.parametrize("kind", ["pipe", "device", "link to a device"])
def test_what_is_no_file_is_not_taken_over(folder: LocalFolder, tmp_path: Path, kind: str) -> None:
    source = tmp_path / "made.mp4"
    if kind == "pipe":
        os.mkfifo(source)
    elif kind == "device":
        source = Path("/dev/zero")
    else:
        source.symlink_to("/dev/zero")
    with pytest.raises(ClientError, match="is no file"):
        folder.write(a_job(), Output(path=str(source)), None)


@pytest.mark.parametrize("umask", [0o022, 0o027])
def test_files_follow_the_umask(folder: LocalFolder, tmp_path: Path, umask: int) -> None:
    private = tmp_path / "made.mp4"
    private.write_bytes(b"video")
    private.chmod(0o600)
    before = os.umask(umask)
    try:
        made = [*folder.write(a_job(0), Output(path=str(private)), None)]
        made += folder.write(a_job(1), Output(ref="r"), b"video")
    finally:
        os.umask(before)
    assert {each.path.stat().st_mode & 0o777 for each in made} == {0o666 & ~umask}
