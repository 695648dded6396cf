"""Cans, fruit, sponge, bottle and spoon: upstream's outer sizes, volumes (hence masses) and databases, labels of our own.

Every collision mesh is one convex piece (the spoon two) whose roundness is chosen so that its volume is upstream's.
Long axes lie along y, as upstream has them; everything is made along z and turned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np

from ....standin.files import Piece, glb, obj
from ....standin.mesh import Mesh, disc, join, lathe, loft
from ....standin.paint import Array, Canvas, Colour
from .formatting import Bounds, physics

Shape = Callable[[float], Mesh]
"""A shape of unit height and width for a roundness between 0 (full) and 1."""
SEGMENTS = 12
"""Corners of what is round: so few that a can laid down rests on a facet and does not roll away."""
METAL: Colour = (168, 170, 176)
LABELS: dict[str, tuple[str, Colour, Colour]] = {
    "coke": ("COLA", (190, 24, 30), (250, 246, 240)),
    "pepsi": ("POP", (22, 60, 140), (250, 250, 250)),
    "7up": ("LIME", (20, 130, 60), (252, 214, 40)),
    "sprite": ("FIZZ", (30, 150, 90), (240, 250, 240)),
    "fanta": ("ORANGE", (236, 120, 20), (252, 250, 240)),
    "redbull": ("ENERGY", (40, 66, 140), (220, 40, 44)),
}
"""Word in a model's name -> its label: word, ground, ink."""


def object_files() -> dict[str, bytes]:
    """Path under `data/custom` -> content: databases, and meshes of every model."""
    files = {f"info_pick_custom_{name}.json": _database(name) for name in ("v0", "baked_tex_v0", "baked_tex_v1")}
    for model, numbers in physics()["objects"].items():
        meshes, image = _thing(model, numbers["bounds"], numbers["volume"])
        files[f"models/{model}/collision.obj"] = obj(meshes)
        files[f"models/{model}/textured.glb"] = glb([Piece(mesh, image=image, roughness=0.5) for mesh in meshes])
    return files


def _database(name: str) -> bytes:
    entries = {
        model: {"bbox": dict(zip(("min", "max"), numbers["box"], strict=True)), "scales": [1.0], "density": numbers["density"]}
        for model, numbers in physics()["objects"].items()
        if name in numbers["databases"]
    }
    return (json.dumps(entries, indent=1) + "\n").encode()


def _thing(model: str, bounds: Bounds, volume: float) -> tuple[list[Mesh], Array]:
    words = model.split("_")
    if "can" in words:
        label = LABELS[next(word for word in words if word in LABELS)]
        return [fitted(_can, bounds, volume, axis="y")], _can_label(*label)
    if "bottle" in words:
        return [fitted(_bottle, bounds, volume, axis="y")], _bottle_label()
    if "sponge" in words:
        return [fitted(cushion, bounds, volume, axis="z")], _sponge_image()
    if "spoon" in words:
        return _spoon(bounds), Canvas(16, 16, (60, 130, 70)).done()
    image = _apple_image() if "apple" in words else _orange_image()
    return [fitted(_fruit, bounds, volume, axis="z")], image


# --- shapes -------------------------------------------------------------------------------------------------------


