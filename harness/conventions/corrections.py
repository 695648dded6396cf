"""Corrections of observations (before the policy) and of action chunks (after it), as pure functions.

A correction is the inverse of a fault in a policy's setup. Images are [height, width, 3] uint8, actions [steps, action size]
with the gripper last, in the environment's units. A row that a correction cannot know is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ...envs.base import EnvObservation
from ...envs.types import Array
from ...policies.adapters import GRIPPER, ROTATION, NormStats, rotation_vectors
from ...policies.base import Observation
from ...policies.images import centre_crop, resize_lanczos3

TRANSLATION = slice(0, 3)
Observe = Callable[[Observation], Observation]
Act = Callable[[Array, Observation], Array]


def images(change: Callable[[Array], Array]) -> Observe:
    """The same change of every image."""

    def observe(observation: Observation) -> Observation:
        changed = {name: np.ascontiguousarray(change(image)) for name, image in observation.images.items()}
        return _with(observation, images=changed)

    return observe


def swap_cameras(observation: Observation) -> Observation:
    """Each camera's image under the other's name."""
    seen = observation.images
    return _with(observation, images=dict(zip(seen, reversed(list(seen.values())), strict=True)))


def instruction(change: Callable[[str], str]) -> Observe:
    """A change of the instruction."""
    return lambda observation: replace(observation, instruction=change(observation.instruction))


def proprio(name: str, change: Callable[[Array], Array]) -> Observe:
    """A change of one vector of the robot state."""

    def observe(observation: Observation) -> Observation:
        return _with(observation, proprio={**observation.proprio, name: change(observation.proprio[name])})

    return observe


def _with(observation: Observation, **parts: Mapping[str, Array]) -> Observation:
    seen = observation.env_observation
    kept = {"images": seen.images, "proprio": seen.proprio, "privileged": seen.privileged, "instruction": seen.instruction}
    return replace(observation, env_observation=EnvObservation(**{**kept, **parts}))  # type: ignore[arg-type]


def cropped(image: Array) -> Array:
    """The central nine tenths of the area, as OpenVLA evaluates."""
    return centre_crop(image, 0.9)


def surrounded(image: Array) -> Array:
    """The image shrunk and surrounded by its border pixels, so that a centre crop of 0.9 gives it back."""
    height, width = image.shape[:2]
    rows, columns = round(height * math.sqrt(0.9)), round(width * math.sqrt(0.9))
    top, left = (height - rows) // 2, (width - columns) // 2
    edges = ((top, height - rows - top), (left, width - columns - left), (0, 0))
    return np.pad(resize_lanczos3(image, rows, columns), edges, mode="edge")


def smoothed(image: Array) -> Array:
    """The image without the detail that half its size cannot hold, as an antialiased resize leaves it."""
    height, width = image.shape[:2]
    return resize_lanczos3(resize_lanczos3(image, height // 2, width // 2), height, width)


def euler_as_rotation(quaternion: Array) -> Array:
    """[4] x y z w: the quaternion whose rotation vector holds the Euler angles (x, y, z) of the given one."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(Rotation.from_quat(quaternion).as_euler("xyz")).as_quat()


def columns(part: slice | int | Sequence[int], change: Callable[[Array], Array]) -> Act:
    """A change of some numbers of every action."""

    def act(actions: Array, observation: Observation) -> Array:
        out = actions.copy()
        index = list(part) if isinstance(part, Sequence) else part
        out[:, index] = change(actions[:, index])
        return out

    return act


def earlier(part: slice | int) -> Act:
    """The numbers one step earlier; the last is unknown."""
    return lambda actions, observation: _shifted(actions, part, 1)


def later(part: slice | int) -> Act:
    """The numbers one step later; the first is unknown."""
    return lambda actions, observation: _shifted(actions, part, -1)


def _shifted(actions: Array, part: slice | int, by: int) -> Array:
    out, moved = actions.copy(), np.full_like(actions, np.nan)
    if by > 0:
        moved[:-by] = actions[by:]
    else:
        moved[-by:] = actions[:by]
    out[:, part] = moved[:, part]
    return out


def reversed_chunk(actions: Array, observation: Observation) -> Array:
    """The chunk from its last action to its first."""
    return actions[::-1].copy()


def first_rows(count: int) -> Act:
    """The first actions of a chunk; the others are unknown."""

    def act(actions: Array, observation: Observation) -> Array:
        out = actions.copy()
        out[count:] = np.nan
        return out

    return act


def rotation_from_euler(unit: float) -> Act:
    """Euler angles (x, y, z) as a rotation vector; `unit`: radians of an action of 1."""
    return columns(ROTATION, lambda angles: rotation_vectors(unit * angles) / unit)


def from_end_effector(actions: Array, observation: Observation) -> Array:
    """Motion given in the end effector's axes, in those of the world; reads `eef_quat` (x y z w)."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_quat(observation.proprio["eef_quat"])
    out = actions.copy()
    out[:, TRANSLATION], out[:, ROTATION] = turn.apply(actions[:, TRANSLATION]), turn.apply(actions[:, ROTATION])
    return out


def rescaled(used: NormStats, right: NormStats) -> Act:
    """Motion un-normalised with `used`, as `right` un-normalises it; numbers that either leaves unscaled stay."""
    spread = np.where(used.high > used.low, used.high - used.low, 1.0)
    both = used.mask & right.mask & (used.high > used.low)
    both[GRIPPER] = False

    def act(actions: Array, observation: Observation) -> Array:
        normalised = 2.0 * (actions - used.low) / spread - 1.0
        return np.where(both, right.unnormalise(normalised), actions)

    return act
