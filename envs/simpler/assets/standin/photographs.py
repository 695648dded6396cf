"""Substitutes for the photographs of visual matching: the empty room in the robot's camera at the start.

Neutral on purpose: no robot, no objects; at the drawers a floor and a wall, since the cabinet itself is rendered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ....standin.mesh import Array
from ....standin.paint import finish, png
from ...grid import BASE_HEIGHT, RobotInit, configurations

if TYPE_CHECKING:
    from .rooms import Block

WIDTH, HEIGHT, FOCAL = 320, 256, 212.5
"""Pixels: half of the camera's."""
CAMERA, FORWARD = (0.14599, -0.00042, 1.21336), (0.7073, -0.0020, -0.7069)
"""Position and direction of the camera in the frame of the robot's base, head as at the start."""
LIGHT = {0: 0.86, 1: 0.78, 2: 1.0}
"""Brightness of the faces across x, y and z."""


def photograph_files(rooms: Mapping[str, Sequence[Block]]) -> dict[str, bytes]:
    """File name under `real_inpainting` -> content; `rooms`: stage -> its blocks."""
    files: dict[str, bytes] = {}
    for configuration in configurations():
        for index in range(configuration.n_episodes if configuration.rgb_overlay else 0):
            episode = configuration.episode(index)
            if episode.rgb_overlay and episode.rgb_overlay not in files:
                drawers = configuration.scene_name == "dummy_drawer"
                room = rooms["frl_apartment_stage_simple" if drawers else configuration.scene_name]
                files[episode.rgb_overlay] = png(finish(seen(room, *_camera(episode.robot))))
    return files


def seen(room: Sequence[Block], place: Array, rays: Array) -> Array:
    """[height, width, 3]: the nearest face behind every pixel; `place`: [3] of the camera, `rays`: [height, width, 3]."""
    nearest = np.full(rays.shape[:2], np.inf)
    image = np.full(rays.shape, 190.0)
    for block in room:
        distance, axis = _hit(block, place, rays)
        closer = distance < nearest
        nearest = np.where(closer, distance, nearest)
        colours = _texture(block, place + rays * np.where(closer, distance, 0.0)[..., None])
        light = np.select([axis == 0, axis == 1], [LIGHT[0], LIGHT[1]], LIGHT[2])
        image = np.where(closer[..., None], colours * light[..., None], image)
    return image


def _camera(robot: RobotInit) -> tuple[Array, Array]:
    """[3] where the camera is, [HEIGHT, WIDTH, 3] the direction of every pixel; world frame."""
    angle = math.pi + robot.yaw
    cosine, sine = round(math.cos(angle), 12), round(math.sin(angle), 12)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    forward = turn @ np.array(FORWARD)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= math.sqrt(right @ right)
    down = np.cross(forward, right)
    v, u = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    across, along = (u - WIDTH / 2) / FOCAL, (v - HEIGHT / 2) / FOCAL
    rays = forward + across[..., None] * right + along[..., None] * down
    return np.array([*robot.init_xy, BASE_HEIGHT]) + turn @ np.array(CAMERA), rays


def _hit(block: Block, place: Array, rays: Array) -> tuple[Array, Array]:
    """Entry of each ray into a block (in lengths of the ray; infinite where it misses), and the axis that it crosses there."""
    with np.errstate(divide="ignore"):
        first, second = ((np.array(corner) - place) / rays for corner in (block.low, block.high))
    enter, leave = np.minimum(first, second), np.maximum(first, second).min(-1)
    distance = enter.max(-1)
    return np.where((distance < leave) & (distance > 0), distance, np.inf), enter.argmax(-1)


def _texture(block: Block, places: Array) -> Array:
    """[height, width, 3] colours of a block at some places."""
    if block.image is None:
        return np.broadcast_to(np.array(block.colour, float), places.shape)
    height, width, _ = block.image.shape
    share = (places[..., :2] - block.low[:2]) / np.subtract(block.high[:2], block.low[:2])
    column, row = (np.clip((share[..., axis] * size).astype(int), 0, size - 1) for axis, size in ((0, width), (1, height)))
    return block.image[height - 1 - row, column].astype(float)
