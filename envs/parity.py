"""One comparison of ours with a reference recording. Every family's parity module yields these."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Check:
    """A quantity of one recorded case held against its tolerance."""

    case: str
    quantity: str
    error: float
    """Largest absolute difference, in the quantity's own unit (0 or 1 for yes-no quantities)."""
    tolerance: float | None
    """None: reported, not judged."""
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance; NaN never is."""
        return self.tolerance is None or bool(self.error <= self.tolerance)

    def to_json(self) -> dict[str, Any]:
        """JSON-able, with the verdict."""
        return {**asdict(self), "passed": self.passed}


def max_abs_difference(ours: Any, theirs: Any) -> float:
    """Largest absolute difference of two arrays; infinite where shapes differ, NaN where a number is."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if a.shape != b.shape:
        return float("inf")
    return float(np.abs(a - b).max(initial=0.0))
