"""Where results are delivered."""

from batchkit.artifacts._template import Template
from batchkit.artifacts.base import ArtifactStore
from batchkit.artifacts.download import Limits
from batchkit.artifacts.local import LocalFolder

__all__ = ["ArtifactStore", "Limits", "LocalFolder", "Template"]
