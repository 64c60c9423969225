"""Downloads of the fake provider: signed URLs, ranges, entity tags."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import partial

from batchkit.testing._faults import Word
from batchkit.testing._messages import Reply, Request, refusal
from batchkit.testing._model import Model, RemoteJob


def file_reply(model: Model, request: Request, job: RemoteJob, word: Word | None) -> Reply:
    """A file or a part of it, as RFC 9110 asks for parts (section 14).

    Args:
        model: whose file.
        request: with ``Range`` and ``If-Range``, if only a part is wanted.
        job: whose result.
        word: the fault that befalls the request.
    """
    name = word.name if word is not None else ""
    if name == "new_etag":
        job.edition += 1
    if job.script == "expire":
        return refusal(410, "the result has been deleted")
    if not model.is_signed(job.id, request.query):
        return refusal(403, "this URL is not signed, or not good any more", "expired_url")
    data = model.content(job)
    headers = _headers(job, data)
    ranged = name != "no_range" and request.headers.get("if-range", "") in ("", headers["ETag"])
    asked = _part(request.headers.get("range", ""), len(data)) if ranged else None
    if asked is None:
        return Reply(headers=headers, body=data, sent=partial(_sent, model, job, True))
    start, end = asked
    if start >= len(data):
        return refusal(416, "no such part", headers={"Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
    sent = partial(_sent, model, job, end == len(data))
    return Reply(status=206, headers=headers, body=data[start:end], sent=sent)


def _headers(job: RemoteJob, data: bytes) -> dict[str, str]:
    digest = hashlib.sha256(data).digest()
    return {
        "ETag": f'"{digest.hex()[:16]}-{job.edition}"',
        "Accept-Ranges": "bytes",
        # RFC 9530, of the whole file.
        "Repr-Digest": f"sha-256=:{base64.b64encode(digest).decode()}:",
    }


def _part(written: str, size: int) -> tuple[int, int] | None:
    """First byte, and the one after the last; ``None`` is all of it."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", written)
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size


def _sent(model: Model, job: RemoteJob, to_its_end: bool, whole: bool) -> None:
    with model.lock:
        model.ledger.record("download" if whole and to_its_end else "partial", job.item)
