"""A notebook's output is made once, renewed in place, and never at the cost of the run."""

from __future__ import annotations

import sys
import threading
import types
from typing import Any

import pytest

from batchkit import BatchRunner, Capabilities, GenerateVideo
from batchkit.storage import MemoryStorage
from batchkit.ui.notebook import show


class Notebook:
    """Stands in for IPython."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.enough = threading.Event()
        self.fails = False

    def display(self, data: dict[str, str], **options: Any) -> None:
        self.calls.append({**options, **data})
        if len(self.calls) >= 3:
            self.enough.set()
        if self.fails:
            raise RuntimeError("the page was closed")


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    made = Notebook()
    module, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    module.get_ipython = lambda: made  # type: ignore[attr-defined]
    display.display = made.display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return made


def echo(request: GenerateVideo) -> str:
    return request.prompt


echo.capabilities = Capabilities(repeat="free", sync_result=True)  # type: ignore[attr-defined]


@pytest.fixture
def runner() -> BatchRunner:
    made = BatchRunner(echo, storage=MemoryStorage())
    made.add_many(["a", "b"])
    return made


def test_a_handle_is_renewed_until_its_end(notebook: Notebook, runner: BatchRunner) -> None:
    handle = runner.start()
    shown = show(handle, interval=0.001)
    assert handle.result(30).ok
    shown._thread.join(30)
    assert not shown._thread.is_alive()
    first, *others = notebook.calls
    assert first["update"] is False
    assert others
    assert all(call["update"] for call in others)
    assert len({call["display_id"] for call in notebook.calls}) == 1
    assert "100 %" in others[-1]["text/html"]


def test_a_runner_is_renewed_within_a_block(notebook: Notebook, runner: BatchRunner) -> None:
    with show(runner, interval=0.001):
        assert runner.run().ok
        assert notebook.enough.wait(30)
    assert "100 %" in notebook.calls[-1]["text/html"]


def test_a_runner_without_a_block_is_shown_once(notebook: Notebook, runner: BatchRunner) -> None:
    shown = show(runner)
    shown._ipython_display_()
    shown.close()
    assert len(notebook.calls) == 1


def test_a_fault_is_logged_and_the_run_goes_on(
    notebook: Notebook, runner: BatchRunner, caplog: pytest.LogCaptureFixture
) -> None:
    notebook.fails = True
    with show(runner, interval=0.001) as shown:
        shown._thread.join(30)
        assert runner.run().ok
    assert "the run goes on" in caplog.text


def test_elsewhere_it_is_one_line(
    runner: BatchRunner, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    with show(runner):
        pass
    assert capsys.readouterr().err.startswith("<BatchRunner 'default' memory")
