"""The rooms around the tasks as boxes in the world frame (m), and the stage files made of them.

What physics reads is the table's top: upstream's plane over upstream's extent, and a floor at upstream's height.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ....standin.files import Piece, glb
from ....standin.mesh import Array, Mesh, Point, slab
from ....standin.paint import Colour, finish, stone, wood

TABLE_X, TABLE_Y = (-0.7244, -0.0220), (-0.0982, 0.5175)
TABLE_UNDERSIDE = 0.8675
FLOOR = 0.017
STAGE_ORIGIN = (1.6616, 3.0337, 0.0)
"""Position in the world of the origin of a stage's file."""
WOOD: tuple[Colour, Colour] = ((150, 112, 74), (196, 158, 112))
"""Colours of the table in most stages."""
Shift = tuple[Point, tuple[float, float, float, float]]
STILL: Shift = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))
SHIFTS: dict[str, Shift] = {
    "modern_bedroom_no_roof": ((0.178, -2.235, 1.669), (0.007, 0.0, 0.0, -1.0)),
    "modern_office_no_roof": ((-0.192, -1.728, 1.48), (0.709, 0.0, 0.0, -0.705)),
}
"""Translation and rotation (w x y z) by which upstream moves two of its stages before they are placed."""


@dataclass(frozen=True)
class Block:
    """A box of one colour, or with an image on every side."""

    low: Point
    high: Point
    colour: Colour
    """sRGB, 0 to 255."""
    image: Array | None = None


def table_top(y: Any) -> Any:
    """Height of the table's top (m), which leans a little as upstream's does."""
    return 0.8875993 - 0.0003021 * y


def table_room(floor: Colour, wall: Colour, top: tuple[Colour, Colour] = WOOD, *, of_stone: bool = False) -> list[Block]:
    """A table on a floor before two walls; its top comes first."""
    grain = stone(128, 128, *top, seed=31) if of_stone else wood(256, 128, *top, seed=21)
    mean: Colour = tuple((np.add(*top) / 2).tolist())
    board = Block((TABLE_X[0], TABLE_Y[0], TABLE_UNDERSIDE), (TABLE_X[1], TABLE_Y[1], table_top(0.0)), mean, finish(grain))
    body = Block(
        (TABLE_X[0] + 0.02, TABLE_Y[0] + 0.02, FLOOR), (TABLE_X[1] - 0.03, TABLE_Y[1] - 0.02, TABLE_UNDERSIDE), (96, 88, 80)
    )
    return [board, body, *_shell(floor, wall)]


def _shell(floor: Colour, wall: Colour) -> list[Block]:
    """A floor, a wall in front of the robot and one at its right."""
    return [
        Block((-3.0, -3.0, -0.083), (2.2, 3.0, FLOOR), floor),
        Block((-3.1, -3.0, FLOOR), (-3.0, 3.0, 2.6), wall),
        Block((-3.0, 3.0, FLOOR), (2.2, 3.1, 2.6), (0.9 * wall[0], 0.9 * wall[1], 0.9 * wall[2])),
    ]


def bedroom() -> list[Block]:
    """A bed and a wardrobe behind where the drawers stand."""
    bed = [
        Block((-2.9, -1.9, FLOOR), (-1.2, 0.0, 0.45), (120, 90, 66)),
        Block((-2.9, -1.9, 0.45), (-1.25, 0.0, 0.62), (206, 210, 220)),
    ]
    wardrobe = Block((-2.9, 0.7, FLOOR), (-2.3, 2.3, 2.1), (150, 116, 82))
    return [*_shell((168, 140, 112), (206, 206, 212)), *bed, wardrobe]


def office() -> list[Block]:
    """A desk, a chair and shelves behind where the drawers stand."""
    desktop = [
        Block((-2.2, -1.8, 0.70), (-1.4, 0.0, 0.75), (190, 190, 186)),
        Block((-2.1, -1.7, FLOOR), (-2.0, -0.1, 0.70), (70, 70, 74)),
    ]
    shelves = [Block((-2.95, 0.5, z), (-2.6, 2.4, z + 0.04), (132, 104, 78)) for z in (0.4, 0.9, 1.4, 1.9)]
    return [
        *_shell((132, 134, 140), (222, 222, 218)),
        *desktop,
        Block((-1.3, -1.1, 0.40), (-0.85, -0.65, 0.46), (46, 60, 92)),
        *shelves,
    ]


ROOMS: dict[str, list[Block]] = {
    "google_pick_coke_can_1_v4": table_room((150, 140, 128), (188, 182, 172)),
    "google_pick_coke_can_1_v4_alt_background": table_room((96, 108, 128), (120, 146, 170)),
    "google_pick_coke_can_1_v4_alt_background_2": table_room((146, 118, 82), (196, 168, 120)),
    "Baked_sc1_staging_objaverse_cabinet1_h870": table_room((128, 126, 122), (188, 182, 172), ((62, 44, 30), (98, 70, 46))),
    "Baked_sc1_staging_objaverse_cabinet2_h870": table_room(
        *((128, 126, 122), (188, 182, 172), ((168, 164, 156), (206, 202, 194))), of_stone=True
    ),
    "frl_apartment_stage_simple": _shell((158, 130, 100), (202, 198, 190)),
    "modern_bedroom_no_roof": bedroom(),
    "modern_office_no_roof": office(),
}
"""Stage -> its blocks."""


def stage_files() -> dict[str, bytes]:
    """File name of each stage -> content."""
    return {f"{name}.glb": glb([piece(name, block) for block in blocks]) for name, blocks in ROOMS.items()}


def piece(stage: str, block: Block, origin: Point = STAGE_ORIGIN) -> Piece:
    """A block in a stage's file; `origin`: where the file's origin is in the world."""
    mesh = slab(block.low, block.high)
    if block.low[2] == TABLE_UNDERSIDE:
        top = mesh.vertices[:, 2] > TABLE_UNDERSIDE
        mesh.vertices[top, 2] = table_top(mesh.vertices[top, 1])
    red, green, blue = (round((part / 255) ** 2.2, 6) for part in block.colour)
    return Piece(_in_file(mesh, SHIFTS.get(stage, STILL), origin), (red, green, blue), block.image)


def _in_file(mesh: Mesh, shift: Shift, origin: Point) -> Mesh:
    """A mesh of the world in the frame of its stage's file (y up)."""
    place, turn = np.array(shift[0]), _matrix(shift[1])
    upright = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])  # file to world: x, -z, y
    vertices = (mesh.vertices - np.array(origin) - place) @ turn @ upright
    return replace(mesh, vertices=vertices, normals=mesh.normals @ turn @ upright)


def _matrix(quaternion: Sequence[float]) -> Array:
    """[3, 3] of a quaternion of any length."""
    w, x, y, z = np.array(quaternion) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
