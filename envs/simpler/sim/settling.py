"""Dropping objects until they rest, as upstream's reset does, from an empty scene. Metres, seconds; world frame.

Resting poses depend on the pack's shapes and the placements alone, so they are computed once for all appearance variants of
a scene. Upstream settles in a scene that its constructor has already simulated once, with the robot parked 10 m away;
docs/evidence/simplerenv_parity.md gives the effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sapien

from ..grid import EpisodeSetup
from ..placements import DROP_Z, Objects, Placement, objects
from .bodies import is_task_object
from .pack_files import has_cabinet, stage_mesh, station_urdf
from .scene import SimplerScene, velocity
from .solver import SETTLING_SOLVER

HALF_SECOND, LONG = 256, 769
"""Physics steps of 0.5 s and 1.5 s, truncated."""
STILL_LINEAR, STILL_ANGULAR = 1e-3, 1e-2
"""m/s and rad/s above which settling continues."""
UPRIGHT = [False, False, False, True, True, False]
"""Rotation about x and y locked."""
FALLING = [True, True, False, True, True, False]
"""Only z translation and rotation about z are free."""
FREE = [False] * 6


@dataclass(frozen=True, slots=True)
class SettledObjects:
    """Poses and velocities of an episode's objects at its start, in the order of its placements."""

    poses: tuple[sapien.Pose, ...]
    velocities: tuple[np.ndarray, ...]
    """[6] each: linear (m/s), angular (rad/s)."""


class ObjectSettler:
    """Settling for one asset pack, with a cache of the resting poses."""

    def __init__(self, pack: Path) -> None:
        self._pack = pack
        self._known: dict[Any, SettledObjects] = {}

    def settle(self, setup: EpisodeSetup) -> SettledObjects:
        """The objects of an episode at its start."""
        configuration, placed = setup.configuration, objects(setup)
        surroundings = station_urdf if has_cabinet(configuration) else stage_mesh
        key = configuration.task, surroundings(self._pack, configuration), placed
        if key not in self._known:
            self._known[key] = drop(SimplerScene(self._pack, configuration, SETTLING_SOLVER), placed)
        return self._known[key]


def place_objects(scene: SimplerScene, placed: Objects, settled: SettledObjects) -> None:
    """Add the settled objects to a scene; what has come to rest sleeps until something touches it, as at the end of settling."""
    for index, placement in enumerate(placed.placements):
        body = scene.add_object(placement.model, task_object=is_task_object(scene.configuration, index))
        put(body, settled.poses[index], settled.velocities[index])
        if not np.any(settled.velocities[index]):
            body.put_to_sleep()  # awake in a new scene, an orange would roll on


def drop(scene: SimplerScene, placed: Objects) -> SettledObjects:
    """Let the objects fall in an empty scene: in move near all at once, else one after the other."""
    if scene.configuration.task == "move_near":
        _drop_together(scene, placed.placements)
    elif placed.placements:
        _drop_first(scene, placed.placements[0])
        _drop_others(scene, placed.placements[1:])
    bodies = scene.objects.values()
    return SettledObjects(tuple(body.entity_pose for body in bodies), tuple(velocity(body) for body in bodies))


def _drop_first(scene: SimplerScene, placement: Placement) -> None:
    body = _hang(scene, placement, UPRIGHT, task_object=True)
    scene.step_idle(HALF_SECOND)
    _release(body)
    scene.step_idle(HALF_SECOND)
    if restless([body]):
        scene.step_idle(LONG)


def _drop_others(scene: SimplerScene, placements: Sequence[Placement]) -> None:
    bodies = []
    for placement in placements:
        bodies.append(_hang(scene, placement, FALLING, task_object=False))
        scene.step_idle(HALF_SECOND)
    for body in bodies:
        _release(body)
        scene.step_idle(HALF_SECOND)
    if bodies and restless(bodies):
        scene.step_idle(LONG)


def _drop_together(scene: SimplerScene, placements: Sequence[Placement]) -> None:
    bodies = [_hang(scene, placement, UPRIGHT, task_object=True) for placement in placements]
    scene.step_idle(HALF_SECOND)
    for body in bodies:
        _release(body)
    scene.step_idle(HALF_SECOND)
    if restless(bodies):
        scene.step_idle(LONG)


def _hang(scene: SimplerScene, placement: Placement, locked: list[bool], *, task_object: bool) -> Any:
    """Add an object at its drop position, with some motions locked."""
    body = scene.add_object(placement.model, task_object=task_object)
    put(body, sapien.Pose((*placement.xy, DROP_Z), placement.quat), np.zeros(6))
    body.set_locked_motion_axes(locked)
    return body


def _release(body: Any) -> None:
    body.set_locked_motion_axes(FREE)
    put(body, body.entity_pose, np.zeros(6))


def put(body: Any, pose: sapien.Pose, speed: np.ndarray) -> None:
    """Set a body's pose and velocity ([6], m/s and rad/s)."""
    body.entity_pose = pose
    body.linear_velocity, body.angular_velocity = speed[:3], speed[3:]


def restless(bodies: Sequence[Any]) -> bool:
    """Whether the bodies together move faster than the limits."""
    linear = sum(float(np.linalg.norm(body.linear_velocity)) for body in bodies)
    angular = sum(float(np.linalg.norm(body.angular_velocity)) for body in bodies)
    return linear > STILL_LINEAR or angular > STILL_ANGULAR
