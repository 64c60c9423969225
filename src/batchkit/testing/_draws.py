"""Numbers drawn by name: how long a job takes, what it costs."""

from __future__ import annotations

import math
import random

import attrs

from batchkit._errors import UsageError

_SHAPES = {"fixed": 1, "uniform": 2, "lognormal": 2}


@attrs.frozen
class Draw:
    """A distribution.

    Attributes:
        shape: ``"fixed"`` (value), ``"uniform"`` (low, high) or ``"lognormal"`` (median, sigma).
        numbers: its parameters.
    """

    shape: str
    numbers: tuple[float, ...]

    @classmethod
    def parse(cls, spec: str | float | Draw) -> Draw:
        """From ``2.5``, ``"fixed:2.5"``, ``"uniform:1,5"`` or ``"lognormal:30,0.5"``.

        Raises:
            UsageError: it is not written so.
        """
        if isinstance(spec, Draw):
            return spec
        if isinstance(spec, (int, float)):
            return cls("fixed", (float(spec),))
        shape, _, written = spec.partition(":")
        try:
            numbers = tuple(float(part) for part in written.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != _SHAPES.get(shape) or not all(0 <= n < math.inf for n in numbers):
            raise UsageError(
                f"{spec!r} is no distribution: write fixed:2, uniform:1,5 or lognormal:30,0.5"
            )
        return cls(shape, numbers)

    def __call__(self, rng: random.Random) -> float:
        """One number, drawn with *rng*."""
        if self.shape == "fixed":
            return self.numbers[0]
        if self.shape == "uniform":
            return rng.uniform(*self.numbers)
        median, sigma = self.numbers
        return median * math.exp(sigma * rng.gauss(0.0, 1.0))
