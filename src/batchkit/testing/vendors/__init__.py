"""Fake servers that speak like real providers, for tests of clients and of programs.

Each of them is a dialect: the paths, words and errors of one provider, over the same fake
provider with its ledger, its faults and its seeds::

    with VendorServer("fal", fault_rate=0.15, seed=1) as server:
        runner = BatchRunner(server.client(model="fal-ai/veo3.1"), ...)
        ...
        server.check(runner).raise_for_faults()
"""

from __future__ import annotations

import importlib
from typing import Any

from batchkit._batch_view import BatchView
from batchkit._errors import UsageError
from batchkit.clients import load
from batchkit.testing._dialect import Dialect, Route
from batchkit.testing._faults import SEEDED
from batchkit.testing._ledger_check import LedgerReport
from batchkit.testing._provider import FakeProvider
from batchkit.testing._server import ServedProvider

__all__ = ["Dialect", "Route", "SUBMIT_FAULTS", "VENDORS", "VendorServer", "dialect_of"]

#: Where each dialect is; by the names of :func:`batchkit.clients.load`.
_DIALECTS = {
    "assemblyai": "batchkit.testing.vendors._assemblyai:AssemblyAIDialect",
    "deepgram": "batchkit.testing.vendors._deepgram:DeepgramDialect",
    "fal": "batchkit.testing.vendors._fal:FalDialect",
    "gladia": "batchkit.testing.vendors._gladia:GladiaDialect",
    "google": "batchkit.testing.vendors._google:GoogleDialect",
    "groq": "batchkit.testing.vendors._openai_audio:GroqDialect",
    "openai-audio": "batchkit.testing.vendors._openai_audio:OpenAIAudioDialect",
    "openai-videos": "batchkit.testing.vendors._openai_videos:OpenAIVideosDialect",
    "openrouter": "batchkit.testing.vendors._openrouter:OpenRouterDialect",
    "replicate": "batchkit.testing.vendors._replicate:ReplicateDialect",
    "runway": "batchkit.testing.vendors._runway:RunwayDialect",
    "speechmatics": "batchkit.testing.vendors._speechmatics:SpeechmaticsDialect",
}
#: Whose servers there are.
VENDORS = tuple(sorted(_DIALECTS))

#: What is drawn of submissions: not the proof that only the fake's own interface gives.
SUBMIT_FAULTS = tuple(word for word in SEEDED["submit"] if word != "busy")


class VendorServer(ServedProvider):
    """A fake server that speaks the language of a real provider. A context manager.

    Args:
        vendor: one of :data:`VENDORS`.
        api_key: asked of every request.
        host: an address of this machine.
        port: 0 takes a free one.
        poll_seconds: between two status queries of one job; a sooner one is refused with 429. By
            default as the provider has it.
        options: as for :class:`~batchkit.testing.FakeProvider`.

    Attributes:
        vendor: its name.
        provider: its jobs, its script and its ledger.

    Raises:
        UsageError: there is no such dialect.
    """

    def __init__(
        self,
        vendor: str,
        *,
        api_key: str = "key-of-a-fake",
        host: str = "127.0.0.1",
        port: int = 0,
        poll_seconds: float | None = None,
        **options: Any,
    ) -> None:
        options["faults"] = {"submit": SUBMIT_FAULTS, **options.get("faults", {})}
        provider = FakeProvider(api_key=api_key, **options)
        dialect = dialect_of(vendor, provider, poll_seconds=poll_seconds)
        super().__init__(provider, host=host, port=port, dialect=lambda _: dialect)
        self.vendor, self._tells_cost = vendor, dialect.tells_cost

    def client(self, **options: Any) -> Any:
        """The provider's real client, which asks this server.

        Args:
            options: of the client, as ``model=``.
        """
        options = {"key": self.provider.api_key, "base_url": self.url, **options}
        return load(self.vendor, **options)

    def check(self, *batches: BatchView, allowed: tuple[str, ...] = ()) -> LedgerReport:
        """Compares the ledger with what batches know; see :meth:`Ledger.check`."""
        return self.ledger.check(*batches, allowed=allowed, costs_told=self._tells_cost)


def dialect_of(
    vendor: str, provider: FakeProvider, *, poll_seconds: float | None = None
) -> Dialect:
    """The interface of a vendor, over a fake provider; see :class:`VendorServer`.

    Raises:
        UsageError: there is no such dialect.
    """
    if vendor not in _DIALECTS:
        raise UsageError(f"there is no server of {vendor!r}: choose from {', '.join(VENDORS)}")
    module, _, name = _DIALECTS[vendor].partition(":")
    made: Dialect = getattr(importlib.import_module(module), name)(provider)
    if poll_seconds is not None:
        made.poll_seconds = poll_seconds
    return made
