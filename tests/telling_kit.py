"""What tests tell whoever runs them, beside that they passed."""

from __future__ import annotations

from collections.abc import Callable

#: Notes a line that the end of the run shows.
Tell = Callable[[str], None]
