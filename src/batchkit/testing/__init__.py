"""Tools to test programs that embed batchkit, and implementations of its protocols.

Everything here is a fake by name; nothing else in batchkit is.
"""

from __future__ import annotations

from batchkit.testing._check_client import check_client
from batchkit.testing._check_storage import check_storage
from batchkit.testing._clock import FakeClock
from batchkit.testing._fake_api import Asked, FakeAPI
from batchkit.testing._provider import (
    SCRIPTS,
    AsyncFakeClient,
    Crash,
    CrashAt,
    FakeClient,
    FakeProvider,
    Ledger,
    RemoteJob,
    content,
    items,
)

__all__ = [
    "Asked",
    "AsyncFakeClient",
    "check_client",
    "check_storage",
    "content",
    "Crash",
    "CrashAt",
    "FakeAPI",
    "FakeClient",
    "FakeClock",
    "FakeProvider",
    "items",
    "Ledger",
    "RemoteJob",
    "SCRIPTS",
]
