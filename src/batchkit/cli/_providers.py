"""The command that lists clients by their names."""

from __future__ import annotations

import os
from typing import Any

import click

from batchkit._errors import BatchkitError
from batchkit.cli._help import command
from batchkit.cli._language import said
from batchkit.cli._options import talking
from batchkit.cli._records import print_record
from batchkit.clients._load import class_of, names


def describe(name: str) -> dict[str, Any]:
    """A client as JSON values; of its key only whether there is one, never the key.

    Args:
        name: one of :func:`batchkit.clients.names`.
    """
    try:
        cls = class_of(name)
    except (ImportError, AttributeError, BatchkitError) as exc:
        # A package whose own parts are missing; the others are listed all the same.
        return {"name": name, "keys": [], "needs_key": False, "ready": False, "error": str(exc)}
    keys = list(getattr(cls, "key_env", ()))
    needs = bool(keys) and not getattr(cls, "key_optional", False)
    is_set = any(os.environ.get(key) for key in keys)
    return {
        "name": name,
        "keys": keys,
        "needs_key": needs,
        "key_is_set": is_set,
        "base_url": getattr(cls, "default_url", "") or None,
        "ready": is_set or not needs,
    }


def _line(ctx: click.Context, record: dict[str, Any], width: int) -> str:
    name = f"{record['name']:<{width}}"
    if "error" in record:
        return f"{name}  {record['error']}"
    if not record["keys"]:
        return f"{name}  {said(ctx, 'key_none')}"
    state = "key_set" if record["key_is_set"] else "key_missing"
    if state == "key_missing" and not record["needs_key"]:
        state = "key_optional"
    return f"{name}  {' | '.join(record['keys'])}: {said(ctx, state)}"


@command()
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON; no progress.")
@talking
@click.pass_context
def clients(ctx: click.Context, as_json: bool) -> None:
    """List the clients that --client knows by their names.

    With each goes the environment variable that holds its key, and whether it is set; the key
    itself is never shown. Keys are not taken from the command line: other users of this machine
    could read them there.

    \b
    Examples:
      batchkit clients
      batchkit clients --json | jq -r '.[] | select(.ready) | .name'
    """
    records = [describe(name) for name in names()]
    if as_json:
        print_record(records)
        return
    width = max(len(record["name"]) for record in records)
    for record in records:
        click.echo(_line(ctx, record, width))
