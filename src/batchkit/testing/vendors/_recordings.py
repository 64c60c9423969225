"""Recordings as the fake servers of speech providers understand them.

What a recording says follows from its item: for an address, the last part of its path; for a file,
its content, when that is a short text, as a prompt is (with a script, if wanted). So a test writes
the item into the file that it sends.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from email import message_from_bytes
from typing import Any
from urllib.parse import urlsplit

import attrs

from batchkit.testing._messages import Request
from batchkit.testing._model import RemoteJob

#: Bytes of a file whose content is its item.
_SHORT = 500
_WORD_SECONDS = 0.4


@attrs.frozen
class Form:
    """A multipart body.

    Attributes:
        fields: the text fields; each name with all its values.
        files: the files, by the names of their fields.
    """

    fields: dict[str, list[str]] = attrs.field(factory=dict)
    files: dict[str, bytes] = attrs.field(factory=dict)

    def first(self, name: str) -> str:
        """The first value of a field, or nothing."""
        return self.fields.get(name, [""])[0]


def read_form(request: Request) -> Form:
    """The multipart body of a request."""
    form = Form()
    kind = request.headers.get("content-type", "").encode()
    message = message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + request.body)
    for part in message.get_payload() if message.is_multipart() else ():
        if isinstance(part, str):
            continue
        name = str(part.get_param("name", "", "content-disposition"))
        content = part.get_payload(decode=True)
        data = content if isinstance(content, bytes) else b""
        if part.get_filename() is None:
            form.fields.setdefault(name, []).append(data.decode())
        else:
            form.files[name] = data
    return form


def item_of_url(url: str) -> str:
    """The item of an address."""
    return urlsplit(url).path.rsplit("/", 1)[-1]


def item_of_file(content: bytes) -> str:
    """The item of a file: its text, or else a name that its bytes give it."""
    if len(content) <= _SHORT:
        try:
            return content.decode().strip()
        except UnicodeDecodeError:
            pass  # a very short recording, which gets a name like any other
    return f"recording-{hashlib.sha256(content).hexdigest()[:16]}"


def is_silent(job: RemoteJob) -> bool:
    """Whether a recording says nothing."""
    return job.script == "empty"


def spoken_words(job: RemoteJob) -> list[dict[str, Any]]:
    """The words of a recording, with their times in seconds."""
    said = [] if is_silent(job) else f"This is what {job.item} says.".split()
    return [
        {"word": word, "start": _at(number), "end": _at(number + 0.9)}
        for number, word in enumerate(said)
    ]


def spoken_text(job: RemoteJob) -> str:
    """All of it."""
    return " ".join(word["word"] for word in spoken_words(job))


def seconds_of(job: RemoteJob) -> float:
    """How long a recording is."""
    return _at(len(spoken_words(job)) + 1)


def _at(number: float) -> float:
    return round(number * _WORD_SECONDS, 3)


def created_at(job: RemoteJob) -> str:
    """When a job was accepted, as ``"2026-11-22T10:00:00.000Z"``."""
    when = dt.datetime.fromtimestamp(job.started, dt.UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@attrs.define(eq=False)
class Uploads:
    """Recordings that were uploaded, by the addresses that the provider gave them."""

    _items: dict[str, str] = attrs.field(factory=dict, init=False)

    def keep(self, below: str, item: str) -> str:
        """A new address, which no other upload has."""
        url = f"{below}/{len(self._items) + 1}"
        self._items[url] = item
        return url

    def item(self, url: str) -> str:
        """What is at an address: an upload, or something elsewhere."""
        return self._items.get(url) or item_of_url(url)
