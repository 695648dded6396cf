"""How a training run steps: sizes, optimiser, schedule, precision, what is kept. The same for every objective."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..harness.errors import InputError


class TrainingError(InputError):
    """A run that cannot start or go on; the message names the cause and what to type."""


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """Everything about a run that is not its objective or its data."""

    steps: int
    """Updates of the weights."""
    batch: int
    """Examples per pass on one device; an update sees `batch * accumulation * devices`."""
    accumulation: int = 1
    rate: float = 5e-5
    """Peak of the learning rate."""
    warmup: int = 0
    """Updates of linear warm-up."""
    decay: Literal["cosine", "tail", "constant"] = "cosine"
    """After the warm-up: cosine to 0; constant, then linearly to 0 over the last `tail` of the run; constant."""
    tail: float = 0.2
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 1e-8
    clip: float | None = None
    """Largest norm of the gradient; None leaves it alone."""
    ema: float | None = None
    """Decay of a running average of the weights, which is then what is evaluated and exported."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the computation (autocast); weights and optimiser stay in the weights' own type."""
    seed: int = 0
    """Of the order of the examples and of everything the objective draws."""
    log_every: int = 20
    save_every: int = 500
    eval_every: int | None = None
    keep: int = 2
    """Checkpoints kept besides the best one."""
    accumulation_form: Literal["mended", "released"] = "mended"
    """`released` clears the gradients before every pass, so that an update uses the last pass alone, at 1/accumulation."""
    schedule_form: Literal["mended", "released"] = "mended"
    """`released` advances the schedule once per pass: the rate reaches 0 early and climbs back."""

    def changed(self, **others: Any) -> LoopSettings:
        """With the named fields changed, those that are None left as they are; a warm-up that no longer fits is cut."""
        found = replace(self, **{name: value for name, value in others.items() if value is not None})
        return replace(found, warmup=min(found.warmup, found.steps))

    def problem(self) -> str:
        """Why no run can have these settings; empty where one can."""
        for name in ("steps", "batch", "accumulation", "log_every", "save_every", "keep"):
            if getattr(self, name) < 1:
                return f"{name} must be at least 1, not {getattr(self, name)}"
        if self.ema is not None and not 0 < self.ema < 1:
            return f"ema must lie between 0 and 1, not {self.ema}"
        if not 0 <= self.warmup <= self.steps:
            return f"warmup must lie between 0 and the {self.steps} steps, not {self.warmup}"
        return ""

    def rate_at(self, step: int) -> float:
        """Learning rate of the update after `step` updates."""
        at = (step + 1) * self.accumulation - 1 if self.schedule_form == "released" else step
        if at < self.warmup:
            return self.rate * (at + 1) / self.warmup
        progress = (at - self.warmup) / max(1, self.steps - self.warmup)
        return self.rate * self._shape(progress)

    def _shape(self, progress: float) -> float:
        if self.decay == "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        if self.decay == "tail":
            return min(1.0, max(0.0, 1 - progress) / self.tail)
        return 1.0
