from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from file_server import Answer, FileServer, serving
from folder_kit import a_job, names_in

from batchkit._context import GivenUp, given_up
from batchkit._errors import ClientError
from batchkit._jobs import Handle, Job
from batchkit._results import Artifact, Download, JobResult, Output
from batchkit.artifacts import Limits, LocalFolder
from batchkit.artifacts import _part as parts

BODY = random.Random(1).randbytes(300_000)
HALF = 150_000
MD5 = hashlib.md5(BODY, usedforsecurity=False)
PART, NOTE = ".0001-a-cat.mp4.part", ".0001-a-cat.mp4.part.json"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(BODY) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(tmp_path / "out", limits=Limits(allow_private=True, stall=20))


def download(
    folder: LocalFolder, server: FileServer, job: Job | None = None, **declared: Any
) -> Artifact:
    output = Output(url=server.url, **declared)
    (made,) = folder.write(job or a_job(), output, None)
    assert made.path.read_bytes() == server.body
    assert made.sha256 == server.sha256
    assert names_in(folder.root) == ["0001-a-cat.mp4"]
    return made


def breaks(folder: LocalFolder, server: FileServer, **declared: Any) -> ClientError:
    with pytest.raises(ClientError) as caught:
        folder.write(a_job(), Output(url=server.url, **declared), None)
    assert "SECRET" not in str(caught.value)
    return caught.value


def begin(folder: LocalFolder, server: FileServer, **declared: Any) -> None:
    """Leaves the first half of the file."""
    server.answers.appendleft(Answer(cut=HALF))
    assert breaks(folder, server, **declared).retryable
    assert (folder.root / PART).stat().st_size == HALF
    server.sent = 0


# -- going on


@pytest.mark.parametrize("fault", [Answer(cut=HALF), Answer(reset=HALF)], ids=["cut", "reset"])
def test_a_broken_download_is_gone_on_with(
    folder: LocalFolder, server: FileServer, fault: Answer
) -> None:
    server.answers.append(fault)
    error = breaks(folder, server)
    assert error.retryable
    got = (folder.root / PART).stat().st_size if (folder.root / PART).exists() else 0
    assert got == HALF or fault.reset
    download(folder, server)
    assert server.asked[1].headers.get("If-Range") == ('"first"' if got else None)
    assert server.ranges == [None, f"bytes={got}-" if got else None]


def test_a_stalled_download_ends_and_is_gone_on_with(tmp_path: Path, server: FileServer) -> None:
    folder = LocalFolder(tmp_path / "out", limits=Limits(allow_private=True, stall=1.0))
    server.answers.append(Answer(stall=HALF))
    error = breaks(folder, server)
    assert "ReadTimeout" in str(error)
    assert error.retryable
    download(folder, server)
    assert server.ranges == [None, f"bytes={HALF}-"]


def test_a_slow_drip_ends_when_its_time_is_over(tmp_path: Path, server: FileServer) -> None:
    folder = LocalFolder(tmp_path / "out", limits=Limits(allow_private=True, seconds=0.3))
    server.answers.append(Answer(drip=50))
    error = breaks(folder, server)
    assert "longer than 0.3 s: raise collect_timeout" in str(error)
    assert error.retryable
    assert 0 < (folder.root / PART).stat().st_size < HALF
    LocalFolder(folder.root, limits=Limits(allow_private=True)).write(
        a_job(), Output(url=server.url), None
    )
    assert server.asked[1].headers["Range"]


def test_what_nobody_waits_for_any_more_ends_early(folder: LocalFolder, server: FileServer) -> None:
    def leave() -> None:
        mark = GivenUp()
        given_up.set(mark)
        mark.flag = True

    server.answers.append(Answer(stall=HALF))
    alone = copy_context()
    alone.run(leave)
    error = alone.run(breaks, folder, server)
    assert "nobody waits for it any more" in str(error)
    with pytest.raises(ClientError, match="nobody waits"):
        alone.run(folder.write, a_job(1), Output(ref="r"), iter([b"1", b"2"]))
    assert (folder.root / PART).stat().st_size > 0


def test_another_runner_goes_on(folder: LocalFolder, server: FileServer) -> None:
    begin(folder, server)
    download(LocalFolder(folder.root, limits=folder.limits), server)
    assert server.sent == len(BODY) - HALF


