"""What only tests ask of a fake server: the ledger, and faults to come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchkit._errors import UsageError
from batchkit.testing._messages import NOT_JSON, Reply, Request, refusal
from batchkit.testing._model import Model


def control(model: Model, request: Request) -> Reply | None:
    """The answer; ``None`` is a request of the provider's own interface."""
    if not request.path.startswith("/_"):
        return None
    match request.method, request.path:
        case "GET", "/_ledger":
            return Reply(data=model.ledger.as_dict())
        case "POST", "/_script":
            return _script(model, request.data)
    return refusal(404, "no such page")


def _script(model: Model, asked: Any) -> Reply:
    if asked is NOT_JSON or not isinstance(asked, Mapping):
        return refusal(400, "send JSON with items, next, rates or refuse", "bad_request")
    try:
        for item, words in asked.get("items", {}).items():
            model.plan.script(item, *words)
        model.plan.script_next(*asked.get("next", ()))
    except UsageError as exc:
        return refusal(400, str(exc), "bad_request")
    model.plan.rates.update(asked.get("rates", {}))
    return Reply(data={"ok": True}, refuse=float(asked.get("refuse", 0.0)))
