"""Finds a client by its name: those that come with batchkit, and those of other packages."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import Any
from urllib.parse import urlsplit

from batchkit._errors import UsageError

#: Other packages add theirs under this group of entry points.
GROUP = "batchkit.clients"

_SHIPPED = {
    "assemblyai": "batchkit.clients.assemblyai:AssemblyAIClient",
    "deepgram": "batchkit.clients.deepgram:DeepgramClient",
    "fal": "batchkit.clients.fal:FalClient",
    "gladia": "batchkit.clients.gladia:GladiaClient",
    "google": "batchkit.clients.google:GoogleClient",
    "groq": "batchkit.clients.openai_audio:GroqClient",
    "openai-audio": "batchkit.clients.openai_audio:OpenAIAudioClient",
    "openai-videos": "batchkit.clients.openai_videos:OpenAIVideosClient",
    "openrouter": "batchkit.clients.openrouter:OpenRouterClient",
    "replicate": "batchkit.clients.replicate:ReplicateClient",
    "runway": "batchkit.clients.runway:RunwayClient",
    "speechmatics": "batchkit.clients.speechmatics:SpeechmaticsClient",
    "storyboard": "batchkit.clients.storyboard:StoryboardClient",
    "whisper": "batchkit.clients.whisper:FasterWhisperClient",
}


def names() -> list[str]:
    """The names that :func:`load` knows, in order."""
    return sorted({*_SHIPPED, *(found.name for found in entry_points(group=GROUP))})


def load(name: str, **options: Any) -> Any:
    """The client of that name.

    Args:
        name: as ``"fal"``; see :func:`names`.
        options: of the client, as ``model=`` or ``base_url=``. Keys are better left to the
            provider's own environment variable.

    Raises:
        UsageError: there is no such client, or it cannot be made with these options.
    """
    cls = class_of(name)
    try:
        return cls(**options)
    except TypeError as exc:
        raise UsageError(f"the client {name!r} cannot be made so: {exc}") from exc


def load_named(spec: str) -> Any:
    """The client that a stored batch, or the command line, names.

    Args:
        spec: a name, as ``"fal"``, or ``"name@base_url"``. The key is not part of it.

    Raises:
        UsageError: there is no such client, or it cannot be made.
    """
    name, _, url = spec.partition("@")
    if not url:
        return load(name)
    place = urlsplit(url)
    if place.username or place.password or place.query or place.fragment:
        # It is stored with the batch, and shown.
        raise UsageError(
            f"the base URL of {name!r} holds more than a host and a path: leave user, password "
            "and query out; keys come from the environment"
        )
    # Ids mean nothing at another host: a batch with work in flight refuses to go on there.
    return load(name, base_url=url, account=place.netloc)


def is_name(spec: str) -> bool:
    """Whether a text names a client of :func:`names`, perhaps with an address behind it."""
    return spec.partition("@")[0] in names()


def class_of(name: str) -> Any:
    """The class of that name, which need not be ready for use here.

    Raises:
        UsageError: there is no such client.
    """
    if name in _SHIPPED:
        module, _, attribute = _SHIPPED[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    for found in entry_points(group=GROUP):
        if found.name == name:
            return found.load()
    raise UsageError(f"there is no client {name!r}: choose from {', '.join(names())}")