def test_what_is_there_as_a_whole_is_not_asked_for(folder: LocalFolder, server: FileServer) -> None:
    begin(folder, server)
    (folder.root / PART).write_bytes(BODY)
    download(folder, server)
    assert len(server.asked) == 1


def test_a_fresh_address_goes_on_too(folder: LocalFolder, server: FileServer) -> None:
    begin(folder, server)
    fresh = server.url.replace("SECRET", "ANOTHER")
    folder.write(a_job(), Output(url=fresh), None)
    assert server.sent == len(BODY) - HALF


def test_a_date_is_a_validator_unless_it_is_too_young(
    folder: LocalFolder, server: FileServer
) -> None:
    old = "Wed, 21 Oct 2015 07:28:00 GMT"
    server.etag = None
    server.answers.append(Answer(cut=HALF, headers={"Last-Modified": old}))
    breaks(folder, server)
    server.answers.append(Answer(status=206, headers={
        "Content-Range": f"bytes {HALF}-{len(BODY) - 1}/{len(BODY)}",
    }))  # fmt: skip
    download(folder, server)
    assert server.asked[1].headers["If-Range"] == old


def test_client_fetches_may_return_a_download(folder: LocalFolder, server: FileServer) -> None:
    fetched = Download(server.url, {"Authorization": "Bearer KEY-OF-THE-CLIENT", "range": "x"})
    server.answers.append(Answer(cut=HALF))
    with pytest.raises(ClientError):
        folder.write(a_job(), Output(ref="r"), fetched)
    folder.write(a_job(), Output(ref="r"), fetched)
    assert [asked.headers["Authorization"] for asked in server.asked] == [
        "Bearer KEY-OF-THE-CLIENT"
    ] * 2
    assert server.ranges == [None, f"bytes={HALF}-"]


# -- starting again


def partial(*, headers: Any = None, **fault: Any) -> Answer:
    """The other half of another file, announced as if it were the half that was asked for."""
    fits = {"Content-Range": f"bytes {HALF}-{len(BODY) - 1}/{len(BODY)}"}
    return Answer(status=206, headers={**fits, **(headers or {})}, body=BODY[::-1], **fault)


@pytest.mark.parametrize(
    "fault",
    [
        Answer(whole=True),
        Answer(status=416),
        partial(whole=True, headers={"Content-Range": f"bytes 0-{len(BODY) - 1}/{len(BODY)}"}),
        partial(headers={"Content-Range": f"bytes {HALF}-{len(BODY) - 1}/400000"}),
        partial(headers={"Content-Range": "nonsense"}),
        partial(without=("Content-Range",)),
        partial(headers={"ETag": '"second"'}),
    ],
    ids=["200", "416", "start", "total", "nonsense", "silent", "etag"],
)
def test_what_does_not_fit_starts_again(
    folder: LocalFolder, server: FileServer, fault: Answer
) -> None:
    begin(folder, server)
    server.answers.append(fault)
    download(folder, server)
    assert server.ranges == [
        None,
        f"bytes={HALF}-",
        *([] if fault.whole and not fault.status else [None]),
    ]


def test_a_part_that_is_too_long_starts_again(folder: LocalFolder, server: FileServer) -> None:
    begin(folder, server)
    (folder.root / PART).write_bytes(bytes(len(BODY) + 1))
    download(folder, server)
    assert server.ranges == [None, None]


def test_a_server_may_send_less_than_it_was_asked_for(
    folder: LocalFolder, server: FileServer
) -> None:
    begin(folder, server)
    headers = {
        "Content-Range": f"bytes {HALF}-{HALF + 999}/{len(BODY)}",
        "Content-Length": "1000",
    }
    server.answers.append(Answer(status=206, headers=headers, cut=1000))
    error = breaks(folder, server)
    assert f"it ended after {HALF + 1000} of {len(BODY)} bytes" in str(error)
    assert error.retryable
    download(folder, server)
    assert server.ranges[2] == f"bytes={HALF + 1000}-"