def fitted(shape: Shape, bounds: Bounds, volume: float, *, axis: str) -> Mesh:
    """The shape in its bounds, as round as it must be to have that volume (m3), or as near as it gets."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if mesh_volume(_placed(shape(middle), bounds, axis)) > volume else (low, middle)
    return _placed(shape(round(low, 6)), bounds, axis)


def _placed(mesh: Mesh, bounds: Bounds, axis: str) -> Mesh:
    """A mesh, its z axis laid along `axis` (top towards +y), stretched into bounds."""
    mesh = mesh.turned("x", 270) if axis == "y" else mesh
    low, high = np.array(bounds)
    least, most = mesh.vertices.min(0), mesh.vertices.max(0)
    scale = (high - low) / (most - least)
    normals = mesh.normals / scale
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Mesh(low + (mesh.vertices - least) * scale, normals, mesh.uv, mesh.faces)


def mesh_volume(mesh: Mesh) -> float:
    """Volume of a closed mesh (m3)."""
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def _turned(profile: Sequence[tuple[float, float]], ends: tuple[float, float], split: float) -> Mesh:
    """A closed surface of revolution; its skin shows the image above `split`, its lids what is below."""
    (top, radius), (bottom, foot) = profile[0], profile[-1]
    skin = lathe(profile, SEGMENTS).on((0.0, 0.0, 1.0, split))
    lids = [disc(top, radius, up=True, segments=SEGMENTS), disc(bottom, foot, up=False, segments=SEGMENTS)]
    return join(skin, *(lid.on((0.02, split + 0.02, 0.2, 0.98)) for lid, wide in zip(lids, ends, strict=True) if wide))


def _can(roundness: float) -> Mesh:
    """A tin: flat ends, bevelled edges."""
    neck = 1 - 0.45 * roundness
    bevel = 0.02 + 0.25 * roundness
    tin = _turned([(0.5, neck / 2), (0.5 - bevel, 0.5), (bevel - 0.5, 0.5), (-0.5, neck / 2)], (1, 1), 0.8)
    return tin.turned("z", 180 / SEGMENTS)  # a facet below, not an edge


def _bottle(roundness: float) -> Mesh:
    """A body with a flat foot, a shoulder and a cap; convex."""
    shoulder = 0.48 - 0.9 * roundness
    return _turned([(0.5, 0.22), (0.47, 0.26), (shoulder, 0.5), (-0.47, 0.5), (-0.5, 0.46)], (1, 1), 0.8)


def cushion(roundness: float) -> Mesh:
    """A block with rounded corners, flat above and below."""
    power = 2 + 8 * (1 - roundness) ** 2
    rows = [(0.5, 0.48, 0.48), (0.44, 0.5, 0.5), (-0.44, 0.5, 0.5), (-0.5, 0.48, 0.48)]
    lids = [disc(end, 0.48, up=end > 0, segments=32, power=power) for end in (0.5, -0.5)]
    return join(loft(rows, 32, power), *lids)


def _fruit(roundness: float) -> Mesh:
    """Something between a ball and a drum."""
    power = 2 + 2 * (1 - roundness)
    angles = np.linspace(90, -90, 13)[1:-1]
    sine, cosine = (np.round(part(np.radians(angles)), 12) for part in (np.sin, np.cos))
    profile = [
        (float(np.sign(s) * abs(s) ** (2 / power) / 2), float(abs(c) ** (2 / power) / 2))
        for s, c in zip(sine, cosine, strict=True)
    ]
    return _turned(profile, (1, 1), 0.98)


def _spoon(bounds: Bounds) -> list[Mesh]:
    """A flat bowl and a handle along x."""
    (x0, y0, z0), (x1, y1, z1) = bounds
    bowl = [[x1 - 0.045, y0, z0 + 0.004], [x1, y1, z1 - 0.008]]
    handle = [[x0, -0.0055, -0.005], [x1 - 0.04, 0.0055, 0.005]]
    return [_placed(cushion(0.8), bowl, "z"), _placed(cushion(0.2), handle, "z")]


# --- images -----------------------------------------------------------------------------------------------------


def _can_label(word: str, ground: Colour, ink: Colour) -> Array:
    canvas = Canvas(256, 160, ground)
    for x in (64, 192):
        canvas.ellipse(x, 64, 54, 26, ink, width=3).text(word, x, 64, 28, ink, width=84)
        canvas.line([(x - 60, 108), (x, 100), (x + 60, 108)], 4, ink)
    canvas.rectangle(-9, -9, 265, 9, METAL).rectangle(-9, 119, 265, 170, METAL)
    return canvas.circle(28, 144, 8, (110, 112, 118), width=2).done()


def _bottle_label() -> Array:
    canvas = Canvas(256, 160, (70, 140, 200)).rectangle(-9, 50, 265, 100, (240, 246, 250))
    for x in (64, 192):
        canvas.text("TEA", x, 75, 30, (24, 70, 130), width=70)
    return canvas.rectangle(-9, -9, 265, 12, (20, 50, 110)).rectangle(-9, 128, 265, 170, (50, 110, 170)).done()


def _apple_image() -> Array:
    canvas = Canvas(128, 128, (186, 30, 30))
    for x in range(8, 128, 24):
        canvas.ellipse(x, 50, 5, 34, (210, 90, 50))
    canvas.rectangle(-9, -9, 137, 10, (150, 120, 40))
    return canvas.rectangle(-9, 126, 137, 137, (70, 50, 24)).done()


def _orange_image() -> Array:
    canvas = Canvas(128, 128, (240, 140, 24))
    for number in range(60):
        canvas.circle(number * 37 % 128, number * 53 % 120, 1.4, (222, 118, 16))
    return canvas.rectangle(-9, 124, 137, 137, (90, 110, 40)).done()


def _sponge_image() -> Array:
    canvas = Canvas(128, 128, (120, 180, 70))
    for number in range(90):
        canvas.circle(number * 41 % 128, number * 67 % 128, 1 + number % 3, (84, 140, 48))
    return canvas.done()
