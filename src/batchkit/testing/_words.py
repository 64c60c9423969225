"""Puts a word that nobody knows into an answer."""

from __future__ import annotations

from collections.abc import Mapping


def with_word(value: object, key: str, word: str) -> tuple[object, int]:
    """A JSON value with *word* in every field of that name, and how many there were."""
    if isinstance(value, Mapping):
        pairs = {name: with_word(item, key, word) for name, item in value.items()}
        changed = {name: item for name, (item, _) in pairs.items()}
        count = sum(found for _, found in pairs.values())
        return ({**changed, key: word}, count + 1) if key in value else (changed, count)
    if isinstance(value, (list, tuple)):
        items = [with_word(item, key, word) for item in value]
        return [item for item, _ in items], sum(found for _, found in items)
    return value, 0
