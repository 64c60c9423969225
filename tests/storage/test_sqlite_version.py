"""Which SQLite is tested: ``nox -s sqlite_versions`` builds others and names them here."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

from batchkit.storage import SQLiteStorage


def test_the_sqlite_that_is_meant() -> None:
    with closing(SQLiteStorage(":memory:")) as storage, storage._reading() as db:
        found = db.execute("SELECT sqlite_version()").fetchone()[0]
    meant = os.environ.get("BATCHKIT_SQLITE_VERSION", sqlite3.sqlite_version)
    assert found == meant, "another SQLite was loaded than the one that was built"
    assert tuple(int(part) for part in found.split(".")) >= (3, 31)
