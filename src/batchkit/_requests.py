"""What is asked of a provider: a tagged union that a host program may extend."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import attrs
import cattrs.preconf.json
from cattrs.gen import make_dict_unstructure_fn

from batchkit._errors import UsageError

_converter = cattrs.preconf.json.make_converter()


def _seconds(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as exc:
        raise UsageError(f"duration is {value!r}: give seconds, as a number") from exc


@attrs.frozen(kw_only=True)
class Request:
    """Base of all requests. Subclass it, give it a ``kind``, and register it.

    ``params`` is handed to the provider verbatim: models and their options change monthly.
    """

    kind: ClassVar[str] = ""

    params: Mapping[str, Any] = attrs.field(factory=dict, hash=False)

    @property
    def title(self) -> str:
        """A short text that tells people which item this is."""
        return self.kind


@attrs.frozen(kw_only=True)
class GenerateVideo(Request):
    """Generate one video from a prompt.

    Attributes:
        prompt: what to show.
        language: of the prompt, as an IETF tag.
        model: the provider's own name for the model.
        duration: seconds of video.
        aspect_ratio: as ``"16:9"``.
        seed: for providers that repeat a result.
        image: path or URL of a first frame.
    """

    kind: ClassVar[str] = "generate"

    prompt: str
    language: str = "pt"
    model: str | None = None
    duration: float | None = attrs.field(
        default=None, converter=attrs.converters.optional(_seconds)
    )
    aspect_ratio: str | None = None
    seed: int | None = None
    image: str | None = None

    @property
    def title(self) -> str:
        """The prompt."""
        return self.prompt


@attrs.frozen(kw_only=True)
class TranscribeVideo(Request):
    """Write down what is said in one recording.

    Attributes:
        source: path or URL of the video or audio.
        language: spoken language as an IETF tag, or ``"auto"``.
        model: the provider's own name for the model.
    """

    kind: ClassVar[str] = "transcribe"

    source: str
    language: str = "auto"
    model: str | None = None

    @property
    def title(self) -> str:
        """The last part of the source, without a URL's query, which may be a signature."""
        source = self.source.partition("?")[0] if "://" in self.source else self.source
        return source.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]


@attrs.frozen(kw_only=True)
class OpaqueRequest(Request):
    """A stored request whose kind nobody registered in this process; it is kept as it was.

    Attributes:
        stored_kind: the kind it was stored under.
        data: its fields, as stored.
    """

    kind: ClassVar[str] = "opaque"

    stored_kind: str
    data: Mapping[str, Any] = attrs.field(factory=dict, hash=False)

    @property
    def title(self) -> str:
        """The stored kind."""
        return self.stored_kind


_KINDS: dict[str, type[Request]] = {}
_RequestT = TypeVar("_RequestT", bound=type[Request])


def register_request(cls: _RequestT) -> _RequestT:
    """Make a :class:`Request` subclass storable; usable as a decorator.

    Raises:
        UsageError: it has no ``kind``, or the kind belongs to another class.
    """
    kind = cls.kind
    if not kind or kind == OpaqueRequest.kind or _KINDS.get(kind, cls) is not cls:
        raise UsageError(
            f'{cls.__name__}.kind is {kind!r}: give it a name of its own, as "upscale"'
        )
    _KINDS[kind] = cls
    _converter.register_unstructure_hook(
        cls, make_dict_unstructure_fn(cls, _converter, _cattrs_omit_if_default=True)
    )
    return cls


def dump_request(request: Request) -> str:
    """One line of canonical JSON: kind first, defaults left out, keys sorted."""
    if not _is_plain(request.params):
        raise UsageError(
            "params hold what JSON would not bring back the same (a set, bytes, a path, a date): "
            "put plain values into params"
        )
    if isinstance(request, OpaqueRequest):
        kind, data = request.stored_kind, dict(request.data)
    else:
        kind, data = request.kind, _converter.unstructure(request)
    try:
        line = json.dumps([kind, data], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        line.encode()
        return line
    except (TypeError, ValueError) as exc:
        raise UsageError(
            f"this request cannot be stored as JSON ({exc}); put plain values into params"
        ) from exc


def _is_plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, (str, int, float))


def load_request(stored: str) -> Request:
    """The request that :func:`dump_request` wrote."""
    kind, data = json.loads(stored)
    return request_from(kind, data)


def request_from(kind: str, data: Mapping[str, Any]) -> Request:
    """The request of a kind with these fields; opaque when nobody registered the kind."""
    cls = _KINDS.get(kind)
    if cls is None:
        return OpaqueRequest(stored_kind=kind, data=data)
    return _converter.structure(data, cls)


def identity_of(stored: str) -> str:
    """What makes two requests the same item: a hash of kind and canonical request (128 bits)."""
    return hashlib.sha256(stored.encode()).hexdigest()[:32]


register_request(GenerateVideo)
register_request(TranscribeVideo)
