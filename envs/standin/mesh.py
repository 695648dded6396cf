"""Triangle meshes made of a few primitives, and the file format that MuJoCo reads them from.

Lengths are metres, angles degrees. Texture coordinates are those of an image: u to the right, v downwards, both
0 to 1. Every primitive covers the whole texture; `Mesh.on(rectangle)` moves it to its part of a shared one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

Array = np.ndarray
Point = tuple[float, float, float]
Rectangle = tuple[float, float, float, float]
"""u and v of the upper left corner, then of the lower right one."""

Span = tuple[float, float]
WHOLE: Span = (-180.0, 180.0)
AXES = {"x": 0, "y": 1, "z": 2}


@dataclass(frozen=True)
class Mesh:
    """Triangles with a normal and a texture coordinate per vertex."""

    vertices: Array
    """[n, 3] m."""
    normals: Array
    """[n, 3] unit vectors."""
    uv: Array
    """[n, 2]."""
    faces: Array
    """[m, 3] indices, counter-clockwise seen from outside."""

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Mesh:
        """The mesh shifted by a vector."""
        return replace(self, vertices=self.vertices + np.array([x, y, z]))

    def turned(self, axis: str, degrees: float) -> Mesh:
        """The mesh turned about an axis (`x`, `y`, `z`) through the origin, by the right-hand rule."""
        turn = rotation(axis, degrees)
        return replace(self, vertices=self.vertices @ turn.T, normals=self.normals @ turn.T)

    def faceted(self) -> Mesh:
        """The mesh with flat faces and sharp edges."""
        corners = self.faces.ravel()
        vertices = self.vertices[corners]
        a, b, c = vertices[0::3], vertices[1::3], vertices[2::3]
        normals = np.cross(b - a, c - a)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        return Mesh(vertices, np.repeat(normals, 3, axis=0), self.uv[corners], np.arange(len(corners)).reshape(-1, 3))

    def on(self, rectangle: Rectangle) -> Mesh:
        """The mesh drawing its image from one rectangle of its texture."""
        corner, size = np.array(rectangle[:2]), np.subtract(rectangle[2:], rectangle[:2])
        return replace(self, uv=corner + self.uv * size)

    def file(self) -> bytes:
        """The mesh in MuJoCo's binary .msh format: counts, vertices, normals, texture coordinates, faces.

        Rounded to 0.1 um first, so that the last bit of a sine never decides the bytes.
        """
        arrays = [np.round(part, 7).astype("<f4") + np.float32(0) for part in (self.vertices, self.normals, self.uv)]
        counts = np.array([*(len(part) for part in arrays), len(self.faces)], "<i4")
        return b"".join(part.tobytes() for part in (counts, *arrays, self.faces.astype("<i4")))


def rotation(axis: str, degrees: float) -> Array:
    """[3, 3] matrix of a turn about one axis; exact for quarter turns."""
    quarter = {0.0: (1.0, 0.0), 90.0: (0.0, 1.0), 180.0: (-1.0, 0.0), 270.0: (0.0, -1.0)}
    angle = math.radians(degrees)
    cosine, sine = quarter.get(float(degrees % 360), (math.cos(angle), math.sin(angle)))
    first, second = (AXES[axis] + 1) % 3, (AXES[axis] + 2) % 3
    matrix = np.eye(3)
    matrix[[first, first, second, second], [first, second, first, second]] = cosine, -sine, sine, cosine
    return matrix


def join(*meshes: Mesh) -> Mesh:
    """One mesh of several."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.uv for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]),
    )


def sheet(points: Array, uv: Array | None = None) -> Mesh:
    """A smooth surface through a grid of points [rows, columns, 3]; seen from where rows go down and columns right.

    First and last row or column that coincide are shaded as one, so closed surfaces show no seam.
    """
    points = np.asarray(points, float)
    rows, columns = points.shape[:2]
    if uv is None:
        u, v = np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows))
        uv = np.stack([u, v], -1)
    index = np.arange(rows * columns).reshape(rows, columns)
    corners = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    a, b, c, d = (corner.ravel() for corner in corners)
    faces = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], 1).reshape(-1, 3)
    vertices = points.reshape(-1, 3)
    faces, weighted = _solid_faces(vertices, faces)
    return Mesh(vertices, _smooth_normals(vertices, faces, weighted), np.asarray(uv, float).reshape(-1, 2), faces)


