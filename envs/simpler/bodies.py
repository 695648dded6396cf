"""Movable objects as rigid bodies: collision shapes as upstream's engine made them from the pack's meshes. kg, m."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import sapien
from sapien.physx import PhysxCollisionShapeConvexMesh, PhysxMaterial, PhysxRigidDynamicComponent

from ..base import SuiteError

FRICTION = 0.5
"""Static and dynamic, of every object; averaged with that of what it touches."""
DAMPING = 0.1
"""Linear and angular, of objects that a task is about; distractors have the engine's defaults."""
DENSITY_ON_TABLE = {"apple": 200.0, "baked_apple": 200.0, "baked_apple_v2": 200.0, "orange": 200.0}
"""kg/m3 that move near puts in place of the database's."""


def build_object(
    scene: sapien.Scene, pack: Path, model: str, *, density: float | None = None, damped: bool = True
) -> sapien.Entity:
    """A movable object named `model` in the scene, at the origin.

    Args:
        scene: where it is added.
        pack: asset pack.
        model: model id of the pack's databases.
        density: kg/m3; None takes the database's.
        damped: whether the object is one that the task is about.
    """
    body = PhysxRigidDynamicComponent()
    material = PhysxMaterial(FRICTION, FRICTION, 0.0)
    for shape in _shapes(model_folder(pack, model) / "collision.obj", material):
        shape.set_density(database(pack)[model]["density"] if density is None else density)
        body.attach(shape)
    if damped:
        body.linear_damping = body.angular_damping = DAMPING
    entity = sapien.Entity()
    entity.name = model
    entity.add_component(body)
    scene.add_entity(entity)
    return entity


def model_folder(pack: Path, model: str) -> Path:
    """Where the pack keeps the meshes of a model."""
    return custom_folder(pack) / "models" / model


def custom_folder(pack: Path) -> Path:
    """Where the pack keeps models, their databases and the cabinets."""
    return pack / "ManiSkill2_real2sim" / "data" / "custom"


@cache
def database(pack: Path) -> dict[str, Any]:
    """Model id -> `bbox` (m, of the database, not of the mesh) and `density` (kg/m3), over all databases of the pack."""
    merged: dict[str, Any] = {}
    for version in ("baked_tex_v1", "baked_tex_v0", "v0"):
        path = custom_folder(pack) / f"info_pick_custom_{version}.json"
        try:
            merged |= json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SuiteError(f"{path} is not a model database of SimplerEnv: {error}. See: nora-bench assets") from None
    return merged


def box_size(pack: Path, model: str) -> np.ndarray:
    """[3] extents of a model's database box (m), which rules about nearness use."""
    box = database(pack)[model]["bbox"]
    return np.subtract(box["max"], box["min"])


def _shapes(mesh: Path, material: PhysxMaterial) -> list[Any]:
    """Upstream's engine made one convex piece per connected part; SAPIEN 3 makes one per object of the file."""
    parts = _parts(mesh)
    if parts is None:
        return PhysxCollisionShapeConvexMesh.load_multiple(str(mesh), [1, 1, 1], material)
    return [PhysxCollisionShapeConvexMesh(vertices=part, scale=[1, 1, 1], material=material) for part in parts]


@cache
def _parts(mesh: Path) -> list[np.ndarray] | None:
    """Vertices of each connected part of a file with one object; None where SAPIEN's own loader divides it alike."""
    lines = mesh.read_text(encoding="utf-8").splitlines()
    if sum(line.startswith("o ") for line in lines) > 1:
        return None
    vertices = np.array([line.split()[1:4] for line in lines if line.startswith("v ")], np.float32)
    faces = [[int(corner.split("/")[0]) - 1 for corner in line.split()[1:]] for line in lines if line.startswith("f ")]
    parts = _connected(vertices, faces)
    return parts if len(parts) > 1 else None


def _connected(vertices: np.ndarray, faces: list[list[int]]) -> list[np.ndarray]:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    places, at = np.unique(vertices, axis=0, return_inverse=True)
    edges = at.reshape(-1)[np.array([pair for face in faces for pair in pairwise(face)])]
    graph = coo_matrix((np.ones(len(edges)), edges.T), shape=(len(places), len(places)))
    count, label = connected_components(graph, directed=False)
    parts = [places[label == part] for part in range(count)]
    return [part for part in parts if len(part) > 3]  # stray vertices that no face uses
