"""Short ways to download one file into a folder."""

from __future__ import annotations

from typing import Any

import pytest
from folder_kit import a_job, names_in

from batchkit._errors import ClientError
from batchkit._results import Download, Output
from batchkit.artifacts import LocalFolder


def got(folder: LocalFolder, what: str | Download, **declared: Any) -> bytes:
    """The content of the file that *what* has become."""
    output = Output(url=what, **declared) if isinstance(what, str) else Output(ref="r", **declared)
    (made,) = folder.write(a_job(), output, what if isinstance(what, Download) else None)
    return made.path.read_bytes()


def fails(folder: LocalFolder, what: str | Download, **declared: Any) -> ClientError:
    """The error of a download that leaves nothing, and tells no secret."""
    with pytest.raises(ClientError) as caught:
        got(folder, what, **declared)
    error = caught.value
    assert "SECRET" not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    assert names_in(folder.root) == []
    return error


def refused(folder: LocalFolder, what: str | Download, **declared: Any) -> str:
    """The message of a download that is of no use to repeat."""
    error = fails(folder, what, **declared)
    assert not error.retryable, error
    return str(error)
