"""Movable objects as rigid bodies: collision shapes as upstream's engine made them from the pack's meshes. kg, m."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import sapien
from sapien.physx import PhysxMaterial, PhysxRigidDynamicComponent

from ...errors import SuiteError
from ..grid import Configuration
from .pack_files import custom_folder, model_folder
from .urdf import convex_shapes

FRICTION = 0.5
"""Static and dynamic, of every object; averaged with that of the other body in contact."""
DAMPING = 0.1
"""Linear and angular, of task objects; distractors have the engine's defaults."""
NARROW_CONTACTS = ("move_near", "place_apple_in_closed_top_drawer")
"""Tasks with a contact offset of 5 mm; the others have 20 mm."""
DENSITY_ON_TABLE = {"apple": 200.0, "baked_apple": 200.0, "baked_apple_v2": 200.0, "orange": 200.0}
"""kg/m3 in move near, instead of the database's."""


def build_object(
    scene: sapien.Scene, pack: Path, model: str, *, density: float | None = None, damped: bool = True
) -> sapien.Entity:
    """A movable object named `model` in the scene, at the origin.

    Args:
        scene: scene to add it to.
        pack: asset pack.
        model: model id of the pack's databases.
        density: kg/m3; None takes the database's.
        damped: True for task objects, False for distractors.
    """
    body = PhysxRigidDynamicComponent()
    material = PhysxMaterial(FRICTION, FRICTION, 0.0)
    for shape in convex_shapes(model_folder(pack, model) / "collision.obj", material):
        shape.set_density(database(pack)[model]["density"] if density is None else density)
        body.attach(shape)
    if damped:
        body.linear_damping = body.angular_damping = DAMPING
    entity = sapien.Entity()
    entity.name = model
    entity.add_component(body)
    scene.add_entity(entity)
    return entity


def contact_offset(configuration: Configuration) -> float:
    """Distance (m) at which contacts are generated."""
    return 0.005 if configuration.task in NARROW_CONTACTS else 0.02


def is_task_object(configuration: Configuration, index: int) -> bool:
    """Whether object `index` belongs to the task; in pick coke can all but the first are distractors."""
    return configuration.task != "pick_coke_can" or index == 0


@cache
def database(pack: Path) -> dict[str, Any]:
    """Model id -> `bbox` (m, of the database, not of the mesh) and `density` (kg/m3), over all databases of the pack."""
    merged: dict[str, Any] = {}
    for version in ("baked_tex_v1", "baked_tex_v0", "v0"):
        path = custom_folder(pack) / f"info_pick_custom_{version}.json"
        try:
            merged |= json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SuiteError(f"{path} is not a model database of SimplerEnv: {error}. Type: nora-bench assets verify") from None
    return merged
