"""Messages of errors in Portuguese. Records, logs and exceptions keep the English ones.

A message is recognised by its own text, so that whoever raises it need not know of languages. One
that is not in the list, as a provider's own, is shown as it is.
"""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Callable, Iterable

from batchkit._i18n import language
from batchkit._messages import MESSAGES, Said

#: Says a message in a language; ``None`` leaves that to the environment.
Wording = Callable[[str, str | None], str]


@functools.cache
def pattern_of(template: str) -> re.Pattern[str]:
    """What a message made from *template* looks like; its fields are the groups, by number."""
    parts = [
        re.escape(literal) + ("" if field is None else f"(?P<_{field}>.+?)")
        for literal, field, _, _ in string.Formatter().parse(template)
    ]
    return re.compile("".join(parts), re.DOTALL)


def fields_of(template: str, message: str) -> list[str] | None:
    """What stands in the fields of *template*, in the order of their numbers.

    Returns:
        ``None`` if the message was not made from it.
    """
    found = pattern_of(template).fullmatch(message)
    if found is None:
        return None
    named = found.groupdict()
    return [named[name] for name in sorted(named, key=lambda name: int(name[1:]))]


def translated(message: str, lang: str | None = None, messages: Iterable[Said] = MESSAGES) -> str:
    """A message of an error in the language to show.

    Args:
        message: as it was raised, or stored.
        lang: as for :func:`~batchkit._i18n.language`.
        messages: English and Portuguese.
    """
    if language(lang) != "pt":
        return message
    for english, portuguese in messages:
        fields = fields_of(english, message)
        if fields is not None:
            # A message may hold another one, as the reason.
            return portuguese.format(*(translated(field, lang, messages) for field in fields))
    return message
