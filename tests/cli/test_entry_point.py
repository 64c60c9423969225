"""The program itself: a process, its signals, its death, and the package that is not ours."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import types
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchkit import BatchRunner, cli
from batchkit_video import __main__ as entry

MEDIA = Path(__file__).parents[2] / "examples" / "media"
NAMES = ("austen-0870.webm", "austen-0880.wav", "austen-0890.mp3", "jfk-inaugural.mp4")


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "batchkit_video", *words]


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "BATCHKIT_LANG": "en"}
    return subprocess.run(
        command(*words),
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    env = {**os.environ, "BATCHKIT_LANG": "en"}
    return subprocess.Popen(
        command(*words),
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def journal(folder: Path, kind: str) -> Counter[int]:
    """How often each job had an event of that kind; nothing while there is no database."""
    database = folder / "batchkit.db"
    if not database.exists():
        return Counter()
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        try:
            rows = db.execute("SELECT job FROM journal WHERE kind = ?", (kind,)).fetchall()
        except sqlite3.OperationalError:
            # Its tables are being made.
            return Counter()
    return Counter(row[0] for row in rows)


def until(process: subprocess.Popen[str], folder: Path, kind: str, count: int) -> None:
    """Waits until that many jobs of a living process had such an event."""
    deadline = time.monotonic() + 40
    while len(journal(folder, kind)) < count:
        assert time.monotonic() < deadline
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)


@pytest.mark.slow
def test_transcribe_killed_in_the_middle_and_run_again(tmp_path: Path) -> None:
    words = ("transcribe", str(MEDIA), "--max-concurrent", "1", "--template", "{stem}.{ext}")
    process = start(tmp_path, *words)
    until(process, tmp_path, "completed", 1)
    process.kill()
    process.communicate()
    done = set(journal(tmp_path, "completed"))
    assert 1 <= len(done) < 4

    again = call(tmp_path, *words)
    assert again.returncode == 0, again.stderr
    assert "known already: 4" in again.stderr
    assert "All done (batch transcripts): 4 of 4" in again.stdout
    submissions = journal(tmp_path, "submitting")
    assert {job: submissions[job] for job in done} == dict.fromkeys(done, 1)
    assert max(submissions.values()) <= 2
    assert set(journal(tmp_path, "completed").values()) == {1}
    expected = {f"{Path(n).stem}.{ext}" for n in NAMES for ext in ("txt", "srt", "vtt", "json")}
    found = {path.name for path in (tmp_path / "transcripts").iterdir()}
    # A file that was being written may be left under its temporary name; none is there twice.
    assert {name for name in found if not name.startswith(".")} - {"manifest.jsonl"} == expected
    spoken = (tmp_path / "transcripts" / "jfk-inaugural.txt").read_text()
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


CLIENT = """
import threading
from pathlib import Path
from batchkit import Capabilities

def step(request):
    # Works until the test has done what it wanted to.
    while not Path("go").exists():
        threading.Event().wait(0.01)
    return request.title

step.capabilities = Capabilities(repeat="free", sync_result=True)

def stuck(request):
    threading.Event().wait()

stuck.capabilities = Capabilities(sync_result=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(CLIENT)
    (tmp_path / "prompts.txt").write_text("a\nb\nc\n")
    return tmp_path


GENERATE = ("generate", "prompts.txt", "--max-concurrent", "1", "--client")


def read_until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"it never said {words!r}")


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
    assert "Go on: batchkit resume --client MODULE:FACTORY" in out
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
    assert "See the uncertain jobs: batchkit list --status uncertain" in again.stdout


def read_terminal(file: int, awaited: bytes) -> bytes:
    seen = b""
    while awaited not in seen:
        seen += os.read(file, 4096)
    return seen


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
    assert f"Error: another runner (process {process.pid}) works on batch 'videos'" in second.stderr
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


# -- in this process -------------------------------------------------------------------------


def code_of(raised: pytest.ExceptionInfo[SystemExit]) -> object:
    return raised.value.code


def test_without_click_it_says_which_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [n for n in sys.modules if n.startswith("batchkit.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "click", None)
    with pytest.raises(SystemExit) as raised:
        cli.main(["status"])
    assert code_of(raised) == 2
    said = capsys.readouterr().err
    assert said == (
        'Error: the command line needs the extra "cli": pip install "batchkit-video[cli]"\n'
    )


def test_the_answer_of_a_command_is_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words, code in ((["--version"], 0), (["status"], 2), (["nope"], 2)):
        with pytest.raises(SystemExit) as raised:
            entry.main(words)
        assert code_of(raised) == code


def test_a_thread_that_is_stuck_does_not_keep_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(cli, "_FAREWELL", 0.01)
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        with pytest.raises(SystemExit):
            cli.leave(130)
    finally:
        over.set()
        thread.join()
    assert codes == [130]


@pytest.fixture
def foreign() -> Iterator[types.ModuleType]:
    """Another vendor's package in place of ours."""
    module = types.ModuleType("batchkit")
    module.__file__ = "/site-packages/batchkit/__init__.py"
    ours = sys.modules["batchkit"]
    sys.modules["batchkit"] = module
    yield module
    sys.modules["batchkit"] = ours


def test_another_vendors_package_is_recognised(
    foreign: types.ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entry.main(["status"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: the batchkit at /site-packages/batchkit is another vendor's")
    assert "pip uninstall -y batchkit" in said
    assert "--force-reinstall --no-deps batchkit-video" in said


def test_the_doctor_tells_of_another_vendors_package(
    foreign: types.ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entry.main(["doctor"]) == 1
    assert "FAIL  package batchkit" in capsys.readouterr().out


def test_a_package_that_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "batchkit", None)
    assert entry.main(["status"]) == 2
    assert "batchkit cannot be imported" in capsys.readouterr().err


def test_the_doctor_finds_a_healthy_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert entry.main(["doctor"]) == 0
    said = capsys.readouterr().out
    for what in ("batchkit-video", "Python", "SQLite", "extra cli", "speech models", "database"):
        assert f"  {what}" in said
    assert "FAIL" not in said
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_is_a_command_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as raised:
        cli.main(["doctor"])
    assert code_of(raised) == 0
    assert "batchkit can work here" in capsys.readouterr().out


def test_the_doctor_misses_extras_but_can_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(entry, "_EXTRAS", {"magic": ("no_such_module",)})
    monkeypatch.setattr(entry, "_bundled_models", list)
    monkeypatch.setattr(entry, "_downloaded_models", list)
    assert entry.main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert '--  extra magic: missing no_such_module: pip install "batchkit-video[magic]"' in said
    assert "--  speech models: none here" in said


def test_the_doctor_finds_the_other_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(entry, "_version", lambda name: "1.0")
    assert entry.main(["doctor"]) == 1
    assert (
        "FAIL  other packages of that name: the distribution batchkit 1.0"
        in capsys.readouterr().out
    )


def test_the_doctor_finds_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing"
    monkeypatch.setattr(Path, "cwd", lambda: missing)
    assert entry.main(["doctor"]) == 1
    assert "FAIL  database in this folder" in capsys.readouterr().out


def test_downloaded_models_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "hub" / "models--Systran--faster-whisper-small" / "snapshots" / "abc"
    place.mkdir(parents=True)
    (place / "model.bin").touch()
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert entry._downloaded_models() == ["small"]


def test_the_entry_point_is_ours() -> None:
    assert entry.find_fault() is None
    assert BatchRunner.__module__.startswith("batchkit")
