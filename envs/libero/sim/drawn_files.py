"""Which of a pack's files a built model draws, and where in an image the shapes drawn from given files can appear."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from .camera_names import CAMERAS

SCALE = 1.1
"""Factor on a shape's bounding box: a file of another pack may be slightly larger."""
MARGIN = 3
"""Pixels around it, for smoothed edges."""
NEAR = 0.01
"""Depth (m) below which a corner counts as behind the camera."""


def drawn_files(model: Any, folder: Path) -> dict[int, set[str]]:
    """Geom -> the files of its mesh and textures, relative to the pack's folder; without geoms that use no file of it."""
    paths = bytes(model.paths)

    def relative(address: int) -> str:
        path = Path(paths[address : paths.index(b"\0", address)].decode()) if address >= 0 else Path()
        return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else ""

    meshes = [relative(address) for address in model.mesh_pathadr]
    textures = [relative(address) for address in model.tex_pathadr]
    drawn: dict[int, set[str]] = {}
    for geom in np.flatnonzero(model.geom_group == 1):
        mesh, material = model.geom_dataid[geom], model.geom_matid[geom]
        used = np.atleast_1d(model.mat_texid[material]) if material >= 0 else ()
        files = {textures[texture] for texture in used if texture >= 0} | ({meshes[mesh]} if mesh >= 0 else set())
        if files := files - {""}:
            drawn[int(geom)] = files
    return drawn


def covered(model: Any, data: Any, camera: str, geom: int, size: int) -> np.ndarray:
    """[size, size] bool, rows from the bottom as rendered: pixels in the rectangle around the geom's bounding box.

    Occlusion is ignored. A box that reaches behind the camera covers the whole image.
    """
    number = model.camera(CAMERAS[camera]).id
    centre, half = model.geom_aabb[geom].reshape(2, 3)
    corners = centre + np.array([*product((-SCALE, SCALE), repeat=3)]) * half
    world = corners @ data.geom_xmat[geom].reshape(3, 3).T + data.geom_xpos[geom]
    x, y, z = ((world - data.cam_xpos[number]) @ data.cam_xmat[number].reshape(3, 3)).T
    behind = z > -NEAR
    if behind.any():
        return np.full((size, size), not behind.all())
    scale = size / 2 / (-z * np.tan(np.radians(model.cam_fovy[number]) / 2))
    mask = np.zeros((size, size), bool)
    mask[_span(size / 2 + y * scale), _span(size / 2 + x * scale)] = True
    return mask


def _span(pixels: np.ndarray) -> slice:
    """The pixels between the smallest and the largest, and a margin; those below zero are outside the image."""
    return slice(max(int(pixels.min()) - MARGIN, 0), max(int(pixels.max()) + MARGIN + 1, 0))
