"""When the next submission may leave: a rate, a minimum delay, and what a provider asked for."""

from __future__ import annotations

import math
import threading
import weakref

from batchkit._limits import RateLimit


class Quota:
    """What everybody who uses one key of a provider shares: when submissions left, and a rest."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.last = -math.inf
        #: Nobody leaves before that, in monotonic seconds.
        self.resting_until = -math.inf
        self.departures: list[float] = []
        #: How many departures the strictest of its pacers looks back.
        self.kept = 0


_quotas: weakref.WeakValueDictionary[str, Quota] = weakref.WeakValueDictionary()
_quotas_lock = threading.Lock()


def shared_quota(name: str) -> Quota:
    """The quota of that name in this process, for as long as a run uses it; ``""`` shares none."""
    if not name:
        return Quota()
    with _quotas_lock:
        return _quotas.setdefault(name, Quota())


class Pacer:
    """Says when submissions may leave. It decides; somebody else waits.

    The rate is a sliding window kept exactly: the times of the last *count* departures. Times are
    monotonic seconds.

    Args:
        rate: most submissions in a time.
        delay: least seconds between two submissions.
        quota: shared with other runs that use the same key; by default its own.
    """

    def __init__(
        self, rate: RateLimit | None = None, delay: float = 0.0, quota: Quota | None = None
    ) -> None:
        self.rate, self.delay, self.quota = rate, delay, quota or Quota()
        if rate is not None:
            self.quota.kept = max(self.quota.kept, rate.count)

    @property
    def resting_until(self) -> float:
        """Nobody leaves before that."""
        return self.quota.resting_until

    def ready_at(self) -> float:
        """The earliest time at which one more may leave."""
        quota, rate = self.quota, self.rate
        earliest = max(quota.last + self.delay, quota.resting_until)
        if rate is not None and len(quota.departures) >= rate.count:
            earliest = max(earliest, quota.departures[-rate.count] + rate.seconds)
        return earliest

    def take(self, now: float, wanted: int) -> int:
        """Lets up to *wanted* leave now; how many. Those that stay are given back."""
        with self.quota.lock:
            count = self._room(now, wanted)
            if count > 0:
                self._left(now, count)
            return count

    def _room(self, now: float, wanted: int) -> int:
        if self.ready_at() > now:
            return 0
        if self.delay > 0:
            return min(1, wanted)
        if self.rate is None:
            return wanted
        recent = sum(1 for t in self.quota.departures if t > now - self.rate.seconds)
        return min(wanted, self.rate.count - recent)

    def _left(self, now: float, count: int) -> None:
        quota = self.quota
        self._before, quota.last = quota.last, now
        if quota.kept:
            quota.departures.extend([now] * count)
            del quota.departures[: -quota.kept]

    def give_back(self, taken: int, unused: int) -> None:
        """Takes back what :meth:`take` let go last, as far as nobody left."""
        if not unused:
            return
        quota = self.quota
        with quota.lock:
            if quota.kept:
                del quota.departures[-unused:]
            if unused == taken:
                quota.last = self._before

    def cool_down(self, until: float) -> None:
        """Nobody leaves before *until*: one refusal slows everybody who shares the quota."""
        with self.quota.lock:
            self.quota.resting_until = max(self.quota.resting_until, until)
