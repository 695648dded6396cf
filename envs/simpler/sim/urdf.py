"""SAPIEN's URDF loader in two halves: physics without visuals (which need a rendering device), and visuals without physics.

Collision meshes are split as by upstream's engine: one convex part per connected part of each object of the file. PhysX
approximates hulls of many points, and how depends on the order of the points; with the order used here every mass, centre and
inertia equals upstream's (docs/evidence/simplerenv_parity.md). SAPIEN 3's loader splits and orders differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sapien.physx import PhysxCollisionShapeConvexMesh, PhysxMaterial, get_default_material
from sapien.wrapper.articulation_builder import ArticulationBuilder, LinkBuilder
from sapien.wrapper.urdf_loader import URDFLoader

SPLIT = (".obj", ".stl")
"""Suffixes of the mesh files that are split here."""
STL_HEADER = 80
"""Bytes before the number of triangles."""


class PhysicsLoader(URDFLoader):
    """Reads joints, inertias and collision shapes only."""

    def __init__(self) -> None:
        super().__init__()
        self.load_multiple_collisions_from_file = True
        self.set_scene(_NullScene())

    def _build_link(self, link: Any, link_builder: Any) -> None:
        link.visuals.clear()
        super()._build_link(link, link_builder)


class VisualLoader(URDFLoader):
    """Reads visuals only. Meshes keep their own materials: upstream's engine did not apply the URDF's colours to them."""

    def _build_link(self, link: Any, link_builder: Any) -> None:
        link.collisions.clear()
        for visual in link.visuals:
            if visual.geometry.mesh:
                visual.material = None
        super()._build_link(link, link_builder)


class _NullScene:
    """Placeholder for a scene while a URDF is read; its builders cut meshes as upstream does."""

    def create_articulation_builder(self) -> ArticulationBuilder:
        """A builder without a scene."""
        return _ArticulationBuilder()


class _ArticulationBuilder(ArticulationBuilder):
    def build(self, fix_root_link: bool | None = None, build_mimic_joints: bool = False) -> Any:
        """The articulation; `<mimic>` is ignored by default, as by upstream's engine."""
        return super().build(fix_root_link, build_mimic_joints)

    def create_link_builder(self, parent: LinkBuilder | None = None) -> LinkBuilder:
        """A builder of one link below `parent`."""
        builder = _LinkBuilder(len(self.link_builders), parent)
        self.link_builders.append(builder)
        return builder


class _LinkBuilder(LinkBuilder):
    def build_physx_component(self, link_parent: Any = None) -> Any:
        """The link's body with its shapes."""
        every = self.collision_records
        meshes = [record for record in every if record.type == "multiple_convex_meshes" and record.filename.endswith(SPLIT)]
        self.collision_records = [record for record in every if record not in meshes]
        component = super().build_physx_component(link_parent)
        self.collision_records = every
        for record in meshes:
            for shape in convex_shapes(Path(record.filename), record.material or get_default_material(), record.scale):
                shape.local_pose = record.pose
                shape.set_collision_groups(self.collision_groups)
                shape.set_density(record.density)
                shape.set_patch_radius(record.patch_radius)
                shape.set_min_patch_radius(record.min_patch_radius)
                component.attach(shape)
        return component


def convex_shapes(mesh: Path, material: PhysxMaterial, scale: Sequence[float] = (1.0, 1.0, 1.0)) -> list[Any]:
    """New collision shapes of one mesh file; `scale`: metres per unit of the file."""
    return [PhysxCollisionShapeConvexMesh(vertices=part, scale=list(scale), material=material) for part in parts(mesh)]


@cache
def parts(mesh: Path) -> list[np.ndarray]:
    """[points, 3] float32 of each piece of a Wavefront or binary STL file, in upstream's order."""
    if mesh.suffix == ".stl":
        corners = _stl_corners(mesh)
        return _connected(corners, np.arange(len(corners)).reshape(-1, 3).tolist())
    vertices: list[list[str]] = []
    objects: list[list[list[int]]] = [[]]
    for line in mesh.read_text(encoding="utf-8").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append(rest.split()[:3])
        elif kind == "o":
            objects.append([])
        elif kind == "f":
            objects[-1].append([int(corner.split("/")[0]) - 1 for corner in rest.split()])
    points = np.array(vertices, np.float32)
    return [part for faces in objects for part in _connected(points, faces)]


def _stl_corners(mesh: Path) -> np.ndarray:
    """[3 * triangles, 3] float32: corners of a binary STL file's triangles, one after the other."""
    triangle = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    count = int(np.fromfile(mesh, "<u4", count=1, offset=STL_HEADER)[0])
    return np.fromfile(mesh, triangle, count=count, offset=STL_HEADER + 4)["corners"].reshape(-1, 3)


def _connected(points: np.ndarray, faces: list[list[int]]) -> list[np.ndarray]:
    """The connected parts of one object; points at equal places count as one."""
    number: dict[bytes, int] = {}
    places: list[np.ndarray] = []
    neighbours: list[set[int]] = []
    for face in faces:
        corners = []
        for point in points[face]:
            key = point.tobytes()
            if key not in number:
                number[key] = len(places)
                places.append(point)
                neighbours.append(set())
            corners.append(number[key])
        for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
            neighbours[a].add(b)
            neighbours[b].add(a)
    return [np.array([places[index] for index in part]) for part in _parts_of(neighbours)]


def _parts_of(neighbours: list[set[int]]) -> list[list[int]]:
    """Depth first; a point is listed when it is first seen."""
    seen: set[int] = set()
    found = []
    for start in range(len(neighbours)):
        if start in seen:
            continue
        part, open_ends = [start], [start]
        seen.add(start)
        while open_ends:
            new = sorted(neighbours[open_ends.pop()] - seen)
            seen.update(new)
            part += new
            open_ends += new
        found.append(part)
    return found
