"""The perturbation of an episode, applied to its built task between the reset and the initial state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ....base import EpisodeSpec
from ....perturbations import axes
from ...tasks import load_tasks
from . import cameras, distractors, lights, starts, surfaces
from .edits import Edits

Look = Callable[[Edits, Any, Mapping[str, Any], np.random.Generator], None]
LOOKS: Mapping[str, Look] = {
    "wrist": cameras.wrist,
    "light": lights.light,
    "background": surfaces.background,
}
"""Axes that change images only, beside `camera` and `appearance`."""
HOLDS_ARM = "robot"
"""Axis after which the controller starts from the arm's own pose: else it turns the hand back to the usual orientation."""
STARTS: Mapping[str, starts.Start] = {"robot": starts.robot, "layout": starts.layout, "distractors": distractors.distractors}
"""Axes that change the initial state."""


def start(edits: Edits, scene: Any, spec: EpisodeSpec, row: np.ndarray) -> None:
    """Apply the perturbation of an episode and set its initial state; see `perturb`."""
    scene.set_state(perturb(edits, scene, spec, row))
    if axes.get(spec.perturbation).axis == HOLDS_ARM:
        scene.arm.start_from_state()


def perturb(edits: Edits, scene: Any, spec: EpisodeSpec, row: np.ndarray) -> np.ndarray:
    """Apply the scene axis of an episode, if it has one, to the looks; its initial state [1 + nq + nv].

    Args:
        edits: take the changes of looks.
        scene: the task's `LiberoScene`, reset with the episode's seed.
        spec: the episode.
        row: [1 + nq + nv] the initial state without the perturbation, of the task's own model.

    Raises SceneCheckError where the scene has no room for it.
    """
    if (found := axes.get(spec.perturbation)).kind != "scene":
        return row
    rng = np.random.default_rng(spec.entropy(f"perturb {found.axis} {found.level}"))
    instruction = load_tasks(spec.suite)[spec.task_id].instruction
    if found.axis in STARTS:
        return STARTS[found.axis](scene, found.values, rng, row, instruction)
    if found.axis == "camera":
        cameras.camera(edits, scene, found.values, rng, row)
    elif found.axis == "appearance":
        surfaces.appearance(edits, scene, found.values, rng, instruction)
    else:
        LOOKS[found.axis](edits, scene, found.values, rng)
    return row
