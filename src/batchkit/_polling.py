"""How long to wait before the next status query."""

from __future__ import annotations

import attrs

from batchkit._errors import UsageError
from batchkit._retry import _not_negative


def _at_least_one(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not value >= 1:
        raise UsageError(f"{attribute.name} is {value!r}: waits do not shrink, so give 1 or more")


@attrs.frozen(kw_only=True)
class PollPolicy:
    """Waits that grow from *first* by *factor* to *cap*; a factor of 1 is a fixed interval.

    A provider's minimum is never undercut, and its own hint for the next poll wins over the policy.

    Attributes:
        first: seconds from acceptance to the first poll.
        factor: growth from one wait to the next.
        cap: longest wait, in seconds.
    """

    first: float = attrs.field(default=2.0, validator=_not_negative)
    factor: float = attrs.field(default=1.5, validator=_at_least_one)
    cap: float = attrs.field(default=15.0, validator=_not_negative)

    @classmethod
    def fixed(cls, seconds: float) -> PollPolicy:
        """The same wait before every poll."""
        return cls(first=seconds, factor=1.0, cap=seconds)

    def delay(self, polls: int, *, minimum: float = 0.0, hint: float | None = None) -> float:
        """Seconds until the next poll.

        Args:
            polls: how many were made.
            minimum: what the provider asks for at least.
            hint: what its last answer asked for.
        """
        if hint is not None:
            return max(minimum, hint)
        try:
            grown = self.first * self.factor**polls
        except OverflowError:
            grown = self.cap
        return max(minimum, min(self.cap, grown))
