from __future__ import annotations

import errno
import logging
import os
import threading
from pathlib import Path

import pytest
from folder_kit import a_job, fails, names_in, sha

from batchkit._errors import ClientError
from batchkit._results import Artifact, JobResult, Output
from batchkit.artifacts import LocalFolder
from batchkit.artifacts import _files as files


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(tmp_path / "out")


def test_a_file_of_the_client_is_moved(folder: LocalFolder, tmp_path: Path) -> None:
    source = tmp_path / "made.webm"
    for index, (output, data) in enumerate([(Output(path=str(source)), None), (Output(), source)]):
        source.write_bytes(b"video")
        inode = source.stat().st_ino
        (made,) = folder.write(a_job(index), output, data)
        assert not source.exists()
        assert made.path.stat().st_ino == inode
        assert (made.size, made.sha256) == (5, sha(b"video"))
    assert names_in(folder.root) == ["0001-a-cat.webm", "0002-a-cat.mp4"]


def test_a_file_that_cannot_be_moved_is_copied_and_removed(
    folder: LocalFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "made.mp4"
    source.write_bytes(b"video")
    real = Path.replace

    def other_disk(self: Path, target: Path) -> Path:
        return fails(errno.EXDEV)() if self == source else real(self, target)

    monkeypatch.setattr(Path, "replace", other_disk)
    (made,) = folder.write(a_job(), Output(path=str(source)), None)
    assert not source.exists()
    assert made.path.read_bytes() == b"video"
    assert names_in(folder.root) == ["0001-a-cat.mp4"]


def test_of_a_link_the_content_is_copied(folder: LocalFolder, tmp_path: Path) -> None:
    (tmp_path / "real.mp4").write_bytes(b"video")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "real.mp4")
    (made,) = folder.write(a_job(), Output(path=str(tmp_path / "link.mp4")), None)
    assert not made.path.is_symlink()
    assert made.path.read_bytes() == (tmp_path / "real.mp4").read_bytes()
    assert not (tmp_path / "link.mp4").is_symlink()


def test_a_file_that_lies_where_it_belongs_stays(folder: LocalFolder) -> None:
    folder.check([])
    place = folder.root / "0001-a-cat.mp4"
    place.write_bytes(b"video")
    (made,) = folder.write(a_job(), Output(path=str(place)), None)
    assert made.path == place
    assert names_in(folder.root) == [place.name]


def test_a_file_that_is_not_as_declared_is_left(folder: LocalFolder, tmp_path: Path) -> None:
    (tmp_path / "made.mp4").write_bytes(b"video")
    with pytest.raises(ClientError, match="4 were declared"):
        folder.write(a_job(), Output(path=str(tmp_path / "made.mp4"), size=4), None)
    assert (tmp_path / "made.mp4").exists()


def test_a_file_that_cannot_be_read_is_told(
    folder: LocalFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made.mp4").write_bytes(b"video")
    monkeypatch.setattr(files, "digest_file", fails(errno.EACCES))
    with pytest.raises(ClientError, match="cannot be read"):
        folder.write(a_job(), Output(path=str(tmp_path / "made.mp4")), None)


def test_a_folder_of_the_client_is_refused(folder: LocalFolder, tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="is no file"):
        folder.write(a_job(), Output(path=str(tmp_path)), None)


def test_a_file_of_the_client_that_is_gone_is_refused(folder: LocalFolder, tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="is gone: let it write"):
        folder.write(a_job(), Output(path=str(tmp_path / "made.mp4")), None)


def test_a_file_that_was_moved_before_a_crash_is_found(
    folder: LocalFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "made.mp4"
    source.write_bytes(b"video")
    folder.check([])
    # Not this job's: it lay there before.
    other = folder.root / "0001-a-cat.mp4"
    other.write_bytes(b"other")
    os.utime(other, (0, 0))
    job = a_job(started=source.stat().st_mtime)
    (first,) = folder.write(job, Output(path=str(source)), None)
    (again,) = folder.write(job, Output(path=str(source)), None)
    assert first == again
    assert again.path.name == "0001-a-cat-2.mp4"
    assert "is taken for it" in caplog.text
    for wrong in ({"size": 9}, {"sha256": "0"}):
        with pytest.raises(ClientError, match="is gone"):
            folder.write(job, Output(path=str(source), **wrong), None)


# -- names that are taken


def test_other_files_are_not_overwritten(
    folder: LocalFolder, caplog: pytest.LogCaptureFixture
) -> None:
    folder.check([])
    (folder.root / "0001-a-cat.mp4").write_bytes(b"mine")
    (folder.root / "0001-a-cat-2.mp4").symlink_to("nowhere")
    with caplog.at_level(logging.WARNING):
        (made,) = folder.write(a_job(), Output(data=b"video"), None)
    assert made.path.name == "0001-a-cat-3.mp4"
    assert (folder.root / "0001-a-cat.mp4").read_bytes() == b"mine"
    assert "0001-a-cat.mp4 holds something else and was left alone" in caplog.text


def test_the_same_bytes_take_the_same_name_again(folder: LocalFolder) -> None:
    for _ in range(2):
        folder.write(a_job(), Output(data=b"video"), None)
    assert names_in(folder.root) == ["0001-a-cat.mp4"]


def test_a_file_that_cannot_be_read_counts_as_another(
    folder: LocalFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write(a_job(), Output(data=b"video"), None)
    monkeypatch.setattr(files, "digest_file", fails(errno.EACCES))
    (made,) = folder.write(a_job(), Output(data=b"video"), None)
    assert made.path.name == "0001-a-cat-2.mp4"
    assert "counts as different" in caplog.text


def test_results_do_not_replace_the_record(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path, template="{meta[x]}.{ext}")
    for name in ("manifest", "failed"):
        job = a_job(metadata={"x": name})
        (made,) = folder.write(job, Output(data=b"x", media_type="application/jsonl"), None)
        assert made.path.name == f"{name}-2.jsonl"


def test_outputs_of_one_job_get_names_of_their_own(
    folder: LocalFolder, caplog: pytest.LogCaptureFixture
) -> None:
    outputs = (
        Output(data=b"1"),
        Output(data=b"2", media_type="image/png"),
        Output(data=b"3"),
        Output(data=b"4", role="b"),
        Output(data=b"5", role="b"),
    )
    job = a_job(result=JobResult(outputs=outputs))
    for order in (outputs, outputs[::-1]):
        for output in order:
            folder.write(job, output, None)
    assert names_in(folder.root) == [
        "0001-a-cat-2.mp4", "0001-a-cat-b-2.bin", "0001-a-cat-b.bin", "0001-a-cat.mp4",
        "0001-a-cat.png",
    ]  # fmt: skip
    assert (folder.root / "0001-a-cat-2.mp4").read_bytes() == b"3"
    assert not caplog.records
    # One that the job does not name is the first.
    folder.write(job, Output(data=b"1", ref="x"), None)
    assert len(names_in(folder.root)) == len(outputs)


def test_many_threads_lose_nothing(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path, template="{slug}.{ext}")
    start, made = threading.Barrier(8), list[Artifact]()

    def deliver(number: int) -> None:
        start.wait()
        data = (bytes([number]) * 1000 for _ in range(50))
        made.extend(folder.write(a_job(number, "same"), Output(ref="x"), data))

    threads = [threading.Thread(target=deliver, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({artifact.path for artifact in made}) == 8
    assert all(sha(artifact.path.read_bytes()) == artifact.sha256 for artifact in made)
    assert len(names_in(tmp_path)) == 8
