"""OpenAIAudioClient against transcription servers that other people wrote, on real speech.

``BATCHKIT_TRANSCRIPTION_SERVER`` adds a server of yours by its base URL, with
``BATCHKIT_TRANSCRIPTION_KEY`` and ``BATCHKIT_TRANSCRIPTION_MODEL``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real_servers_kit import STARTS, Server

from batchkit import BatchRunner, ErrorKind, Job, JobStatus
from batchkit.clients.openai_audio import OpenAIAudioClient

MEDIA = Path(__file__).parents[2] / "examples" / "media"
OWN = "BATCHKIT_TRANSCRIPTION_SERVER"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", params=[*STARTS, OWN])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    if request.param != OWN:
        with STARTS[request.param](tmp_path_factory.mktemp("server") / "log") as started:
            yield started
        return
    if OWN not in os.environ:
        pytest.skip(f"{OWN} names no server")
    names = ("BATCHKIT_TRANSCRIPTION_KEY", "BATCHKIT_TRANSCRIPTION_MODEL")
    key, model = (os.environ.get(name, "") for name in names)
    yield Server(os.environ[OWN], key, model or "whisper-1")


def client_of(server: Server, **options: Any) -> OpenAIAudioClient:
    given = {"base_url": server.base_url, "model": server.model, **options}
    return OpenAIAudioClient(given.pop("key", server.key), **given)


def spoken() -> dict[str, list[str]]:
    """The words of each recording, from the table beside the recordings."""
    rows = [line.split("|") for line in (MEDIA / "README.md").read_text("utf-8").splitlines()]
    return {row[1].strip(): words(row[5]) for row in rows if len(row) > 5 and "." in row[1]}


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower().replace("mr.", "mister").replace("-", " "))


def errors(expected: list[str], found: list[str]) -> int:
    """Word edit distance: substitutions, insertions and deletions."""
    row = list(range(len(found) + 1))
    for i, word in enumerate(expected, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(found, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (word != other))
    return row[-1]


def one_job(client: OpenAIAudioClient, source: Path) -> tuple[Job, str | None]:
    """The job, and why the batch is paused."""
    with BatchRunner(client, storage="memory", delay=0) as runner:
        runner.add_files(source)
        summary = runner.run()
        (job,) = runner.jobs()
        return runner.job(job), summary.paused


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_the_words_are_right(
    server: Server, executor: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with BatchRunner(
        client_of(server), executor=executor, storage=tmp_path / "batch.db", output=tmp_path / "out"
    ) as runner:
        runner.add_files(MEDIA)
        assert runner.run().ok
        jobs = list(runner.results())
    expected = spoken()
    texts = {job.title: (job.result.text or "") if job.result else "" for job in jobs}
    assert texts.keys() == expected.keys()
    wrong = sum(errors(expected[name], words(text)) for name, text in texts.items())
    total = sum(len(said) for said in expected.values())
    with capsys.disabled():
        print(f" [word error rate {wrong}/{total} = {100 * wrong / total:.1f} %]")
    assert wrong / total <= 0.10
    assert len(list((tmp_path / "out").glob("*.srt"))) == len(expected)


def test_times_are_in_order_and_inside_the_recording(server: Server) -> None:
    job, _ = one_job(client_of(server), MEDIA / "jfk-inaugural.mp4")
    assert job.result is not None
    found = job.result.transcript
    assert found is not None
    moments = [moment for part in found.segments for moment in (part.start, part.end)]
    assert moments == sorted(moments)
    assert 8 < moments[-1] <= 11.5
    told = [word for part in found.segments for word in part.words]
    assert not told or words(" ".join(word.text for word in told)) == words(found.text)


def test_what_is_no_recording_is_uncertain_where_it_might_be_paid(
    server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "noise.wav"
    file.write_bytes(b"this is no sound")
    if server.base_url == os.environ.get(OWN):
        pytest.skip("how a server of yours answers is not known")
    # Both servers answer 500: of a paid one, that proves nothing.
    paid, _ = one_job(client_of(server), file)
    assert paid.status is JobStatus.UNCERTAIN
    own, _ = one_job(client_of(server, free=True), file)
    assert own.status is JobStatus.FAILED


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with STARTS["open-asr-server"](tmp_path_factory.mktemp("server") / "log") as started:
        yield started


def test_words_stand_in_their_segments(strict: Server) -> None:
    job, _ = one_job(client_of(strict), MEDIA / "jfk-inaugural.mp4")
    assert job.result is not None
    assert job.result.transcript is not None
    for part in job.result.transcript.segments:
        assert words(" ".join(word.text for word in part.words)) == words(part.text)


@pytest.mark.parametrize("key", ["", "sk-of-somebody-else"])
def test_a_wrong_key_pauses_the_batch(strict: Server, key: str) -> None:
    job, paused = one_job(client_of(strict, key=key), MEDIA / "austen-0890.mp3")
    assert job.status is not JobStatus.COMPLETED
    assert paused is not None
    assert "401" in paused


def test_a_file_above_the_limit_of_the_server(strict: Server, tmp_path: Path) -> None:
    file = tmp_path / "large.wav"
    file.write_bytes(bytes(500_000))
    job, _ = one_job(client_of(strict), file)
    assert job.error is not None
    assert (job.status, job.error.kind) == (JobStatus.FAILED, ErrorKind.INVALID_INPUT)
    assert "File too large" in job.error.message


def test_a_model_that_the_server_does_not_know(strict: Server) -> None:
    job, _ = one_job(client_of(strict, model="nobody:knows"), MEDIA / "austen-0890.mp3")
    assert job.error is not None
    assert job.status is JobStatus.FAILED
    assert "nobody:knows" in job.error.message
