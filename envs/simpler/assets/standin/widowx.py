"""The WidowX set-ups of simple shapes, with upstream's joints, inertias, masses and sizes.

Only fingers, their bar, forearm and upper arm collide, as boxes: what can touch an object. The sink is a basin with a higher
floor under the basket.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ....standin.files import LINEAR, Piece, glb, obj
from ....standin.mesh import Array, Mesh, Point, disc, join, lathe, slab
from ....standin.paint import Colour, finish, png
from ...widowx_tasks import BASE, SINK, SINK_ROBOT, TABLE_ROBOT
from .formatting import Bounds, text
from .objects import cushion, fitted, mesh_volume
from .photographs import seen
from .robot import joint_lines
from .rooms import Block, piece

DESCRIPTION = "mani_skill2_real2sim/assets/descriptions/widowx_description"
COLLIDING = ("left_finger_link", "right_finger_link", "gripper_bar_link", "lower_forearm_link", "upper_arm_link")
INSIDE = 0.9
"""Size of the arm's boxes within upstream's bounds; fingers and bar fill theirs."""
BLACK: LINEAR = (0.02, 0.02, 0.022)
STAGE_ORIGIN: Point = (2.0634, 2.8313, 0.0)
"""Position in the world of the origin of a stage's file."""
TABLE, SINK_LEVEL = 0.869532, 0.85
"""World z of the table's top in the two set-ups (m)."""
OBJECTS: dict[str, tuple[Bounds, float, str, LINEAR]] = {
    "bridge_carrot_generated_modified": (
        [[-0.064, -0.016, -0.018], [0.054, 0.016, 0.018]],
        7.868e-5,
        "cushion",
        (0.80, 0.25, 0.03),
    ),
    "bridge_plate_objaverse_larger": ([[-0.055, -0.055, 0.0], [0.055, 0.055, 0.006]], 4.055e-5, "disc", (0.80, 0.75, 0.60)),
    "table_cloth_generated_shorter": ([[-0.05, -0.05, -0.005], [0.05, 0.05, 0.005]], 8.09e-5, "slab", (0.20, 0.35, 0.70)),
    "baked_green_cube_3cm": ([[-0.015] * 3, [0.015] * 3], 2.7e-5, "slab", (0.05, 0.50, 0.10)),
    "baked_yellow_cube_3cm": ([[-0.015] * 3, [0.015] * 3], 2.7e-5, "slab", (0.85, 0.70, 0.05)),
    "eggplant": ([[-0.04, -0.0185, -0.018], [0.04, 0.0185, 0.018]], 5.378e-5, "cushion", (0.18, 0.03, 0.25)),
    "dummy_sink_target_plane": ([[-0.065, -0.04, -0.001], [0.065, 0.04, 0.001]], 2.08e-5, "slab", (0.85, 0.70, 0.05)),
}
"""Model -> bounds (m), volume (m3) that gives upstream's mass, shape, colour; the spoon is in `objects`."""
STEEL, YELLOW = (150, 152, 156), (214, 180, 40)
BASIN: tuple[tuple[Point, Point, Colour], ...] = (
    ((-0.1345, -0.03, 0.0), (0.1345, 0.1965, 0.0395), STEEL),
    ((-0.1345, -0.1965, 0.0), (0.1345, -0.03, 0.0545), YELLOW),
    ((-0.1345, -0.1965, 0.0545), (0.1345, -0.1865, 0.085), YELLOW),
    ((-0.1345, 0.1865, 0.0395), (0.1345, 0.1965, 0.115), STEEL),
    ((-0.1345, -0.1865, 0.0), (-0.1245, 0.1865, 0.100), STEEL),
    ((0.1245, -0.1865, 0.0), (0.1345, 0.1865, 0.085), STEEL),
)
"""Boxes of the sink in its own frame (m): floor, floor under the basket, four walls."""


def widowx_files() -> dict[str, bytes]:
    """Path under the pack's folder -> content."""
    files = _robot_files()
    for model, (bounds, size, shape, colour) in OBJECTS.items():
        files |= _model_files(model, [(_shape(shape, bounds, size), colour)])
    files |= _model_files(SINK[0], [(slab(low, high), _linear(colour)) for low, high, colour in BASIN])
    for version, blocks in _rooms().items():
        files[f"data/hab2_bench_assets/stages/bridge_table_1_v{version}.glb"] = glb(
            [piece("", block, STAGE_ORIGIN) for block in blocks]
        )
    table, sink = _rooms().values()
    in_sink = [Block(_moved(low), _moved(high), colour) for low, high, colour in BASIN]
    files["data/real_inpainting/bridge_real_eval_1.png"] = png(finish(seen(table, *_camera(TABLE_ROBOT))))
    files["data/real_inpainting/bridge_sink.png"] = png(finish(seen([*sink, *in_sink], *_camera(SINK_ROBOT))))
    return {f"ManiSkill2_real2sim/{name}": content for name, content in files.items()}


def _model_files(model: str, parts: list[tuple[Mesh, LINEAR]]) -> dict[str, bytes]:
    folder = f"data/custom/models/{model}"
    visual = glb([Piece(mesh, colour, roughness=0.6) for mesh, colour in parts])
    return {f"{folder}/collision.obj": obj([mesh for mesh, _ in parts]), f"{folder}/textured.glb": visual}


