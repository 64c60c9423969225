"""Which fault comes next: scripted for an item, for the next request, or drawn by seed."""

from __future__ import annotations

import logging
import random
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence

from batchkit._errors import UsageError
from batchkit.testing._faults import OPERATIONS, SEEDED, Word, drawn_word, knows, read_word

log = logging.getLogger("batchkit.testing")

#: What a replayed submission draws from; scripts tell it apart.
_DRAWS_AS = {"replay": "submit"}


class Plan:
    """The faults of a provider, in the order in which they come.

    A draw depends on the seed, the item, the operation and how often that item had it, and on
    nothing else: threads change which request comes first, but not what befalls it.

    Args:
        seed: the same again for the same faults.
        rate: share of requests that draw a fault, 0 to 1; or by operation (``"job"`` for whole
            jobs).
        faults: which to draw from, by operation, instead of the usual ones.

    Raises:
        UsageError: there is no such operation or fault.
    """

    def __init__(
        self,
        seed: int | str = 0,
        rate: float | Mapping[str, float] = 0.0,
        faults: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.seed = seed
        self.rates = dict(rate) if isinstance(rate, Mapping) else dict.fromkeys(SEEDED, rate)
        chosen = {**SEEDED, **(faults or {})}
        for name in (*self.rates, *chosen):
            if name not in SEEDED:
                raise UsageError(f"there is no operation {name!r}: use {', '.join(SEEDED)}")
        self._drawn = {
            name: [drawn_word(name, word) for word in words] for name, words in chosen.items()
        }
        self._scripts: dict[str, dict[str, deque[Word]]] = {}
        self._next: dict[str, deque[Word]] = {name: deque() for name in OPERATIONS}
        self._first: deque[str] = deque()
        self._draws: Counter[tuple[str, str]] = Counter()

    def rng(self, *what: object) -> random.Random:
        """Chance of one's own for one purpose; the same again for the same seed."""
        return random.Random(repr((self.seed, *what)))  # noqa: S311 - repeatable, not secret

    def read(self, prompt: str) -> str:
        """The item that a prompt is about; its script is noted when it is seen first."""
        item, found, words = prompt.partition(" [")
        if item not in self._scripts:
            self._scripts[item] = {}
            for word in words.rstrip("]").split() if found else ():
                if not self._note(self._scripts[item], word):
                    log.warning("the prompt %r scripts %r, which is no fault", item, word)
        return item

    def script(self, item: str, *words: str) -> None:
        """Adds to the script of one item.

        Raises:
            UsageError: a word is no fault.
        """
        self._add(self._scripts.setdefault(item, {}), words)

    def script_next(self, *words: str) -> None:
        """Faults for the next requests, whichever item they are about.

        Raises:
            UsageError: a word is no fault.
        """
        self._add(self._next, words)

    def script_first(self, word: str) -> None:
        """A fault for the very next request that can have it, whatever it asks."""
        self._first.append(word)

    def _add(self, queues: dict[str, deque[Word]], words: Iterable[str]) -> None:
        for word in words:
            if not self._note(queues, word):
                raise UsageError(f"{word!r} is no fault: see batchkit.testing.FAULTS")

    def _note(self, queues: dict[str, deque[Word]], written: str) -> bool:
        read = read_word(written)
        for operation, word in read:
            queues.setdefault(operation, deque()).append(word)
        return bool(read)

    def next(self, operation: str, item: str) -> Word | None:
        """What befalls this request; ``None`` is nothing."""
        for queues in (self._scripts.get(item, {}), self._next):
            if queue := queues.get(operation):
                return queue.popleft()
        if self._first and knows(operation, self._first[0]):
            return drawn_word(operation, self._first.popleft())
        return self.draw(operation, item)

    def draw(self, operation: str, item: str) -> Word | None:
        """What chance says, whatever is scripted."""
        kind = _DRAWS_AS.get(operation, operation)
        rate = self.rates.get(kind, 0.0)
        if rate <= 0.0:
            return None
        self._draws[kind, item] += 1
        rng = self.rng(kind, item, self._draws[kind, item])
        return rng.choice(self._drawn[kind]) if rng.random() < rate else None
