"""What a supervised fine-tuning is made of: model, data, objective, loop, evaluation. One YAML file each (`recipes/`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..engine.config import LoopSettings
from ..evaluation import EvaluationSettings
from ..models.init import NanoSizes
from .objective import SftSettings


@dataclass(frozen=True, slots=True)
class StartSettings:
    """Where the weights come from."""

    checkpoint: str | None = None
    """Path or hub id; None draws a nano model."""
    nano: NanoSizes = field(default_factory=NanoSizes)
    """Sizes of a drawn model."""
    expert: int | None = None
    """Width of a fresh flow expert for a checkpoint that has none."""
    chunk: int | None = None
    """Actions per answer, where they are to be others than the checkpoint's."""
    fast: str | None = None
    """FAST tokenizer: folder or hub id; None: the checkpoint's own, else the released one. A drawn model needs one for tokens."""
    tokenizer: str | None = None
    seed: int = 0
    """Of weights that are drawn."""


@dataclass(frozen=True, slots=True)
class DataSettings:
    """Which examples, and how their actions are scaled."""

    every: int = 2
    """Steps from one picture to the next."""
    validation: float = 0.05
    """Share of the episodes kept for the validation loss."""
    end: Literal["repeat", "still", "released", "drop"] = "repeat"
    """What stands for actions after the last one; see `chunks`. Only the demonstration's own count in the flow's loss."""
    no_ops: bool = True
    """Keep steps in which nothing is done; false drops them as the papers do."""
    smooth: float = 0.0
    """Labels are averaged along time with Gaussian weights of this many steps; 0: as the expert gave them."""
    statistics: Literal["suite", "shared", "start"] = "suite"
    """Bounds of each suite, of all together, or those of the checkpoint that training starts from."""
    floor: float = 0.02
    """Smallest half range of a component."""
    scale_gripper: bool = False
    """Opening as -1 and 1 instead of 0 and 1."""
    clip: bool = True
    """Cut normalised actions at -1 and 1 (RLDS training); NORA-1.5's loader does not."""


@dataclass(frozen=True, slots=True)
class SftRecipe:
    """One run."""

    loop: LoopSettings
    start: StartSettings = field(default_factory=StartSettings)
    data: DataSettings = field(default_factory=DataSettings)
    objective: SftSettings = field(default_factory=SftSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