def test_a_changed_file_starts_again(folder: LocalFolder, server: FileServer) -> None:
    begin(folder, server)
    server.body, server.etag = BODY[::-1], '"second"'
    download(folder, server)
    assert server.asked[1].headers["If-Range"] == '"first"'
    assert server.sent == len(BODY)


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_validator_nothing_is_kept(
    folder: LocalFolder, server: FileServer, etag: str | None
) -> None:
    server.etag = etag
    server.answers.append(Answer(cut=HALF))
    breaks(folder, server)
    assert names_in(folder.root) == []
    download(folder, server)
    assert server.ranges == [None, None]


@pytest.mark.parametrize(
    "declared",
    [{"size": len(BODY)}, {"sha256": hashlib.sha256(BODY).hexdigest()}, {"md5": MD5.hexdigest()}],
    ids=["size", "sha256", "md5"],
)
def test_without_a_validator_what_can_be_verified_is_gone_on_with(
    folder: LocalFolder, server: FileServer, declared: Any
) -> None:
    server.etag = None
    begin(folder, server, **declared)
    download(folder, server, **declared)
    assert server.ranges == [None, f"bytes={HALF}-"]
    assert "If-Range" not in server.asked[1].headers


def test_another_address_goes_on_only_if_the_whole_can_be_verified(
    folder: LocalFolder, server: FileServer
) -> None:
    begin(folder, server)
    elsewhere = server.url.replace("video", "other")
    folder.write(a_job(), Output(url=elsewhere), None)
    assert server.ranges == [None, None]


@pytest.mark.parametrize(
    "other",
    [{"attempt": 2}, {"handle": Handle(id="another")}, {"identity": "another"}],
    ids=["attempt", "handle", "identity"],
)
def test_the_part_of_another_job_is_not_gone_on_with(
    folder: LocalFolder, server: FileServer, other: Any
) -> None:
    begin(folder, server)
    download(folder, server, a_job(**other))
    assert server.ranges == [None, None]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"owner": 1}', '{"synced": "x"}'])
def test_a_damaged_note_starts_again(folder: LocalFolder, server: FileServer, damage: str) -> None:
    begin(folder, server)
    (folder.root / NOTE).write_text(damage)
    download(folder, server)
    assert server.ranges == [None, None]


# -- what a note says, and what it is trusted for


def test_the_note_holds_no_secret_and_is_private(folder: LocalFolder, server: FileServer) -> None:
    begin(folder, server)
    text = (folder.root / NOTE).read_text("utf-8")
    assert "SECRET" not in text
    assert "127.0.0.1" not in text
    assert json.loads(text)["validator"] == '"first"'
    assert (folder.root / NOTE).stat().st_mode & 0o777 == 0o600


def test_after_a_power_cut_only_what_was_synced_counts(
    folder: LocalFolder, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "SYNC_EVERY", 50_000)
    server.answers.append(Answer(cut=100_000))
    breaks(folder, server)
    monkeypatch.setattr(parts, "SYNC_EVERY", len(BODY))
    server.answers.append(Answer(cut=HALF - 100_000))
    breaks(folder, server)
    synced = json.loads((folder.root / NOTE).read_text("utf-8"))["synced"]
    assert 50_000 <= synced <= 100_000
    # The file was as long as that, and the rest of it never reached the disk.
    with (folder.root / PART).open("r+b") as file:
        file.seek(synced)
        file.write(bytes(HALF - synced))
    monkeypatch.setattr(parts, "_this_boot", lambda: "another boot")
    download(folder, server)
    assert server.ranges[2:] == [f"bytes={synced}-"]


def test_where_boots_cannot_be_told_apart_only_what_was_synced_counts(
    folder: LocalFolder, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_this_boot", lambda: "")
    begin(folder, server)
    download(folder, server)
    assert server.ranges == [None, None]


def test_what_an_expired_job_left_is_removed(folder: LocalFolder, server: FileServer) -> None:
    begin(folder, server)
    job = a_job(result=JobResult(outputs=(Output(url=server.url),)))
    folder.discard(job)
    assert names_in(folder.root) == []
    folder.discard(a_job())


def test_a_part_in_use_is_left_to_its_writer(folder: LocalFolder, server: FileServer) -> None:
    begin(folder, server)
    with parts.Part.create(folder.root / "0001-a-cat.mp4") as other:
        other.write(b"theirs")
        (made,) = folder.write(a_job(), Output(url=server.url), None)
        assert os.path.samestat(os.fstat(other._fd), other.path.stat())
    assert made.path.read_bytes() == BODY
