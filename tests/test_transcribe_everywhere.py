"""The main job on real speech: every executor writes down the same words, and they are right."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from batchkit import BatchRunner
from batchkit.clients.whisper import FasterWhisperClient
from telling_kit import Tell

MEDIA = Path(__file__).parent.parent / "examples" / "media"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def client() -> FasterWhisperClient:
    return FasterWhisperClient()


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


def transcribe(client: FasterWhisperClient, executor: str, folder: Path) -> dict[str, str]:
    with BatchRunner(
        client, executor=executor, storage=folder / "batch.db", output=folder / "out"
    ) as runner:
        runner.add_files(MEDIA)
        assert runner.run().ok
        return {
            job.title: (job.result.text or "") if job.result else "" for job in runner.results()
        }


def test_every_executor_writes_the_same_words_and_they_are_right(
    client: FasterWhisperClient, tmp_path: Path, tell: Tell
) -> None:
    texts = []
    for executor in ("sequential", "threads", "asyncio"):
        (tmp_path / executor).mkdir()
        texts.append(transcribe(client, executor, tmp_path / executor))
    expected = spoken()

    assert texts[0] == texts[1] == texts[2]
    assert texts[0].keys() == expected.keys()
    wrong = sum(errors(expected[name], words(text)) for name, text in texts[0].items())
    total = sum(len(said) for said in expected.values())
    tell(f"word error rate {wrong}/{total} = {100 * wrong / total:.1f} %")
    assert wrong / total <= 0.10


def test_files_manifest_and_a_second_run(client: FasterWhisperClient, tmp_path: Path) -> None:
    first = transcribe(client, "threads", tmp_path)
    out = tmp_path / "out"
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    before = {path: path.stat().st_mtime_ns for path in out.iterdir() if path.suffix == ".srt"}

    assert len(lines) == 4
    assert {Path(file["path"]).suffix for line in lines for file in line["files"]} == {
        ".txt",
        ".srt",
        ".vtt",
        ".json",
    }
    assert transcribe(client, "threads", tmp_path) == first
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_lost_database_does_not_repeat_what_is_on_disk(
    client: FasterWhisperClient, tmp_path: Path
) -> None:
    transcribe(client, "threads", tmp_path)
    for path in tmp_path.glob("batch.db*"):
        path.unlink()

    with BatchRunner(client, storage=tmp_path / "batch.db", output=tmp_path / "out") as runner:
        runner.add_files(MEDIA)
        assert runner.run().ok
        assert all(job.attempt == 0 for job in runner.jobs())
