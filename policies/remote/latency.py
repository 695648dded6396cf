"""Latency and batch size of requests to a policy server."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np


class LatencyStats:
    """Statistics of rounds: one request, or several sent together, and their responses."""

    def __init__(self) -> None:
        self._seconds, self._server_s, self._sizes = array("d"), array("d"), array("l")

    def note(self, seconds: float, size: int, server_s: float | None = None) -> None:
        """One round: seconds from the first byte out to the last in, observations in it, seconds the model took of them."""
        self._seconds.append(seconds)
        self._sizes.append(size)
        if server_s is not None:
            self._server_s.append(server_s)

    def summary(self) -> dict[str, Any]:
        """JSON-able: rounds, observations, observations per round, milliseconds per round."""
        return {
            "rounds": len(self._sizes),
            "observations": int(sum(self._sizes)),
            "batch": {"mean": round(float(np.mean(self._sizes)), 3), "max": max(self._sizes)} if self._sizes else None,
            "latency_ms": _milliseconds(self._seconds),
            "model_ms": _milliseconds(self._server_s),
        }


def _milliseconds(seconds: array[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    median, high = np.percentile(seconds, (50, 95))
    return {name: round(1000 * float(value), 3) for name, value in {"median": median, "p95": high, "max": max(seconds)}.items()}
