"""The program itself: a process, its signals and its death."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import process_kit
import pytest
from process_kit import GENERATE, call, command, journal, read_terminal, read_until, start, until

folder = process_kit.folder
MEDIA = Path(__file__).parents[2] / "examples" / "media"
NAMES = ("austen-0870.webm", "austen-0880.wav", "austen-0890.mp3", "jfk-inaugural.mp4")


@pytest.mark.slow
def test_transcribe_killed_in_the_middle_and_run_again(tmp_path: Path) -> None:
    words = ("transcribe", str(MEDIA), "--max-concurrent", "1", "--template", "{stem}.{ext}")
    # A machine that stalls this test for seconds lets the program end before it is killed.
    for turn in range(3):
        folder = tmp_path / str(turn)
        folder.mkdir()
        process = start(folder, *words)
        until(process, folder, "completed", 1)
        process.kill()
        process.communicate()
        done = set(journal(folder, "completed"))
        if len(done) < 4:
            break
    assert 1 <= len(done) < 4

    again = call(folder, *words)
    assert again.returncode == 0, again.stderr
    assert "known already: 4" in again.stderr
    assert "All done (batch transcripts): 4 of 4" in again.stdout
    submissions = journal(folder, "submitting")
    assert {job: submissions[job] for job in done} == dict.fromkeys(done, 1)
    assert max(submissions.values()) <= 2
    assert set(journal(folder, "completed").values()) == {1}
    expected = {f"{Path(n).stem}.{ext}" for n in NAMES for ext in ("txt", "srt", "vtt", "json")}
    found = {path.name for path in (folder / "transcripts").iterdir()}
    # A file that was being written may be left under its temporary name; none is there twice.
    assert {name for name in found if not name.startswith(".")} - {"manifest.jsonl"} == expected
    spoken = (folder / "transcripts" / "jfk-inaugural.txt").read_text()
    assert "what you can do for your country" in spoken


@pytest.mark.slow
def test_bad_media_fail_and_the_others_go_on(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    (media / "good.wav").write_bytes((MEDIA / "austen-0880.wav").read_bytes())
    (media / "corrupt.mp4").write_bytes(b"\x00\x01 no video" * 500)
    (media / "empty.mp3").write_bytes(b"")
    result = call(tmp_path, "transcribe", "media")
    assert result.returncode == 1
    assert "Finished with failures (batch transcripts): 1 of 3 jobs completed" in result.stdout
    assert "corrupt.mp4 is damaged" in result.stdout
    assert "empty.mp3 is empty (0 bytes): copy or record it again" in result.stdout
    assert (tmp_path / "transcripts" / "0003-good.txt").stat().st_size > 10


@pytest.mark.slow
def test_one_ctrl_c_lets_jobs_in_flight_end(folder: Path) -> None:
    process = start(folder, *GENERATE, "mine:step")
    until(process, folder, "submitting", 1)
    process.send_signal(signal.SIGINT)
    read_until(process, "stopping: jobs in flight will end first")
    (folder / "go").touch()
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out.startswith("Interrupted (batch videos): 1 of 3 jobs completed")
    assert "Go on: batchkit resume\n" in out
    again = call(folder, *GENERATE, "mine:step")
    assert again.returncode == 0
    assert set(journal(folder, "submitting").values()) == {1}


@pytest.mark.slow
def test_a_third_ctrl_c_ends_a_process_whose_call_is_stuck(folder: Path) -> None:
    process = start(folder, *GENERATE, "mine:stuck")
    until(process, folder, "submitting", 1)
    for words in ("stopping: ", "leaving: ", "gave up: "):
        process.send_signal(signal.SIGINT)
        read_until(process, words)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Interrupted. The same command goes on from here." in err
    assert "Traceback" not in err
    # It may have been paid for: the next run leaves it to a person.
    (folder / "go").touch()
    again = call(folder, *GENERATE, "mine:stuck", "--limit", "0")
    assert again.returncode == 3, again.stderr
    assert "See the uncertain jobs: batchkit uncertain" in again.stdout


@pytest.mark.slow
def test_in_a_terminal_the_picture_says_that_the_run_is_stopping(folder: Path) -> None:
    master, terminal = os.openpty()
    env = {**os.environ, "BATCHKIT_LANG": "en", "TERM": "xterm", "COLUMNS": "100"}
    env.pop("CI", None)
    words = command(*GENERATE, "mine:step")
    process = subprocess.Popen(
        words, cwd=folder, env=env, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal
    )
    os.close(terminal)
    seen = read_terminal(master, b"Submitting")
    process.send_signal(signal.SIGINT)
    seen += read_terminal(master, "videos · Stopping".encode())
    (folder / "go").touch()
    # The cursor comes back, which the picture hides.
    seen += read_terminal(master, b"\x1b[?25h")
    out, _ = process.communicate(timeout=30)
    os.close(master)
    assert b"stopping: jobs in flight will end first" in seen
    # Data do not mix with the picture.
    assert out.startswith(b"Interrupted (batch videos): 1 of 3 jobs completed")
    assert b"\x1b" not in out
    assert process.returncode == 130


@pytest.mark.slow
def test_a_second_process_is_refused_and_status_pause_and_resume_work_meanwhile(
    folder: Path,
) -> None:
    process = start(folder, *GENERATE, "mine:step")
    until(process, folder, "submitting", 1)
    second = call(folder, *GENERATE, "mine:step")
    assert second.returncode == 4
    assert f"Error: another process ({process.pid}) runs batch 'videos'" in second.stderr
    assert call(folder, "status").returncode == 0
    assert call(folder, "pause").returncode == 0
    resumed = call(folder, "resume", "--client", "mine:step")
    assert resumed.stdout == "The batch goes on in the process that runs it.\n"
    # Now: it leaves although its call has not returned, and takes the call's thread along.
    assert call(folder, "stop", "--now").returncode == 0
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out.startswith("Interrupted (batch videos): 0 of 3")


@pytest.mark.slow
def test_exit_codes_reach_the_shell(folder: Path) -> None:
    (folder / "go").touch()
    assert call(folder, "status").returncode == 2
    assert call(folder, "--version").returncode == 0
    assert call(folder, *GENERATE, "mine:step").returncode == 0
    (folder / "batchkit.db").write_bytes(b"ruined" * 1000)
    assert call(folder, "status").returncode == 4


@pytest.mark.slow
def test_a_pipe_that_closes_early_is_no_traceback(folder: Path) -> None:
    process = start(folder, "--help")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(30)