def _solid_faces(vertices: Array, faces: Array) -> tuple[Array, Array]:
    """The faces that have an area, and their normals times twice that area."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    weighted = np.cross(b - a, c - a)
    solid = np.linalg.norm(weighted, axis=1) > 1e-12
    return faces[solid], weighted[solid]


def _smooth_normals(vertices: Array, faces: Array, weighted: Array) -> Array:
    """[n, 3] mean normal of the faces around each place (vertices at one place share theirs)."""
    _, place = np.unique(np.round(vertices, 9), axis=0, return_inverse=True)
    place = place.ravel()
    total = np.zeros((place.max() + 1, 3))
    for corner in range(3):
        np.add.at(total, place[faces[:, corner]], weighted)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return (total / np.where(length > 0, length, 1.0))[place]


def ring(radius_x: float, radius_y: float, segments: int, power: float = 2.0, span: Span = WHOLE) -> Array:
    """[segments + 1, 2] outline, counter-clockwise from -x: an ellipse, or with a higher power a rounded rectangle.

    `span` are the angles from +x at which it starts and ends; the whole turn is closed.
    """
    angle = np.radians(np.linspace(*span, segments + 1))
    cosine, sine = (np.round(part, 12) for part in (np.cos(angle), np.sin(angle)))
    x, y = (np.sign(part) * np.abs(part) ** (2 / power) for part in (cosine, sine))
    return np.stack([x * radius_x, y * radius_y], -1)


def loft(rows: Sequence[tuple[float, float, float]], segments: int = 20, power: float = 2.0, span: Span = WHOLE) -> Mesh:
    """A smooth skin over outlines (z, half width, half depth), listed from top to bottom; seen from outside.

    The image wraps once around: its edges meet at -x, its first quarter faces -y, its third +y.
    """
    outlines = [ring(rx, ry, segments, power, span) for _, rx, ry in rows]
    points = np.stack([np.column_stack([line, np.full(len(line), z)]) for line, (z, _, _) in zip(outlines, rows, strict=True)])
    along = _share(np.array([(z, max(rx, ry)) for z, rx, ry in rows]))
    u, v = np.meshgrid(_share(max(outlines, key=np.max)), along)
    return sheet(points, np.stack([u, v], -1))


def _share(line: Array) -> Array:
    """Share of a polyline's length at each of its points, from 0 to 1."""
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)]) / max(steps.sum(), 1e-12)


def lathe(profile: Sequence[tuple[float, float]], segments: int = 20, span: Span = WHOLE) -> Mesh:
    """A surface of revolution about z through points (z, radius), from top to bottom as seen from outside.

    A profile that runs upwards is seen from inside: the inner wall of a bowl.
    """
    return loft([(z, radius, radius) for z, radius in profile], segments, span=span)


def disc(z: float, radius_x: float, radius_y: float | None = None, *, up: bool, segments: int = 20, power: float = 2.0) -> Mesh:
    """A flat lid at height z, facing up or down; the image lies flat on it."""
    outline = ring(radius_x, radius_x if radius_y is None else radius_y, segments, power)
    line = outline if up else outline[::-1]
    centre = np.tile([0.0, 0.0, z], (len(line), 1))
    points = np.stack([centre, np.column_stack([line, np.full(len(line), z)])])
    size = np.array([radius_x, -(radius_x if radius_y is None else radius_y)])
    return sheet(points, 0.5 + points[..., :2] / size / 2)


def panel(width: float, height: float) -> Mesh:
    """A rectangle in the x-z plane around the origin, facing -y, image upright."""
    x, z = width / 2, height / 2
    return sheet(np.array([[[-x, 0, z], [x, 0, z]], [[-x, 0, -z], [x, 0, -z]]]))


SIDES = {"front": ("z", 0), "right": ("z", 90), "back": ("z", 180), "left": ("z", 270), "top": ("x", 270), "bottom": ("x", 90)}
"""Faces of a box by name, and the turn that brings a front there: front faces -y, right +x."""


