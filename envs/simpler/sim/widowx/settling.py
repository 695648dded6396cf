"""Rest poses of a WidowX episode's objects: recorded ones where the pack has upstream's shapes, else dropped here.

The eggplant's rest pose in the sink is chaotic: another version of the engine leaves it up to 5 cm away. So the poses in which
upstream's engine left the objects are data (`widowx_settled.json`).
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import sapien

from ....safe_io import file_digest
from ...grid import EpisodeSetup
from ...placements import DROP_Z, objects
from ...widowx_tasks import EPISODES, SINK, TASKS
from ..kinematics import as_pose
from ..pack_files import model_folder
from ..settling import FREE, UPRIGHT, SettledObjects, put, restless
from .scene import SETTLING_SOLVER, WidowXScene

HALF_SECOND, LONG = 250, 750
"""Physics steps of 0.5 s and 1.5 s."""


class WidowXSettler:
    """Rest poses for one asset pack, with a cache of those computed here."""

    def __init__(self, pack: Path) -> None:
        self._pack = pack
        self._known: dict[tuple[str, int], SettledObjects] = {}

    def settle(self, setup: EpisodeSetup) -> SettledObjects:
        """The objects of an episode at its start, at rest."""
        task, episode = setup.configuration.task, (setup.episode_id or 0) % EPISODES
        if (task, episode) not in self._known:
            recorded = _recorded()["tasks"].get(task, {})
            if _digests(self._pack, task) == recorded.get("shapes"):
                poses = tuple(map(as_pose, recorded["poses"][episode]))
            else:
                poses = drop(WidowXScene(self._pack, setup.configuration, SETTLING_SOLVER), setup)
            self._known[task, episode] = SettledObjects(poses, (np.zeros(6),) * len(poses))
        return self._known[task, episode]


def drop(scene: WidowXScene, setup: EpisodeSetup) -> tuple[sapien.Pose, ...]:
    """Let source and target fall together, as upstream's reset does; their poses."""
    bodies = []
    for placement in objects(setup).placements:
        body = scene.add_object(placement.model)
        put(body, sapien.Pose((*placement.xy, DROP_Z), placement.quat), np.zeros(6))
        body.set_locked_motion_axes(UPRIGHT)
        bodies.append(body)
    scene.add_sink()
    scene.step_idle(HALF_SECOND)
    for body in bodies:
        body.set_locked_motion_axes(FREE)
        put(body, body.entity_pose, np.zeros(6))
    scene.step_idle(HALF_SECOND)
    if restless(bodies):
        scene.step_idle(LONG)
    return tuple(body.entity_pose for body in bodies)


@cache
def _recorded() -> dict[str, Any]:
    return json.loads(files("nora_bench.envs.simpler").joinpath("widowx_settled.json").read_text(encoding="utf-8"))


@cache
def _digests(pack: Path, task: str) -> dict[str, str]:
    """Model -> SHA-256 (16 digits) of its collision mesh, for everything that the task's objects rest on."""
    facts = TASKS[task]
    models = (facts.source, facts.target, *(SINK[:1] if facts.sink else ()))
    return {model: file_digest(model_folder(pack, model) / "collision.obj")[:16] for model in models}
