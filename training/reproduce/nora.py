"""The nano reproduction: stages from demonstrations to the papers' comparisons.

A stage is a `nora-bench` command that can also be typed manually; each command resumes, so the reproduction does.
Demonstrations -> tokenizers -> supervised training (chunk 5 and chunk 1, tokens and flow together) -> world model -> labels ->
DPO for each reward -> episodes on held-out initial states -> tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ...envs.errors import UnknownName
from ..engine.config import TrainingError, folder_of, recipe_text, require_field
from ..preference.rewards import REWARDS
from .pipeline import PipelineStage, stage

DEMONSTRATION_S, IMAGE_S, SFT_S, WORLD_S, LABEL_S, PAIR_S, EPISODE_S = 1.0, 0.01, 0.35, 0.15, 0.1, 0.03, 4.0
"""Rough seconds on one core per demonstration, rendered image, update of supervised training, update of the world model,
labelled state, pair in an update of DPO, and evaluation episode."""
STARTING_S = 12.0
"""Seconds to start a command that loads models."""
LONGEST = 130
"""Rough number of control steps of a demonstration."""
BASELINE = 5
"""Chunk size of the policies that preferences start from."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """Recipe of `reproduce nano`."""

    suites: tuple[str, ...]
    tasks: str | None
    """Task ids; None: all."""
    demonstrations: int
    """Per task."""
    frame_stride: int
    """Control steps from one image to the next."""
    heads: dict[int, tuple[Literal["flow", "fast"], ...]]
    """Chunk size of a supervised policy -> the heads to evaluate."""
    seeds: tuple[int, ...]
    sft: dict[str, Any]
    """Overrides of the recipe `nano` of `train sft`, by section."""
    world_episodes: int
    """Demonstrations per task for the world model."""
    world_steps: int
    label_states: int
    rewards: tuple[str, ...]
    dpo_steps: int
    dpo_learning_rate: float
    init_states: str
    """Initial states of the evaluation, used by no other stage."""
    base: str | None = None
    """Initial checkpoint of supervised training, like the papers' pretrained model; None: random initialisation."""
    max_steps: int | None = None
    workers: int = 1

    @property
    def task_count(self) -> int:
        """Tasks over all suites."""
        return len(self.suites) * (len(self.tasks.split(",")) if self.tasks else 10)

    @property
    def episodes(self) -> int:
        """Evaluation episodes per policy."""
        first, _, last = self.init_states.partition("-")
        return self.task_count * (int(last or first) - int(first) + 1)

    def validate(self) -> None:
        """Raises TrainingError, UnknownName."""
        for name in ("demonstrations", "frame_stride", "world_episodes", "world_steps", "label_states", "dpo_steps", "workers"):
            require_field(name, getattr(self, name), getattr(self, name) >= 1, "be at least 1")
        require_field("dpo_learning_rate", self.dpo_learning_rate, 0 < self.dpo_learning_rate < math.inf, "be a number above 0")
        if "flow" not in self.heads.get(BASELINE, ()):
            raise TrainingError(f"heads must hold {BASELINE}: [flow], the policy that preferences start from", option="heads")
        for reward in self.rewards:
            if reward not in REWARDS:
                raise UnknownName("reward", reward, REWARDS)


def run_folder(out: Path, variant: str, seed: int) -> Path:
    """Folder of a policy's evaluation run."""
    return out / "runs" / f"{variant}-seed{seed}"


def _tokenizer(out: Path, chunk: int) -> Path:
    """Folder of the FAST tokenizer for a chunk size."""
    return out / f"tokenizer-{chunk}"


def sft_name(chunk: int, head: str) -> str:
    """Name of a supervised policy."""
    return f"sft-chunk{chunk}-{head}"


def dpo_name(reward: str) -> str:
    """Name of a policy after preference optimisation."""
    return f"dpo-{reward}"