def _shape(kind: str, bounds: Bounds, size: float) -> Mesh:
    if kind == "slab":
        return slab(tuple(bounds[0]), tuple(bounds[1]))  # pyright: ignore[reportArgumentType]
    if kind == "cushion":
        return fitted(cushion, bounds, size, axis="z")
    rim = math.sqrt(size / mesh_volume(_plate(1.0)))
    return _plate(rim)


def _plate(foot: float) -> Mesh:
    """A flat dish 6 mm high; `foot`: its radius as a share of 5.5 cm, above as below."""
    radius = 0.055 * foot
    rim = lathe([(0.006, radius), (0.0, radius)], 24)
    return join(rim, disc(0.006, radius, up=True, segments=24), disc(0.0, radius, up=False, segments=24))


def _linear(colour: Colour) -> LINEAR:
    red, green, blue = (round((part / 255) ** 2.2, 6) for part in colour)
    return red, green, blue


def _moved(point: Point) -> Point:
    """From the sink's frame to the world."""
    x, y, z = (round(a + b, 6) for a, b in zip(point, SINK[1], strict=True))
    return x, y, z


@cache
def _rooms() -> dict[int, list[Block]]:
    """Version of the stage -> its blocks: a table on a floor before a wall."""
    rooms = {}
    for version, top in ((1, TABLE), (2, SINK_LEVEL)):
        rooms[version] = [
            Block((-0.3455, -0.2932, top - 0.03), (0.0118, 0.45, top), (176, 150, 120)),
            Block((-2.0, -2.0, -0.02), (2.0, 2.0, 0.0), (150, 146, 140)),
            Block((-1.2, -2.0, 0.0), (-1.1, 2.0, 2.5), (196, 192, 184)),
        ]
    return rooms


# --- photographs --------------------------------------------------------------------------------------------------

CAMERAS = {
    TABLE_ROBOT: ((0.0, -0.16, 0.36), (0.8992917, -0.09263245, 0.35892478, 0.23209205)),
    SINK_ROBOT: ((-0.003, -0.21, 0.39), (-0.907313, 0.0782, -0.36434, -0.194741)),
}
"""Set-up -> position (m) and orientation (w x y z; x forward, y left) of the camera in the robot's base."""
WIDTH, HEIGHT, FOCAL, CENTRE = 640, 480, 623.588, (319.501, 239.545)


def _camera(setup: str) -> tuple[Array, Array]:
    """[3] position of the camera, [HEIGHT, WIDTH, 3] direction of every pixel; world frame."""
    place, (w, x, y, z) = CAMERAS[setup]
    axes = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    v, u = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    across, along = (u - CENTRE[0]) / FOCAL, (v - CENTRE[1]) / FOCAL
    rays = axes[:, 0] - across[..., None] * axes[:, 1] - along[..., None] * axes[:, 2]
    half_turn = np.array([-1.0, -1.0, 1.0])
    return np.array(BASE[setup]) + half_turn * place, half_turn * rays


# --- robot --------------------------------------------------------------------------------------------------------


@cache
def _numbers() -> Mapping[str, Any]:
    return json.loads(Path(__file__).with_name("widowx.json").read_text(encoding="utf-8"))


def _robot_files() -> dict[str, bytes]:
    files, lines = {}, ['<?xml version="1.0"?>', '<robot name="wx250s">']
    for name, numbers in _numbers()["links"].items():
        lines += _link(name, numbers)
        if "bounds" in numbers:
            boxes = [slab(tuple(low), tuple(high)) for low, high in numbers["bounds"]]
            files[f"{DESCRIPTION}/meshes/{name}.glb"] = glb([Piece(box, BLACK, roughness=0.3) for box in boxes])
    lines += [line for joint in _numbers()["joints"] for line in joint_lines(joint)]
    return files | {f"{DESCRIPTION}/wx250s.urdf": "\n".join([*lines, "</robot>", ""]).encode()}


def _link(name: str, numbers: Mapping[str, Any]) -> Iterator[str]:
    yield f'  <link name="{name}">'
    if "mass" in numbers:
        entries = zip(("ixx", "ixy", "ixz", "iyy", "iyz", "izz"), numbers["inertia"], strict=True)
        inertia = " ".join(f'{entry}="{value!r}"' for entry, value in entries)
        turn = text(numbers.get("turn", (0.0, 0.0, 0.0)))
        yield f'    <inertial><origin xyz="{text(numbers["centre"])}" rpy="{turn}"/>'
        yield f'      <mass value="{numbers["mass"]!r}"/><inertia {inertia}/></inertial>'
    if "bounds" in numbers:
        yield f'    <visual><geometry><mesh filename="meshes/{name}.glb"/></geometry></visual>'
    for bounds in numbers.get("bounds", ()) if name in COLLIDING else ():
        low, high = np.array(bounds)
        share = INSIDE if name in ("lower_forearm_link", "upper_arm_link") else 1.0
        centre, size = np.round((low + high) / 2, 6).tolist(), np.round(share * (high - low), 6).tolist()
        yield f'    <collision><origin xyz="{text(centre)}" rpy="0 0 0"/>'
        yield f'      <geometry><box size="{text(size)}"/></geometry></collision>'
    yield "  </link>"
