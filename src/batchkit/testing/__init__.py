"""Tools to test programs that embed batchkit, and implementations of its protocols.

Everything here is a fake by name; nothing else in batchkit is.
"""

from __future__ import annotations

from batchkit.clients._webhook_checks import sign_webhook
from batchkit.testing._check_client import check_client
from batchkit.testing._check_storage import check_storage
from batchkit.testing._clock import FakeClock
from batchkit.testing._fake_api import Asked, FakeAPI
from batchkit.testing._faults import FAULTS, SCRIPTS, SEEDED, Fault
from batchkit.testing._http_client import (
    AsyncHTTPFakeClient,
    HTTPFakeClient,
    RudeHTTPFakeClient,
)
from batchkit.testing._ledger import Bill, Ledger
from batchkit.testing._ledger_check import ItemReport, LedgerReport
from batchkit.testing._model import RemoteJob, content
from batchkit.testing._provider import (
    AsyncFakeClient,
    Crash,
    CrashAt,
    FakeClient,
    FakeProvider,
    items,
)
from batchkit.testing._server import FakeServer
from batchkit.testing._webhooks import verify_webhook

__all__ = [
    "Asked",
    "AsyncFakeClient",
    "AsyncHTTPFakeClient",
    "Bill",
    "check_client",
    "check_storage",
    "content",
    "Crash",
    "CrashAt",
    "FakeAPI",
    "FakeClient",
    "FakeClock",
    "FakeProvider",
    "FakeServer",
    "Fault",
    "FAULTS",
    "HTTPFakeClient",
    "ItemReport",
    "items",
    "Ledger",
    "LedgerReport",
    "RemoteJob",
    "RudeHTTPFakeClient",
    "SCRIPTS",
    "SEEDED",
    "sign_webhook",
    "verify_webhook",
]
