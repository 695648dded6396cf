"""Request of an episode of the Google robot: everything that the physics process must know. Metres, radians, kg.

Upstream resets twice before an episode: its constructor resets with seed 2022, then the evaluator resets. Unless the scene
is built anew for the second (other objects than the constructor's, or distractors), the first leaves traces in the
solver's memory and is therefore repeated.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...grid import BASE_HEIGHT, Configuration, EpisodeSetup
from ...placements import DROP_Z, Placement, objects
from .. import bodies, cabinet, pack_files
from ..robot import ARM, CONTACT, DAMPING, END_EFFECTOR, FINGERS, FORCE_LIMIT, JOINTS, STIFFNESS
from ..timing import PHYSICS_HZ

CONSTRUCTOR_SEED = 2022
CONSTRUCTOR_EPISODE = 28
"""Layout of move near that the constructor draws from that seed."""
FINGER_DRIVE = (200.0, 8.0, 60.0)
"""Stiffness, damping and force limit of the fingers, as upstream's; `robot` may compensate for SAPIEN 3."""
ON_TABLE, ON_CABINET = ((-0.35, -0.02), (-0.12, 0.42)), ((-0.10, 0.0), (-0.05, 0.1))
"""Least and greatest x, y (m) from which the constructor draws an object's position."""
HALF_TURN = (0.0, 0.0, 0.0, 1.0)


def google_request(pack: Path, setup: EpisodeSetup, qpos: list[float], drawers: list[float]) -> dict[str, Any]:
    """The request of an episode.

    Args:
        pack: asset pack.
        setup: the episode.
        qpos: [11] joint positions at the start, in `robot.JOINTS` order.
        drawers: [3] travel of the drawers at the start.
    """
    configuration = setup.configuration
    inside = pack_files.has_cabinet(configuration)
    base = [*setup.robot.init_xy, BASE_HEIGHT, *setup.robot.init_rot_quat_wxyz]
    common = {"together": configuration.task == "move_near", "qpos": qpos, "drawers": drawers}
    evaluated = {**common, "drops": _drops(setup), "base": base}
    first = constructor_reset(setup)
    return {
        "program": "google",
        "hz": PHYSICS_HZ,
        "contact_offset": bodies.contact_offset(configuration),
        "robot": _robot(pack, configuration),
        "arena": {
            "stage": None if inside else str(pack_files.stage_mesh(pack, configuration)),
            "turn": [0.0, 0.0, 0.0, *pack_files.STAGE_TURN],
            "place": [-x for x in pack_files.scene_offset(configuration)],
        },
        "objects": _objects(pack, setup),
        "cabinet": _cabinet(pack, configuration) if inside else None,
        "resets": [*([{**common, **first}] if first else []), evaluated],
    }


def constructor_reset(setup: EpisodeSetup) -> dict[str, Any] | None:
    """Drops and base pose of the constructor's reset; None where nothing is left of it in the evaluated scene."""
    rng = np.random.RandomState(CONSTRUCTOR_SEED)
    placed = objects(setup).placements
    task = setup.configuration.task
    if task == "move_near":
        setup = replace(setup, episode_id=CONSTRUCTOR_EPISODE)
        if [each.model for each in objects(setup).placements] != [each.model for each in placed]:
            return None
        drops = _drops(setup)
    elif len(placed) > 1:
        return None
    elif placed:
        low, high = (
            ([-0.10, 0.0], [-0.05, 0.1]) if pack_files.has_cabinet(setup.configuration) else ([-0.35, -0.02], [-0.12, 0.42])
        )
        x, y = rng.uniform(low, high, 2).tolist()
        drops = _drops(setup)
        drops[0][:2] = [x, y]
    else:
        drops = []
    x, y = rng.uniform(0.30, 0.40), rng.uniform(0.0, 0.2)
    return {"drops": drops, "base": [x, y, BASE_HEIGHT, *HALF_TURN]}


def _drops(setup: EpisodeSetup) -> list[list[float]]:
    return [_drop(placement) for placement in objects(setup).placements]


def _drop(placement: Placement) -> list[float]:
    """Pose from which an object falls."""
    return [*placement.xy, DROP_Z, *placement.quat]


def _robot(pack: Path, configuration: Configuration) -> dict[str, Any]:
    drives = {name: list(values) for name, *values in zip(JOINTS, STIFFNESS, DAMPING, FORCE_LIMIT, strict=True)}
    fingers = [JOINTS[index] for index in FINGERS]
    drives.update(dict.fromkeys(fingers, FINGER_DRIVE))
    return {
        "urdf": str(pack_files.robot_urdf(pack, configuration)),
        "links": CONTACT,
        "arm": [JOINTS[index] for index in ARM],
        "fingers": fingers,
        "drives": drives,
        "effector": END_EFFECTOR,
    }


def _objects(pack: Path, setup: EpisodeSetup) -> list[dict[str, Any]]:
    described = []
    for index, placement in enumerate(objects(setup).placements):
        model = placement.model
        on_table = bodies.DENSITY_ON_TABLE.get(model) if setup.configuration.task == "move_near" else None
        described.append(
            {
                "name": model,
                "mesh": str(pack_files.model_folder(pack, model) / "collision.obj"),
                "density": on_table or bodies.database(pack)[model]["density"],
                "friction": bodies.FRICTION,
                "damping": bodies.DAMPING if bodies.is_task_object(setup.configuration, index) else None,
            }
        )
    return described


def _cabinet(pack: Path, configuration: Configuration) -> dict[str, Any]:
    urdf = str(pack_files.station_urdf(pack, configuration))
    return {"urdf": urdf, "place": cabinet.POSITION, "friction": cabinet.FRICTION, "damping": cabinet.DAMPING}