def write_recipes(settings: Reproduction, out: Path) -> None:
    """Write the recipes of supervised training, one per chunk size and seed."""
    import yaml

    for chunk in settings.heads:
        for seed in settings.seeds:
            recipe = yaml.safe_load(recipe_text("nano", "sft")[0])
            for section, changes in settings.sft.items():
                recipe[section] = {**(recipe.get(section) or {}), **changes}
            sizes = {**(recipe.get("start") or {}).get("nano", {}), "chunk": chunk}
            model = {"checkpoint": settings.base, "chunk": chunk} if settings.base else {"nano": sizes}
            recipe["start"] = {**model, "fast": str(_tokenizer(out, chunk)), "seed": seed}
            statistics = {"statistics": "start"} if settings.base else {}
            recipe["data"] = {**recipe["data"], **statistics, "frame_stride": settings.frame_stride}
            recipe["loop"] = {**recipe["loop"], "seed": seed}
            path = _recipe(out, chunk, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")


def _recipe(out: Path, chunk: int, seed: int) -> Path:
    return out / "recipes" / f"sft-chunk{chunk}-seed{seed}.yaml"


def nano_stages(settings: Reproduction, out: Path) -> Iterator[PipelineStage]:
    """All stages, in order."""
    yield from _data(settings, out)
    yield from _supervised(settings, out)
    yield from _world(settings, out)
    yield from _preferences(settings, out)


def _data(settings: Reproduction, out: Path) -> Iterator[PipelineStage]:
    count, data = settings.demonstrations * settings.task_count, out / "demonstrations"
    tasks = {"suite": settings.suites, "tasks": settings.tasks}
    collect = {**tasks, "episodes": settings.demonstrations, "workers": settings.workers, "out": data}
    yield stage("demonstrations", "collect", collect, count * DEMONSTRATION_S)
    for chunk in settings.heads:
        fit = {"data": data, "chunk-size": chunk, "out": _tokenizer(out, chunk)}
        yield stage(f"tokenizer-{chunk}", "data fit-tokenizer", fit, STARTING_S)
    render = {"data": data, "frame-stride": settings.frame_stride, "workers": settings.workers, "out": out / "frames"}
    yield stage("images", "data render", render, count * LONGEST / settings.frame_stride * IMAGE_S)


def _supervised(settings: Reproduction, out: Path) -> Iterator[PipelineStage]:
    steps = settings.sft["loop"]["steps"]
    for seed in settings.seeds:
        for chunk, heads in settings.heads.items():
            name = f"sft-chunk{chunk}-seed{seed}"
            train = {"data": out / "demonstrations", "recipe": _recipe(out, chunk, seed), "out": out / name}
            yield stage(name, "train sft", {**train, "frames": out / "frames"}, STARTING_S + steps * SFT_S)
            for head in heads:
                yield _evaluate(settings, out, sft_name(chunk, head), seed, folder_of(out / name, steps), head)


def _world(settings: Reproduction, out: Path) -> Iterator[PipelineStage]:
    train = {"data": out / "demonstrations", "episodes": settings.world_episodes, "steps": settings.world_steps}
    train |= {"out": out / "world-model", "frames": out / "frames", "latents": out / "latents"}
    rendering = settings.world_episodes * settings.task_count * LONGEST * IMAGE_S
    yield stage("world-model", "train world-model", train, STARTING_S + rendering + settings.world_steps * WORLD_S)


def _preferences(settings: Reproduction, out: Path) -> Iterator[PipelineStage]:
    for seed in settings.seeds:
        policy = folder_of(out / f"sft-chunk{BASELINE}-seed{seed}", settings.sft["loop"]["steps"])
        labels = out / f"labels-seed{seed}"
        label = {
            "policy": policy,
            "data": out / "demonstrations",
            "world-model": folder_of(out / "world-model", settings.world_steps),
            "reward": settings.rewards,
            "states": settings.label_states,
            "episodes": settings.world_episodes,
            "frame-stride": settings.frame_stride,
            "seed": seed,
            "out": labels,
            "frames": out / "frames",
            "latents": out / "latents",
        }
        yield stage(labels.name, "label-preferences", label, STARTING_S + settings.label_states * LABEL_S)
        for reward in settings.rewards:
            yield from _preferred(settings, out, reward, seed, policy)


def _preferred(settings: Reproduction, out: Path, reward: str, seed: int, policy: Path) -> Iterator[PipelineStage]:
    name = f"{dpo_name(reward)}-seed{seed}"
    train = {"init-from": policy, "labels": out / f"labels-seed{seed}", "reward": reward, "out": out / name}
    train |= {"steps": settings.dpo_steps, "learning-rate": settings.dpo_learning_rate, "seed": seed}
    yield stage(name, "train dpo", train, STARTING_S + settings.dpo_steps * 16 * PAIR_S)
    yield _evaluate(settings, out, dpo_name(reward), seed, folder_of(out / name, settings.dpo_steps), "flow")


def _evaluate(settings: Reproduction, out: Path, variant: str, seed: int, policy: Path, head: str) -> PipelineStage:
    run = {
        "suite": settings.suites,
        "tasks": settings.tasks,
        "policy": policy,
        "policy-arg": (f"mode={head}", "threads=1"),
        "init-states": settings.init_states,
        "assets": "standin",
        "workers": settings.workers,
        "max-steps": settings.max_steps,
        "out": run_folder(out, variant, seed),
    }
    share = min(1.0, (settings.max_steps or 280) / 280)
    return stage(f"evaluate-{variant}-seed{seed}", "run", run, STARTING_S + settings.episodes * EPISODE_S * share)
