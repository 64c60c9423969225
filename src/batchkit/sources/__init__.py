"""Where items come from: pasted text, files of prompts, tables, and folders of recordings."""

from batchkit.sources._clean import clean_prompt
from batchkit.sources.files import read_prompts
from batchkit.sources.media import MEDIA_EXTENSIONS, find_media
from batchkit.sources.rows import Row, records, to_request
from batchkit.sources.text import read_text

__all__ = [
    "clean_prompt",
    "find_media",
    "MEDIA_EXTENSIONS",
    "read_prompts",
    "read_text",
    "records",
    "Row",
    "to_request",
]
