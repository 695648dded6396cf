"""The robot: upstream's joints, limits and inertias; a body of simple shapes within its bounds.

Fingers, tips, nails and the hand collide as boxes of upstream's bounds, arm and head as rounded hulls a little inside
them, so that links that never touch in upstream's model do not touch here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ....standin.files import LINEAR, Piece, glb, obj
from ....standin.mesh import Mesh, disc, join, loft, slab
from .formatting import Bounds, physics, text

NAME = "google_robot_meta_sim_fix_wheel_fix_fingertip"
BOXES = ("link_gripper", "link_finger", "link_rear_wheel", "link_wheel")
"""Beginnings of the names of links that collide as boxes."""
INSIDE = 0.94
"""Size of a rounded hull within its bounds."""
RECOLOURED = ("shoulder", "bicep", "elbow", "forearm", "wrist", "gripper", "finger_right", "finger_left")
RECOLOURED_TIPS = ("finger_tip_right", "finger_tip_left")
ARM, JOINT, HAND, FINGER, PAD = range(5)
VERSIONS: Mapping[str, tuple[LINEAR, ...]] = {
    "": ((0.62, 0.62, 0.64), (0.16, 0.16, 0.17), (0.30, 0.30, 0.32), (0.78, 0.58, 0.12), (0.80, 0.80, 0.78)),
    "recolor_tabletop_visual_matching_1": (
        *((0.42, 0.42, 0.43), (0.11, 0.11, 0.12), (0.18, 0.18, 0.19), (0.50, 0.36, 0.08), (0.52, 0.52, 0.50)),
    ),
    "recolor_tabletop_visual_matching_2": (
        *((0.50, 0.47, 0.44), (0.13, 0.12, 0.12), (0.22, 0.21, 0.20), (0.60, 0.42, 0.10), (0.60, 0.58, 0.54)),
    ),
    "recolor_cabinet_visual_matching_1": (
        *((0.34, 0.33, 0.32), (0.09, 0.09, 0.09), (0.14, 0.14, 0.14), (0.40, 0.27, 0.06), (0.42, 0.41, 0.39)),
    ),
}
"""URDF version -> colours of arm, joints, gripper, fingers and pads."""


def robot_files() -> dict[str, bytes]:
    """Path under upstream's folder of robot descriptions -> content, for the four URDF versions of the grid."""
    files: dict[str, bytes] = {}
    for version, colours in VERSIONS.items():
        files[f"{NAME}{version and '_' + version}.urdf"] = _urdf(version).encode()
        for link, numbers in physics()["robot"]["links"].items():
            path = _visual_path(link, version)
            if "visual" in numbers and path not in files:
                files[path] = glb(list(_pieces(link, numbers["visual"], colours)))
    for link, numbers in physics()["robot"]["links"].items():
        for number, bounds in enumerate(numbers.get("collision", ())):
            if not link.startswith(BOXES):
                files[f"coarse_meshes/{link}_{number}.obj"] = obj([_limb(bounds, INSIDE)])
    return files


def _visual_path(link: str, version: str) -> str:
    own = version and link.removeprefix("link_") in RECOLOURED + RECOLOURED_TIPS
    return f"3obj{'_' + version if own else ''}/{link}.glb"


# --- URDF versions --------------------------------------------------------------------------------------------------------


def _pieces(link: str, bounds: Bounds, colours: tuple[LINEAR, ...]) -> Iterator[Piece]:
    """Visual meshes of one link, within its bounds."""
    (x0, y0, z0), (x1, y1, z1) = bounds
    if link.startswith("link_finger_tip"):
        yield Piece(_wedge(bounds, 0.55), colours[FINGER], roughness=0.5)
        yield Piece(slab((x0 + 0.004, y0 - 0.0004, z0 + 0.006), (x1 - 0.004, y0 + 0.002, z1 - 0.006)), colours[PAD])
    elif link.startswith("link_finger_nail"):
        yield Piece(slab((x0, y0, z0), (x1, y1, z1)), colours[JOINT])
    elif link.startswith("link_finger"):
        yield Piece(_wedge(bounds, 0.8), colours[FINGER], roughness=0.5)
        for step in range(4):
            low = z0 + 0.008 + 0.012 * step
            yield Piece(slab((x0 - 0.0003, y0 - 0.0003, low), (x1 + 0.0003, y0 + 0.004, low + 0.006)), colours[PAD])
    elif link == "link_gripper":
        yield Piece(_limb(bounds, 1.0, power=4.0), colours[HAND], roughness=0.5)
        yield Piece(slab((x0 + 0.012, y0 - 0.0005, z0 + 0.012), (x1 - 0.012, y0 + 0.004, z1 - 0.02)), colours[JOINT])
    elif "wheel" in link:
        yield Piece(_limb([[x0, z0, y0], [x1, z1, y1]], 1.0).turned("x", 90).moved(y=y0 + y1), colours[JOINT])
    elif link == "link_base":
        for part, colour in zip(physics()["robot"]["links"][link]["collision"], (ARM, JOINT, ARM, ARM, ARM, JOINT), strict=True):
            yield Piece(_limb(part, 1.0, power=5.0), colours[colour])
    else:
        yield from _arm(bounds, colours)


