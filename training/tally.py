"""What happened since the last report: mean metrics, speed, share of the time spent waiting for data."""

from __future__ import annotations

import time
from collections.abc import Mapping

from torch import Tensor

from .feed import Feed


class Tally:
    """Sums over the updates since the last report."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.restart()

    def restart(self) -> None:
        """Begin anew."""
        self._sums: dict[str, Tensor] = {}
        self._updates, self._waited, self._start = 0, self._feed.waited, time.perf_counter()

    def pause(self) -> float:
        """A moment from which on time does not count, for `go_on`."""
        return time.perf_counter()

    def go_on(self, paused: float) -> None:
        """Time counts again."""
        self._start += time.perf_counter() - paused

    def add(self, metrics: Mapping[str, Tensor]) -> None:
        """Take one update's metrics in."""
        self._updates += 1
        for name, value in metrics.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value

    def numbers(self) -> dict[str, float]:
        """Mean metrics, `updates_per_second`, and `waiting`, the share of the time spent on waiting for data."""
        seconds = time.perf_counter() - self._start
        means = {name: float(value) / self._updates for name, value in self._sums.items()}
        speed = {"updates_per_second": self._updates / seconds, "waiting": (self._feed.waited - self._waited) / seconds}
        return {**means, **speed}
