"""The nano reproduction: from nothing to the papers' comparisons, by commands of ours (`stages.py`).

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

DEMONSTRATION_S, PICTURE_S, SFT_S, WORLD_S, LABEL_S, PAIR_S, EPISODE_S = 1.0, 0.01, 0.35, 0.15, 0.1, 0.03, 4.0
"""Rough seconds on one core: a demonstration, an image drawn, an update of supervised training, one of the world model, a
state labelled, a pair in an update of DPO, an episode played."""
STARTING_S = 12.0
"""Of a command that loads models."""
LONGEST = 130
"""Rough steps of a demonstration."""
BASELINE = 5
"""Chunk length of the policies that preferences are made with."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What is trained, and on what it is judged."""

    suites: tuple[str, ...]
    tasks: str | None
    """Task ids; None: all."""
    demonstrations: int
    """Per task."""
    frame_stride: int
    """Steps from one image of the policy's to the next."""
    heads: dict[int, tuple[Literal["flow", "fast"], ...]]
    """Chunk length of a supervised policy -> the heads that it is played with."""
    seeds: tuple[int, ...]
    sft: dict[str, Any]
    """What differs from the recipe `nano` of `train sft`, by section."""
    world_episodes: int
    """Demonstrations per task that the world model is trained on."""
    world_steps: int
    label_states: int
    rewards: tuple[str, ...]
    dpo_steps: int
    dpo_learning_rate: float
    init_states: str
    """Held out from everything else."""
    base: str | None = None
    """Checkpoint that supervised training starts from, as the papers' does from a pretrained model; None: drawn weights."""
    max_steps: int | None = None
    workers: int = 1

    @property
    def task_count(self) -> int:
        """Tasks over all suites."""
        return len(self.suites) * (len(self.tasks.split(",")) if self.tasks else 10)

    @property
    def episodes(self) -> int:
        """Episodes that each policy plays."""
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
    """Where a reproduction's parts lie."""

    out: Path

    def data(self) -> str:
        """Demonstrations."""
        return str(self.out / "demonstrations")

    def tokenizer(self, chunk: int) -> str:
        """FAST for a chunk length."""
        return str(self.out / f"tokenizer-{chunk}")

    def frames(self) -> tuple[str, ...]:
        """Options that say where images are kept."""
        return ("--frames", str(self.out / "frames"))

    def latents(self) -> tuple[str, ...]:
        """Options that say where encoded frames are kept."""
        return ("--latents", str(self.out / "latents"))

    def part(self, name: str) -> str:
        """A trained part."""
        return str(self.out / name)

    def checkpoint(self, part: str, steps: int) -> str:
        """A trained part's last checkpoint."""
        from ..engine.checkpoints import folder_of

        return str(folder_of(self.out / part, steps))

    def run(self, variant: str, seed: int) -> str:
        """A policy's episodes."""
        return str(self.out / "runs" / f"{variant}-seed{seed}")


def sft_name(chunk: int, head: str) -> str:
    """What a supervised policy is called."""
    return f"sft-chunk{chunk}-{head}"


def dpo_name(reward: str) -> str:
    """What a policy after preference optimisation is called."""
    return f"dpo-{reward}"


