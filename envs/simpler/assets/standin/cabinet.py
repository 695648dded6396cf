"""The stations with three drawers: upstream's boxes, exactly, in upstream's four colours each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ....standin.files import Piece, glb
from ....standin.mesh import box
from ....standin.paint import finish, stone
from .formatting import physics, text

STONE_TOP = "models/stone_tabletop.glb"
"""Parts of `mk_station3` instead of the plain top."""
STONE_TOP_STATION = "mk_station3"


def cabinet_files() -> dict[str, bytes]:
    """Path under `data/custom` -> content, for the four stations of the grid."""
    cabinet = physics()["cabinet"]
    files = {f"{name}.urdf": _urdf(name, colours).encode() for name, colours in cabinet["colours"].items()}
    (size,) = (size for name, _, size, _ in cabinet["body"]["visual"] if name == "tabletop")
    pattern = finish(stone(128, 128, (150, 146, 138), (190, 186, 178), seed=26))
    files[STONE_TOP] = glb([Piece(box(*size), image=pattern, roughness=0.5)])
    return files


def _urdf(station: str, colours: Mapping[str, Sequence[float]]) -> str:
    cabinet = physics()["cabinet"]
    lines = [line for drawer, joint in cabinet["joints"].items() for line in _joint(drawer, joint)]
    for link in ("body", *cabinet["joints"]):
        lines += _link(station, link, cabinet["body" if link == "body" else "drawer"])
    named = [f'  <material name="{name}"><color rgba="{text([*rgb, 1.0])}"/></material>' for name, rgb in colours.items()]
    return "\n".join(['<?xml version="1.0"?>', '<robot name="mk_station">', *named, *lines, "</robot>", ""])


def _joint(drawer: str, joint: Mapping[str, Any]) -> Iterator[str]:
    low, high = joint["limit"]
    yield f'  <joint name="{drawer}_joint" type="prismatic">'
    yield f'    <limit lower="{low}" upper="{high}" effort="0" velocity="0"/><origin xyz="{text(joint["xyz"])}" rpy="0 0 0"/>'
    yield f'    <parent link="body"/><child link="{drawer}"/><axis xyz="{text(joint["axis"])}"/>'
    yield "  </joint>"


def _link(station: str, name: str, numbers: Mapping[str, Any]) -> Iterator[str]:
    yield f'  <link name="{name}">'
    for shape, centre, size in numbers["collision"]:
        yield f'    <collision name="{shape}">{_box(centre, size)}</collision>'
    for shape, centre, size, material in numbers["visual"]:
        if shape == "tabletop" and station == STONE_TOP_STATION:
            mesh = f'<geometry><mesh filename="{STONE_TOP}"/></geometry>'
            yield f'    <visual name="{shape}"><origin xyz="{text(centre)}" rpy="0 0 0"/>{mesh}</visual>'
        else:
            yield f'    <visual name="{shape}">{_box(centre, size)}<material name="{material}"/></visual>'
    yield "  </link>"


def _box(centre: Sequence[float], size: Sequence[float]) -> str:
    return f'<origin xyz="{text(centre)}" rpy="0 0 0"/><geometry><box size="{text(size)}"/></geometry>'