def _arm(bounds: Bounds, colours: tuple[LINEAR, ...]) -> Iterator[Piece]:
    """A limb with a dark ring at its lower end."""
    (x0, y0, z0), (x1, y1, z1) = bounds
    cut = z0 + 0.12 * (z1 - z0)
    yield Piece(_limb([[x0, y0, cut], [x1, y1, z1]], 1.0), colours[ARM], roughness=0.5)
    yield Piece(_limb([[x0, y0, z0], [x1, y1, cut]], 0.97), colours[JOINT])


def _limb(bounds: Bounds, share: float, power: float = 2.6) -> Mesh:
    """A rounded, convex post that fills a share of its bounds."""
    (x0, y0, z0), (x1, y1, z1) = bounds
    width, depth, height = share * (x1 - x0) / 2, share * (y1 - y0) / 2, share * (z1 - z0) / 2
    rows = [(top * height, wide * width, wide * depth) for top, wide in ((1, 0.7), (0.8, 1), (-0.8, 1), (-1, 0.7))]
    lid, foot = (disc(end * height, 0.7 * width, 0.7 * depth, up=end > 0, segments=16, power=power) for end in (1, -1))
    return join(loft(rows, 16, power), lid, foot).moved((x0 + x1) / 2, (y0 + y1) / 2, (z0 + z1) / 2)


def _wedge(bounds: Bounds, end: float) -> Mesh:
    """A finger: a bar whose outer side (+y) comes in towards its far end (+z)."""
    (x0, y0, z0), (x1, y1, z1) = bounds
    bar = slab((x0, y0, z0), (x1, y1, z1))
    far, outer = bar.vertices[:, 2] > (z0 + z1) / 2, bar.vertices[:, 1] > (y0 + y1) / 2
    bar.vertices[far & outer, 1] = y0 + end * (y1 - y0)
    return bar.faceted()


# --- URDF ---------------------------------------------------------------------------------------------------------


def _urdf(version: str) -> str:
    robot = physics()["robot"]
    links = [line for link, numbers in robot["links"].items() for line in _link(link, numbers, version)]
    joints = [line for joint in robot["joints"] for line in joint_lines(joint)]
    return "\n".join(['<?xml version="1.0"?>', '<robot name="meta">', *links, *joints, "</robot>", ""])


def _link(name: str, numbers: Mapping[str, Any], version: str) -> Iterator[str]:
    yield f'  <link name="{name}">'
    if "mass" in numbers:
        entries = zip(("ixx", "ixy", "ixz", "iyy", "iyz", "izz"), numbers["inertia"], strict=True)
        inertia = " ".join(f'{entry}="{value!r}"' for entry, value in entries)
        yield f'    <inertial><origin xyz="{text(numbers["centre"])}" rpy="0 0 0"/>'
        yield f'      <mass value="{numbers["mass"]!r}"/><inertia {inertia}/></inertial>'
    if "visual" in numbers:
        yield f'    <visual><geometry><mesh filename="{_visual_path(name, version)}"/></geometry></visual>'
    for number, bounds in enumerate(numbers.get("collision", ())):
        yield f"    <collision>{_shape(name, number, bounds)}</collision>"
    yield "  </link>"


def _shape(link: str, number: int, bounds: Bounds) -> str:
    if not link.startswith(BOXES):
        return f'<geometry><mesh filename="coarse_meshes/{link}_{number}.obj"/></geometry>'
    low, high = bounds
    centre = [round((a + b) / 2, 6) for a, b in zip(low, high, strict=True)]
    size = [round(b - a, 6) for a, b in zip(low, high, strict=True)]
    return f'<origin xyz="{text(centre)}" rpy="0 0 0"/><geometry><box size="{text(size)}"/></geometry>'


def joint_lines(joint: Mapping[str, Any]) -> Iterator[str]:
    """Lines of a joint in a URDF."""
    yield f'  <joint name="{joint["name"]}" type="{joint["type"]}">'
    yield f'    <origin xyz="{text(joint["xyz"])}" rpy="{text(joint.get("rpy", (0.0, 0.0, 0.0)))}"/>'
    yield f'    <parent link="{joint["parent"]}"/><child link="{joint["child"]}"/>'
    if joint["type"] != "fixed":
        low, high = joint["limit"]
        yield f'    <axis xyz="{text(joint["axis"])}"/><limit lower="{low!r}" upper="{high!r}" effort="0" velocity="0"/>'
    yield "  </joint>"
