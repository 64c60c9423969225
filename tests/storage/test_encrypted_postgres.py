"""The encrypted storage over a PostgreSQL server."""

from __future__ import annotations

import itertools

from encrypted_help import KEY, encrypted, plant, planted_item
from json_help import facts
from sqlite_help import NOW

from batchkit.storage import EncryptedStorage, PostgresStorage, Storage, generate_key
from batchkit.testing import check_storage
from postgres_server import Make

pytest_plugins = ["postgres_fixtures"]


def test_the_contract(make: Make, schema: str) -> None:
    numbers = itertools.count()

    def factory() -> Storage:
        return encrypted(make(schema=f"{schema}_{next(numbers)}"))

    def reopen(storage: Storage) -> Storage:
        storage.close()
        return encrypted(PostgresStorage(storage.location))

    check_storage(factory, reopen)


def test_rotation(make: Make) -> None:
    fresh = generate_key()
    batch = plant(encrypted(make()))
    rotating = EncryptedStorage(make(), keys=[fresh, KEY])
    before = facts(rotating)
    rotating.rotate()
    after = encrypted(make(), fresh)
    assert facts(after) == before
    assert not any(new for _, new in after.add(batch, [planted_item("a")], NOW))
