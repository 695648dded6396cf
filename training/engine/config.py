"""How a training run steps: sizes, optimiser, schedule, precision, what is kept. The same for every objective."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

from ...harness.errors import InputError


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


T = TypeVar("T")
PACKAGE = __name__.removesuffix(".engine.config")
"""Package that contains the shipped recipes."""
SHIPPED = ("nano", "nano-plain", "quick", "scratch", "paper", "released", "released-rlds")


def read_recipe(name: str, stage: str, wanted: type[T]) -> T:
    """The recipe of that name for a stage, or of a file whose name ends in .yaml.

    Args:
        name: `nano`, `paper`, `released`, or a path.
        stage: `world-model`, `dpo`, ...
        wanted: dataclass of the stage's settings.

    Raises:
        TrainingError: no such recipe, or a field in it that the stage does not know.
    """
    text, where = recipe_text(name, stage)
    return build(text, where, wanted)


def build(text: str, where: str, wanted: type[T]) -> T:
    """The dataclass that a YAML text describes; `where` is what errors call it. Raises TrainingError."""
    import msgspec

    from ...envs.safe_io import parse_yaml

    try:
        values = parse_yaml(text) or {}
        _check_names(values, wanted, where)
        return msgspec.convert(values, wanted)
    except (ValueError, TypeError, msgspec.ValidationError) as error:
        raise TrainingError(f"{where}: {error}") from None


def recipe_text(name: str, stage: str) -> tuple[str, str]:
    """A recipe's YAML, and what errors call it. Raises TrainingError."""
    if name.endswith((".yaml", ".yml")):
        try:
            return Path(name).read_text(encoding="utf-8"), name
        except OSError as error:
            raise TrainingError(f"--recipe {name}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise TrainingError(f"--recipe {name} is not text: {error}") from None
    file = files(PACKAGE).joinpath("recipes", f"{name}-{stage}.yaml")
    if not file.is_file():
        known = [known for known in SHIPPED if files(PACKAGE).joinpath("recipes", f"{known}-{stage}.yaml").is_file()]
        raise TrainingError(f"no recipe {name!r} for {stage}; take one of {', '.join(known)}, or a .yaml file")
    return file.read_text(encoding="utf-8"), f"recipe {name}"


def _check_names(values: Any, wanted: Any, where: str) -> None:
    """Raises TrainingError for a name that is no field, at any depth."""
    if not isinstance(values, dict) or not is_dataclass(wanted):
        return
    known, hints = {field.name for field in fields(wanted)}, get_type_hints(wanted)
    if unknown := sorted(set(values) - known):
        raise TrainingError(f"{where}: unknown {', '.join(map(str, unknown))}; known are {', '.join(sorted(known))}")
    for name, value in values.items():
        _check_names(value, hints[name], f"{where}: {name}")
