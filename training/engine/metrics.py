"""Metrics of a training run: JSON lines and TensorBoard curves."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from .data_loader import PrefetchLoader

FILE = "metrics.jsonl"


class MetricsLogger:
    """Writes `metrics.jsonl` and, with tensorboard installed, `tensorboard/` in a run's folder."""

    def __init__(self, out: Path, step: int) -> None:
        """Continue after `step`; lines of later steps, left by an interrupted run, are dropped."""
        out.mkdir(parents=True, exist_ok=True)
        self.path = out / FILE
        kept = [line for line in read(out) if line["step"] <= step]
        self.path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        self.curves = _writer(out / "tensorboard", step)

    def write(self, step: int, numbers: Mapping[str, float], kind: str = "train") -> None:
        """Add one report.

        Args:
            step: updates so far.
            numbers: name -> number.
            kind: `train`, `validation` or `evaluation`.
        """
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "kind": kind, **numbers}) + "\n")
        if self.curves:
            for name, number in numbers.items():
                self.curves.add_scalar(f"{kind}/{name}", number, step)

    def close(self) -> None:
        """Flush the curves."""
        if self.curves:
            self.curves.close()


def read(out: Path) -> list[dict[str, Any]]:
    """The reports of a run, without a torn last line."""
    path = out / FILE
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _writer(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)


class ThroughputMeter:
    """Mean metrics and throughput since the last report."""

    def __init__(self, loader: PrefetchLoader) -> None:
        self._loader = loader
        self.restart()

    def restart(self) -> None:
        """Reset the sums and the clock."""
        self._sums: dict[str, Tensor] = {}
        self._updates, self._waited, self._start = 0, self._loader.waited, time.perf_counter()

    @contextmanager
    def excluded(self) -> Iterator[None]:
        """Exclude the time spent in the context."""
        start = time.perf_counter()
        yield
        self._start += time.perf_counter() - start

    def add(self, metrics: Mapping[str, Tensor]) -> None:
        """Add the metrics of one update."""
        self._updates += 1
        for name, value in metrics.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value

    def numbers(self) -> dict[str, float]:
        """Mean metrics, `updates_per_second`, and `waiting`, the share of time spent waiting for data."""
        seconds = time.perf_counter() - self._start
        means = {name: float(value) / self._updates for name, value in self._sums.items()}
        speed = {"updates_per_second": self._updates / seconds, "waiting": (self._loader.waited - self._waited) / seconds}
        return {**means, **speed}
