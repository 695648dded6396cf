"""Objects of an episode, their drop poses, and its instruction, as upstream's tasks derive them from the grid.

Metres; quaternions w, x, y, z; world frame. Facts: ManiSkill2_real2sim ef7a4d4f, `envs/custom_scenes`. Objects fall from
`DROP_Z` (place in drawer: onto the cabinet). Imports no simulator and stays within Python 3.10.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from .grid import EpisodeSetup
from .widowx_tasks import TASKS as WIDOWX_TASKS, layout

Quaternion = tuple[float, float, float, float]

DROP_Z = 1.37
"""World z from which the objects on the table are dropped (m)."""
EPISODE_SEED = 40194941
"""Seed that every reset of upstream's evaluator ends up with: the first sample of `RandomState(2022)`."""
HALF = math.sqrt(0.5)
CAN_ORIENTATIONS: dict[str, Quaternion] = {
    "horizontal": (0.0, 0.0, 0.0, 1.0),
    "vertical": (HALF, 0.0, 0.0, HALF),
    "standing": (HALF, HALF, 0.0, 0.0),
}
DISTRACTORS = {
    "less": ("opened_pepsi_can", "apple", "sponge", "orange"),
    "more": (
        "opened_7up_can",
        "opened_sprite_can",
        "sponge",
        "orange",
        "opened_fanta_can",
        "bridge_spoon_generated_modified",
    ),
}
TRIPLETS = (
    ("blue_plastic_bottle", "opened_pepsi_can", "orange"),
    ("opened_7up_can", "apple", "sponge"),
    ("opened_coke_can", "opened_redbull_can", "apple"),
    ("sponge", "blue_plastic_bottle", "opened_7up_can"),
    ("orange", "opened_pepsi_can", "opened_redbull_can"),
)
LAYOUTS = (
    ((-0.33, 0.04), (-0.33, 0.34), (-0.13, 0.19)),
    ((-0.13, 0.04), (-0.33, 0.19), (-0.13, 0.34)),
)
PAIRS = ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1))
"""(source, target) slots, in upstream's order."""
UNBAKED = ("blue_plastic_bottle", "orange")
"""Models without a baked texture of their own in visual matching."""
_MOVED_QUATS: dict[str, Quaternion] = {
    "blue_plastic_bottle": (0.5, 0.5, 0.5, 0.5),
    "apple": (1.0, 0.0, 0.0, 0.0),
    "orange": (HALF, 0.0, 0.0, HALF),
    "sponge": (HALF, 0.0, 0.0, HALF),
}
_OMITTED_WORDS = re.compile(r"opened|light|generated|modified|objaverse|bridge|baked|v2|.*cm")


@dataclass(frozen=True, slots=True)
class Placement:
    """One object at the moment it is dropped."""

    model: str
    """Model id, also the actor's name."""
    xy: tuple[float, float]
    quat: Quaternion


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of one episode, in upstream's order; the drawers have none."""

    placements: tuple[Placement, ...]
    source: int | None = None
    """Index of the object to manipulate."""
    target: int | None = None
    """Index of the object to move near to."""


def objects(setup: EpisodeSetup) -> Objects:
    """Objects on the table (or the cabinet) of an episode, with their drop poses."""
    configuration = setup.configuration
    if configuration.task in WIDOWX_TASKS and setup.episode_id is not None:
        return _widowx(configuration.task, setup.episode_id)
    if setup.episode_id is not None:
        bystander = not configuration.env_kwargs.get("no_distractor", False)
        return _move_near(setup.episode_id, configuration.env_id, bystander=bystander)
    assert setup.obj_xy is not None
    if configuration.task == "pick_coke_can":
        quat = CAN_ORIENTATIONS[configuration.subtask]
        can = Placement("opened_coke_can", setup.obj_xy, quat)
        return Objects((can, *_distractors(setup.obj_xy, quat, _distractor_models(setup))), source=0)
    if "model_ids" in configuration.env_kwargs:
        return Objects((Placement(configuration.env_kwargs["model_ids"], setup.obj_xy, (1.0, 0.0, 0.0, 0.0)),), source=0)
    return Objects(())


def instruction(setup: EpisodeSetup) -> str:
    """Instruction of an episode."""
    placed = objects(setup)
    if placed.source is None or placed.target is None:
        return setup.configuration.instruction
    source, target = (as_words(placed.placements[index].model) for index in (placed.source, placed.target))
    return setup.configuration.instruction.format(source=source, target=target)


def second_instruction(setup: EpisodeSetup) -> str:
    """Instruction of the second part of placing an object in a drawer."""
    model = objects(setup).placements[0].model
    return f"place {as_words(model)} into {setup.configuration.subtask} drawer"


def as_words(model: str) -> str:
    """A model's name in instructions: `baked_opened_7up_can` is `7up can`."""
    return " ".join(word for word in model.split("_") if not _OMITTED_WORDS.fullmatch(word))


def _distractor_models(setup: EpisodeSetup) -> tuple[str, ...]:
    if "Distractor" not in setup.configuration.env_id:
        return ()
    return DISTRACTORS[setup.configuration.env_kwargs.get("distractor_config", "less")]


def _distractors(can_xy: tuple[float, float], quat: Quaternion, models: tuple[str, ...]) -> list[Placement]:
    """Distractors around the can, as sampled by upstream's episode generator; they have the can's orientation."""
    rng = np.random.RandomState(EPISODE_SEED)
    placed: list[Placement] = []
    while len(placed) < len(models):
        xy = np.clip(np.add(can_xy, rng.uniform(-0.3, 0.3, 2)), (-0.5, 0.05), (-0.1, 0.35))
        if np.linalg.norm(xy - can_xy) > 0.25:
            placed.append(Placement(models[len(placed)], (float(xy[0]), float(xy[1])), quat))
    return placed


def _move_near(episode_id: int, env_id: str, *, bystander: bool) -> Objects:
    triplet, rest = divmod(episode_id, 12)
    layout, pair = divmod(rest, 6)
    source, target = PAIRS[pair]
    placements = [
        Placement(_baked(model, env_id), xy, _MOVED_QUATS.get(model, CAN_ORIENTATIONS["standing"]))
        for model, xy in zip(TRIPLETS[triplet], LAYOUTS[layout], strict=True)
    ]
    if bystander:
        return Objects(tuple(placements), source, target)
    return Objects((placements[source], placements[target]), 0, 1)


def _widowx(task: str, episode_id: int) -> Objects:
    """Source and target of a WidowX task."""
    names, place = WIDOWX_TASKS[task], layout(task, episode_id)
    source = Placement(names.source, place.source_xy, place.source_quat)
    return Objects((source, Placement(names.target, place.target_xy, place.target_quat)), 0, 1)


def _baked(model: str, env_id: str) -> str:
    """Visual matching's retextured copy of a model; version 1 of the environment (not in the grid) has newer ones."""
    if "BakedTex" not in env_id or model in UNBAKED:
        return model
    return f"baked_{model}_v2" if env_id.endswith("-v1") else f"baked_{model}"