def write_recipes(wanted: Reproduction, out: Path) -> None:
    """Write the recipes of supervised training, one per chunk length and seed."""
    import yaml

    for chunk in wanted.heads:
        for seed in wanted.seeds:
            recipe = yaml.safe_load(recipe_text("nano", "sft")[0])
            for section, changes in wanted.sft.items():
                recipe[section] = {**(recipe.get(section) or {}), **changes}
            sizes = {**(recipe.get("start") or {}).get("nano", {}), "chunk": chunk}
            model = {"checkpoint": wanted.base, "chunk": chunk} if wanted.base else {"nano": sizes}
            recipe["start"] = {**model, "fast": Layout(out).tokenizer(chunk), "seed": seed}
            statistics = {"statistics": "start"} if wanted.base else {}
            recipe["data"] = {**recipe["data"], **statistics, "frame_stride": wanted.frame_stride}
            recipe["loop"] = {**recipe["loop"], "seed": seed}
            path = _recipe(out, chunk, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")


def _recipe(out: Path, chunk: int, seed: int) -> Path:
    return out / "recipes" / f"sft-chunk{chunk}-seed{seed}.yaml"


def nano_stages(wanted: Reproduction, out: Path) -> Iterator[PipelineStage]:
    """All stages, in order."""
    at = Layout(out)
    yield from _data(wanted, at)
    yield from _supervised(wanted, at)
    yield from _world(wanted, at)
    yield from _preferences(wanted, at)


def _data(wanted: Reproduction, at: Layout) -> Iterator[PipelineStage]:
    tasks = ("--tasks", wanted.tasks) if wanted.tasks else ()
    count = wanted.demonstrations * wanted.task_count
    suites = tuple(word for suite in wanted.suites for word in ("--suite", suite))
    collect = ("collect", *suites, *tasks, "--episodes", str(wanted.demonstrations), "--workers", str(wanted.workers))
    yield PipelineStage("demonstrations", (*collect, "--out", at.data()), count * DEMONSTRATION_S)
    for chunk in wanted.heads:
        command = ("data", "fit-tokenizer", "--data", at.data(), "--chunk-size", str(chunk), "--out", at.tokenizer(chunk))
        yield PipelineStage(f"tokenizer-{chunk}", command, STARTING_S)
    images = ("data", "render", "--data", at.data(), "--frame-stride", str(wanted.frame_stride), "--workers", str(wanted.workers))
    seconds = count * LONGEST / wanted.frame_stride * PICTURE_S
    yield PipelineStage("images", (*images, "--out", at.frames()[1]), seconds)


def _supervised(wanted: Reproduction, at: Layout) -> Iterator[PipelineStage]:
    steps = wanted.sft["loop"]["steps"]
    for seed in wanted.seeds:
        for chunk, heads in wanted.heads.items():
            name = f"sft-chunk{chunk}-seed{seed}"
            recipe = ("--recipe", str(_recipe(at.out, chunk, seed)))
            command = ("train", "sft", "--data", at.data(), *recipe, "--out", at.part(name), *at.frames())
            yield PipelineStage(name, command, STARTING_S + steps * SFT_S)
            policy = at.checkpoint(name, steps)
            for head in heads:
                yield _play(wanted, at, sft_name(chunk, head), seed, policy, head)


def _world(wanted: Reproduction, at: Layout) -> Iterator[PipelineStage]:
    chosen = ("--episodes", str(wanted.world_episodes), "--steps", str(wanted.world_steps))
    command = ("train", "world-model", "--data", at.data(), *chosen, "--out", at.part("world-model"), *at.frames(), *at.latents())
    drawing = wanted.world_episodes * wanted.task_count * LONGEST * PICTURE_S
    yield PipelineStage("world-model", command, STARTING_S + drawing + wanted.world_steps * WORLD_S)


def _preferences(wanted: Reproduction, at: Layout) -> Iterator[PipelineStage]:
    world = at.checkpoint("world-model", wanted.world_steps)
    for seed in wanted.seeds:
        policy = at.checkpoint(f"sft-chunk{BASELINE}-seed{seed}", wanted.sft["loop"]["steps"])
        labels = at.part(f"labels-seed{seed}")
        rewards = tuple(word for reward in wanted.rewards for word in ("--reward", reward))
        asked = (
            "--states",
            str(wanted.label_states),
            "--episodes",
            str(wanted.world_episodes),
            "--frame-stride",
            str(wanted.frame_stride),
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
            *asked,
            "--seed",
            str(seed),
        )
        kept = ("--out", labels, *at.frames(), *at.latents())
        yield PipelineStage(f"labels-seed{seed}", (*command, *kept), STARTING_S + wanted.label_states * LABEL_S)
        for reward in wanted.rewards:
            yield from _preferred(wanted, at, reward, seed, (policy, labels))


def _preferred(wanted: Reproduction, at: Layout, reward: str, seed: int, from_: tuple[str, str]) -> Iterator[PipelineStage]:
    policy, labels = from_
    name = f"{dpo_name(reward)}-seed{seed}"
    numbers = ("--steps", str(wanted.dpo_steps), "--learning-rate", str(wanted.dpo_learning_rate), "--seed", str(seed))
    command = ("train", "dpo", "--init-from", policy, "--labels", labels, "--reward", reward, "--out", at.part(name), *numbers)
    yield PipelineStage(name, command, STARTING_S + wanted.dpo_steps * 16 * PAIR_S)
    yield _play(wanted, at, dpo_name(reward), seed, at.checkpoint(name, wanted.dpo_steps), "flow")


def _play(wanted: Reproduction, at: Layout, variant: str, seed: int, policy: str, head: str) -> PipelineStage:
    suites = tuple(word for suite in wanted.suites for word in ("--suite", suite))
    tasks = ("--tasks", wanted.tasks) if wanted.tasks else ()
    answers = ("--policy-arg", f"mode={head}", "--policy-arg", "threads=1")
    limits = ("--max-steps", str(wanted.max_steps)) if wanted.max_steps else ()
    states = ("--init-states", wanted.init_states, "--assets", "standin", "--workers", str(wanted.workers))
    command = ("run", *suites, *tasks, "--policy", policy, *answers, *states, *limits, "--out", at.run(variant, seed))
    share = min(1.0, (wanted.max_steps or 280) / 280)
    return PipelineStage(f"play-{variant}-seed{seed}", command, STARTING_S + wanted.episodes * EPISODE_S * share)
