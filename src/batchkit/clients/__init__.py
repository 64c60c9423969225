"""Clients: the objects that talk to providers, and what they answer."""

from __future__ import annotations

from batchkit.clients._load import load, names

__all__ = ["load", "names"]
