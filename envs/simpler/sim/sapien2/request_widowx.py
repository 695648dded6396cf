"""Request of an episode of the WidowX: everything that the physics process must know. Metres, radians, kg."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ...grid import EpisodeSetup
from ...placements import DROP_Z, objects
from ...widowx_tasks import BASE, DENSITIES, SINK, is_sink
from .. import bodies, pack_files
from ..widowx import constants

CONSTRUCTOR_EPISODE = 13
"""Layout that upstream's constructor draws from its seed, 2022."""


def widowx_request(pack: Path, setup: EpisodeSetup, *, absolute: bool = False) -> dict[str, Any]:
    """The request of an episode.

    Args:
        pack: asset pack.
        setup: the episode.
        absolute: whether actions are poses of the end effector.
    """
    configuration = setup.configuration
    base = [*setup.robot.init_xy, BASE[configuration.robot][2], *setup.robot.init_rot_quat_wxyz]
    common = {"qpos": list(constants.START[configuration.robot]), "base": base}
    first, evaluated = (_drops(each) for each in (replace(setup, episode_id=CONSTRUCTOR_EPISODE), setup))
    resets = [{**common, "drops": first}, {**common, "drops": evaluated}]
    return {
        "program": "widowx",
        "hz": constants.PHYSICS_HZ,
        "substeps": constants.SUBSTEPS,
        "absolute": absolute,
        "contact_offset": constants.CONTACT_OFFSET,
        "robot": _robot(pack, setup),
        "arena": {
            "stage": str(pack_files.stage_mesh(pack, configuration)),
            "turn": [0.0, 0.0, 0.0, *pack_files.STAGE_TURN],
            "place": [-x for x in pack_files.scene_offset(configuration)],
        },
        "objects": [{**_body(pack, placement.model), "damping": bodies.DAMPING} for placement in objects(setup).placements],
        "sink": {**_body(pack, SINK[0]), "place": SINK[1]} if is_sink(configuration) else None,
        "resets": resets,
    }


def _drops(setup: EpisodeSetup) -> list[list[float]]:
    return [[*placement.xy, DROP_Z, *placement.quat] for placement in objects(setup).placements]


def _body(pack: Path, model: str) -> dict[str, Any]:
    mesh = str(pack_files.model_folder(pack, model) / "collision.obj")
    return {"name": model, "mesh": mesh, "density": DENSITIES[model], "friction": bodies.FRICTION}


def _robot(pack: Path, setup: EpisodeSetup) -> dict[str, Any]:
    drives = zip(constants.JOINTS, constants.STIFFNESS, constants.DAMPING, constants.FORCE_LIMIT, strict=True)
    return {
        "urdf": str(pack_files.robot_urdf(pack, setup.configuration)),
        "links": constants.CONTACT,
        "arm": [constants.JOINTS[index] for index in constants.ARM],
        "fingers": [constants.JOINTS[index] for index in constants.FINGERS],
        "drives": {name: list(values) for name, *values in drives},
        "groups": constants.GROUPS,
        "effector": constants.END_EFFECTOR,
    }