def box(x: float, y: float, z: float, images: dict[str, Rectangle] | None = None, *, without: Sequence[str] = ()) -> Mesh:
    """A box of full sizes x, y, z around the origin; each side shows the whole texture, or its own rectangle of it."""
    sizes = {"front": (x, z, y), "back": (x, z, y), "left": (y, z, x), "right": (y, z, x), "top": (x, y, z), "bottom": (x, y, z)}
    sides = []
    for name, (axis, degrees) in SIDES.items():
        if name not in without:
            width, height, depth = sizes[name]
            side = panel(width, height).moved(y=-depth / 2).turned(axis, degrees)
            sides.append(side.on(images[name]) if images and name in images else side)
    return join(*sides)


def slab(low: Point, high: Point, images: dict[str, Rectangle] | None = None, *, without: Sequence[str] = ()) -> Mesh:
    """A box between two corners."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    whole = box(x1 - x0, y1 - y0, z1 - z0, images, without=without)
    return whole.moved((x0 + x1) / 2, (y0 + y1) / 2, (z0 + z1) / 2)


def tube(path: Sequence[Point], radius_side: float, radius_up: float, segments: int = 8, *, up: Point = (1, 0, 0)) -> Mesh:
    """A closed pipe of elliptic section along a path; `up` (never along the path) carries the second radius."""
    line = np.asarray(path, float)
    tangent = np.gradient(line, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side = np.cross(tangent, up)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    across = np.cross(side, tangent)
    outline = ring(radius_side, radius_up, segments)
    skin = line[:, None] + outline[None, :, :1] * side[:, None] + outline[None, :, 1:] * across[:, None]
    ends = [np.broadcast_to(line[end], skin[0].shape) for end in (0, -1)]
    caps = [sheet(np.stack([ends[0], skin[0]])), sheet(np.stack([skin[-1], ends[1]]))]
    return join(sheet(skin), *caps)


def smooth(path: Sequence[Point], steps: int = 3) -> list[Point]:
    """A rounder path through the same points (Catmull-Rom), each stretch cut into `steps`."""
    line = np.array([path[0], *path, path[-1]], float)
    points = []
    for a, b, c, d in zip(line[:-3], line[1:-2], line[2:-1], line[3:], strict=True):
        for t in np.arange(steps) / steps:
            points.append(b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))
    return [*map(tuple, points), tuple(line[-1])]


def arc(centre: Point, radius_y: float, radius_z: float, start: float, end: float, points: int = 9) -> list[Point]:
    """Points on an ellipse in the y-z plane; angles in degrees from +y towards +z."""
    x, y, z = centre
    angles = [math.radians(start + (end - start) * step / (points - 1)) for step in range(points)]
    return [(x, y + radius_y * math.cos(angle), z + radius_z * math.sin(angle)) for angle in angles]


def prism(outline: Sequence[tuple[float, float]], depth: float, images: Sequence[Rectangle] | None = None) -> Mesh:
    """A star-shaped outline in the y-z plane (counter-clockwise seen from +x), `depth` thick along x, edges sharp.

    `images` are one rectangle per edge, from the first corner on, then one for both ends; upright on the edges' outsides.
    """
    line = np.array([*outline, outline[0]], float)
    half = depth / 2
    sides = [_edge(half, low, high) for low, high in itertools.pairwise(line)]
    ends = [_fan(line, half), _fan(line[::-1], -half)]
    if images:
        *edges, end = images
        sides = [side.on(image) for side, image in zip(sides, edges, strict=True)]
        ends = [cap.on(end) for cap in ends]
    return join(*sides, *ends)


def _edge(half: float, start: Array, end: Array) -> Mesh:
    """The rectangle over one edge of a prism's outline."""
    rising = end[1] >= start[1]
    top, bottom, left = (end, start, half) if rising else (start, end, -half)
    return sheet(np.array([[[left, *top], [-left, *top]], [[left, *bottom], [-left, *bottom]]]))


def _fan(line: Array, x: float) -> Mesh:
    """A flat convex polygon at one x; the image lies on its bounding box."""
    centre = np.tile([x, *line[:-1].mean(0)], (len(line), 1))
    points = np.stack([centre, np.column_stack([np.full(len(line), x), line])])
    low, size = line.min(0), np.ptp(line, axis=0)
    uv = (points[..., 1:] - low) / size
    uv[..., 1] = 1 - uv[..., 1]
    return sheet(points, uv)
