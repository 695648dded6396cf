"""The nano reproduction: stages from demonstrations to the papers' comparisons (`pipeline.py` runs them).

Demonstrations -> tokenizers -> supervised training (chunk 5 and chunk 1, tokens and flow together) -> world model -> labels ->
DPO for each reward -> episodes on held-out initial states -> tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ...envs.errors import UnknownName
from ..engine.config import TrainingError, recipe_text
from ..preference.rewards import REWARDS
from .pipeline import PipelineStage

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
        if "flow" not in self.heads.get(BASELINE, ()):
            raise TrainingError(f"heads must hold {BASELINE}: [flow], the policy that preferences start from", option="heads")
        for reward in self.rewards:
            if reward not in REWARDS:
                raise UnknownName("reward", reward, REWARDS)


@dataclass(frozen=True)
class Layout:
    """Folders of a reproduction."""

    out: Path

    def data(self) -> str:
        """Folder of the demonstrations."""
        return str(self.out / "demonstrations")

    def tokenizer(self, chunk: int) -> str:
        """Folder of the FAST tokenizer for a chunk size."""
        return str(self.out / f"tokenizer-{chunk}")

    def frames(self) -> tuple[str, ...]:
        """Options for the image cache."""
        return ("--frames", str(self.out / "frames"))

    def latents(self) -> tuple[str, ...]:
        """Options for the cache of encoded frames."""
        return ("--latents", str(self.out / "latents"))

    def part(self, name: str) -> str:
        """Folder of a trained part."""
        return str(self.out / name)

    def checkpoint(self, part: str, steps: int) -> str:
        """Last checkpoint of a trained part."""
        from ..engine.checkpoints import folder_of

        return str(folder_of(self.out / part, steps))

    def run(self, variant: str, seed: int) -> str:
        """Folder of a policy's evaluation run."""
        return str(self.out / "runs" / f"{variant}-seed{seed}")


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
            recipe["start"] = {**model, "fast": Layout(out).tokenizer(chunk), "seed": seed}
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
    at = Layout(out)
    yield from _data(settings, at)
    yield from _supervised(settings, at)
    yield from _world(settings, at)
    yield from _preferences(settings, at)


def _data(settings: Reproduction, at: Layout) -> Iterator[PipelineStage]:
    tasks = ("--tasks", settings.tasks) if settings.tasks else ()
    count = settings.demonstrations * settings.task_count
    suites = tuple(word for suite in settings.suites for word in ("--suite", suite))
    collect = ("collect", *suites, *tasks, "--episodes", str(settings.demonstrations), "--workers", str(settings.workers))
    yield PipelineStage("demonstrations", (*collect, "--out", at.data()), count * DEMONSTRATION_S)
    for chunk in settings.heads:
        command = ("data", "fit-tokenizer", "--data", at.data(), "--chunk-size", str(chunk), "--out", at.tokenizer(chunk))
        yield PipelineStage(f"tokenizer-{chunk}", command, STARTING_S)
    images = (
        "data",
        "render",
        "--data",
        at.data(),
        "--frame-stride",
        str(settings.frame_stride),
        "--workers",
        str(settings.workers),
    )
    seconds = count * LONGEST / settings.frame_stride * IMAGE_S
    yield PipelineStage("images", (*images, "--out", at.frames()[1]), seconds)


def _supervised(settings: Reproduction, at: Layout) -> Iterator[PipelineStage]:
    steps = settings.sft["loop"]["steps"]
    for seed in settings.seeds:
        for chunk, heads in settings.heads.items():
            name = f"sft-chunk{chunk}-seed{seed}"
            recipe = ("--recipe", str(_recipe(at.out, chunk, seed)))
            command = ("train", "sft", "--data", at.data(), *recipe, "--out", at.part(name), *at.frames())
            yield PipelineStage(name, command, STARTING_S + steps * SFT_S)
            policy = at.checkpoint(name, steps)
            for head in heads:
                yield _evaluate(settings, at, sft_name(chunk, head), seed, policy, head)


def _world(settings: Reproduction, at: Layout) -> Iterator[PipelineStage]:
    chosen = ("--episodes", str(settings.world_episodes), "--steps", str(settings.world_steps))
    command = ("train", "world-model", "--data", at.data(), *chosen, "--out", at.part("world-model"), *at.frames(), *at.latents())
    drawing = settings.world_episodes * settings.task_count * LONGEST * IMAGE_S
    yield PipelineStage("world-model", command, STARTING_S + drawing + settings.world_steps * WORLD_S)


def _preferences(settings: Reproduction, at: Layout) -> Iterator[PipelineStage]:
    world = at.checkpoint("world-model", settings.world_steps)
    for seed in settings.seeds:
        policy = at.checkpoint(f"sft-chunk{BASELINE}-seed{seed}", settings.sft["loop"]["steps"])
        labels = at.part(f"labels-seed{seed}")
        rewards = tuple(word for reward in settings.rewards for word in ("--reward", reward))
        limits = (
            "--states",
            str(settings.label_states),
            "--episodes",
            str(settings.world_episodes),
            "--frame-stride",
            str(settings.frame_stride),
        )
        command = (
            "label-preferences",
            "--policy",
            policy,
            "--data",
            at.data(),
            "--world-model",
            world,
            *rewards,
            *limits,
            "--seed",
            str(seed),
        )
        kept = ("--out", labels, *at.frames(), *at.latents())
        yield PipelineStage(f"labels-seed{seed}", (*command, *kept), STARTING_S + settings.label_states * LABEL_S)
        for reward in settings.rewards:
            yield from _preferred(settings, at, reward, seed, (policy, labels))


def _preferred(settings: Reproduction, at: Layout, reward: str, seed: int, from_: tuple[str, str]) -> Iterator[PipelineStage]:
    policy, labels = from_
    name = f"{dpo_name(reward)}-seed{seed}"
    numbers = ("--steps", str(settings.dpo_steps), "--learning-rate", str(settings.dpo_learning_rate), "--seed", str(seed))
    command = ("train", "dpo", "--init-from", policy, "--labels", labels, "--reward", reward, "--out", at.part(name), *numbers)
    yield PipelineStage(name, command, STARTING_S + settings.dpo_steps * 16 * PAIR_S)
    yield _evaluate(settings, at, dpo_name(reward), seed, at.checkpoint(name, settings.dpo_steps), "flow")


def _evaluate(settings: Reproduction, at: Layout, variant: str, seed: int, policy: str, head: str) -> PipelineStage:
    suites = tuple(word for suite in settings.suites for word in ("--suite", suite))
    tasks = ("--tasks", settings.tasks) if settings.tasks else ()
    answers = ("--policy-arg", f"mode={head}", "--policy-arg", "threads=1")
    limits = ("--max-steps", str(settings.max_steps)) if settings.max_steps else ()
    states = ("--init-states", settings.init_states, "--assets", "standin", "--workers", str(settings.workers))
    command = ("run", *suites, *tasks, "--policy", policy, *answers, *states, *limits, "--out", at.run(variant, seed))
    share = min(1.0, (settings.max_steps or 280) / 280)
    return PipelineStage(f"evaluate-{variant}-seed{seed}", command, STARTING_S + settings.episodes * EPISODE_S * share)
