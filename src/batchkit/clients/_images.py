"""The image that a generation starts from: an address, or a file."""

from __future__ import annotations

import base64
from pathlib import Path

from batchkit._errors import UsageError
from batchkit._requests import GenerateVideo, Request
from batchkit.clients._http_transport import media_type_of

#: Bytes of a file that is sent inside the request: it becomes a third larger there.
MOST_EMBEDDED = 10_000_000


def check_image(request: Request, provider: str, max_bytes: int) -> None:
    """Refuses an image that cannot be sent.

    Args:
        request: what is asked.
        provider: as people know it.
        max_bytes: of a file.

    Raises:
        UsageError: the file is not there, is no image by its name, or is too large.
    """
    path = image_file(request)
    if path is None:
        return
    if not path.is_file():
        raise UsageError(f"there is no image {path}: check the path, or give an address")
    if not media_type_of(str(path)).startswith("image/"):
        raise UsageError(f"{path} is no image by its name: call it as .png or .jpg")
    size = path.stat().st_size
    if size > max_bytes:
        raise UsageError(
            f"{path} has {size:,} bytes, and {provider} takes {max_bytes:,} of a file: make it "
            "smaller, or give an address"
        )


def image_file(request: Request) -> Path | None:
    """The file that a request's image is; ``None`` for an address, or for no image."""
    image = request.image if isinstance(request, GenerateVideo) else None
    return None if image is None or is_uri(image) else Path(image)


def is_uri(image: str) -> bool:
    """Whether an image is an address or a data URI, and not a file."""
    return "://" in image or image.startswith("data:")


def as_uri(image: str) -> str:
    """An address as it is; a file as a data URI (RFC 2397), its bytes in base64."""
    if is_uri(image):
        return image
    encoded = base64.b64encode(Path(image).read_bytes()).decode("ascii")
    return f"data:{media_type_of(image)};base64,{encoded}"
