"""The stop button of a notebook: it drains; the cell run again ends the batch, paid once."""

from __future__ import annotations

import contextlib
import queue
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crash_provider import FileProvider
from crash_script import PROMPTS

manager = pytest.importorskip("jupyter_client.manager")

CELL = """
import logging, sys
logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s")
sys.path.insert(0, {here!r})
from pathlib import Path
from crash_script import PROMPTS, make_runner
with make_runner(Path({folder!r}), {executor!r}) as runner:
    runner.add_many(PROMPTS)
    summary = runner.run()
    print("ended", *(str(job.status) for job in runner.jobs()), flush=True)
"""


class Notebook:
    """A kernel, and what its cells say."""

    def __init__(self, kernel: Any, client: Any) -> None:
        self.kernel, self.client = kernel, client
        self._said = ""

    def run(self, cell: str) -> None:
        self.client.execute(cell)
        self._said = ""

    def expect(self, words: str) -> None:
        """Waits until the cell has said that."""
        while words not in self._said:
            try:
                message = self.client.get_iopub_msg(timeout=30)
            except queue.Empty:
                raise AssertionError(f"never said {words!r}, only {self._said!r}") from None
            content = message["content"]
            self._said += content.get("text", "") + "\n".join(content.get("traceback", ()))


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Notebook]:
    with warnings.catch_warnings():
        # Of the libraries that start kernels, in some versions.
        warnings.simplefilter("ignore")
        kernel, client = manager.start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
        try:
            yield Notebook(kernel, client)
        finally:
            client.stop_channels()
            kernel.shutdown_kernel(now=True)
            with contextlib.suppress(AttributeError):
                kernel.context.destroy()


@pytest.mark.parametrize("executor", ["threads", "asyncio"])
def test_an_interrupted_cell_goes_on_when_it_is_run_again(
    notebook: Notebook, tmp_path: Path, executor: str
) -> None:
    here = str(Path(__file__).parent)
    cell = CELL.format(here=here, folder=str(tmp_path), executor=executor)
    notebook.run(cell)
    notebook.expect("polled")

    notebook.kernel.interrupt_kernel()
    notebook.expect("stopping")
    (tmp_path / "finish").touch()
    notebook.expect("ended completed pending")

    notebook.run(cell)
    notebook.expect("ended completed completed")
    ledger = FileProvider(tmp_path / "ledger.jsonl")
    assert ledger.charges() == dict.fromkeys(PROMPTS, 1)
