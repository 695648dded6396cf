"""Convex parts of a collision mesh, split as by upstream's engine: one per connected part of each object of the file.

PhysX approximates hulls of many points, and how depends on the order of the points. With the order used here every mass,
centre and inertia equals upstream's (docs/evidence/simplerenv_parity.md); SAPIEN 3's loader splits and orders differently.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sapien.physx import PhysxCollisionShapeConvexMesh, PhysxMaterial


def convex_shapes(mesh: Path, material: PhysxMaterial) -> list[Any]:
    """New collision shapes of one mesh file (m)."""
    return [PhysxCollisionShapeConvexMesh(vertices=part, scale=[1, 1, 1], material=material) for part in parts(mesh)]


@cache
def parts(mesh: Path) -> list[np.ndarray]:
    """[points, 3] float32 of each piece of a Wavefront file, in upstream's order."""
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
