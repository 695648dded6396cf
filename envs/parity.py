"""Result of one comparison with a reference recording, as yielded by every family's parity module."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Check:
    """A quantity of one recorded case, compared within a tolerance."""

    case: str
    quantity: str
    error: float
    """Largest absolute difference, in the quantity's own unit (0 or 1 for yes-no quantities)."""
    tolerance: float | None
    """None: reported only."""
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance; NaN never is."""
        return self.tolerance is None or bool(self.error <= self.tolerance)

    def to_json(self) -> dict[str, Any]:
        """JSON-able, with the verdict."""
        return {**asdict(self), "passed": self.passed}


def max_abs_difference(actual: Any, expected: Any) -> float:
    """Largest absolute difference of two arrays; infinite if shapes differ, NaN if a number is."""
    a, b = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    if a.shape != b.shape:
        return float("inf")
    return float(np.abs(a - b).max(initial=0.0))
