"""Meaning of the numbers of an action and of an observation: declared by suites and policies, compared before a run.

An empty text or None stands for "not declared" and is never a mismatch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

OPEN_NEGATIVE = "open=-1 close=+1"
"""Gripper convention of LIBERO: negative numbers open, positive ones close."""
OPEN_POSITIVE = "open=+1 close=-1"
"""Gripper convention of SimplerEnv's WidowX."""
OPEN_ONE = "open=1 close=0"
"""Gripper convention of RLDS data sets, OpenVLA's and NORA's raw output among them."""
OPEN_ZERO = "open=0 close=1"
CLOSE_CHANGE = "change: close>0 open<0"
"""Gripper convention of SimplerEnv's Google robot: a change of the joint targets; 0 keeps them."""


@dataclass(frozen=True, slots=True)
class ActionDim:
    """One number of an action."""

    name: str
    """`dx`, `dy`, `dz`, `droll`, `dpitch`, `dyaw` (see `convention`), `x` ... for absolute poses, `gripper`."""
    unit: str = ""
    """Unit of the values, like `m` or `0.05 m`."""
    frame: str = ""
    """`world`, `base` (of the robot), `end_effector`."""
    low: float | None = None
    high: float | None = None
    """Range; the suite cuts or rejects numbers outside."""
    convention: str = ""
    """For a rotation `rotation_vector` or `euler_xyz`; for a gripper such as `open=-1 close=+1`."""


@dataclass(frozen=True, slots=True)
class ProprioSpec:
    """One named vector of the robot's state."""

    name: str
    size: int
    unit: str = ""
    frame: str = ""
    convention: str = ""
    """For a rotation `quaternion_xyzw`, `quaternion_wxyz`, `rotation_vector`."""


def action_spec_problem(spec: Any) -> str:
    """Why a value of any type is no action specification; empty where it is one."""
    if not isinstance(spec, tuple) or not all(isinstance(dim, ActionDim) for dim in spec):
        return f"action_spec must be a tuple of ActionDim, not {spec!r}"
    for index, dim in enumerate(spec):
        where = f"action_spec[{index}] ({dim.name})"
        if not all(isinstance(text, str) for text in (dim.name, dim.unit, dim.frame, dim.convention)):
            return f"{where}: name, unit, frame and convention must be texts"
        if not all(bound is None or _is_number(bound) for bound in (dim.low, dim.high)):
            return f"{where}: low and high must be numbers or None, not {dim.low!r} and {dim.high!r}"
        if dim.low is not None and dim.high is not None and dim.low > dim.high:
            return f"{where}: low ({dim.low}) is above high ({dim.high})"
    return ""


def proprio_spec_problem(spec: Any) -> str:
    """Why a value of any type is no specification of the robot's state; empty where it is one."""
    if not isinstance(spec, tuple) or not all(isinstance(key, ProprioSpec) for key in spec):
        return f"proprio_spec must be a tuple of ProprioSpec, not {spec!r}"
    for key in spec:
        if not all(isinstance(text, str) for text in (key.name, key.unit, key.frame, key.convention)):
            return f"proprio_spec: name, unit, frame and convention of {key.name!r} must be texts"
        if not _is_count(key.size):
            return f"proprio_spec: size of {key.name} must be a positive int, not {key.size!r}"
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not isnan(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


@dataclass(frozen=True, slots=True)
class ActionConvention:
    """The part of an action specification by which executed actions of another kind are noticed afterwards."""

    bounds: tuple[float, float] = (-1.0, 1.0)
    """Numbers outside are cut, or make no sense."""
    translation: tuple[int, ...] = ()
    """Indices of the end effector's displacement, in the suite's own units."""
    gripper: int | None = None
    """Index of a gripper command whose negative numbers open and whose positive ones close; None for other conventions, or
    where an episode needs only one of the two."""

    @staticmethod
    def of(action_spec: Sequence[ActionDim]) -> ActionConvention | None:
        """The convention that a specification implies; None where it declares no range."""
        ranges = [(dim.low, dim.high) for dim in action_spec if dim.low is not None and dim.high is not None]
        if not ranges:
            return None
        grippers = [index for index, dim in enumerate(action_spec) if dim.convention == OPEN_NEGATIVE]
        return ActionConvention(
            bounds=(min(low for low, _ in ranges), max(high for _, high in ranges)),
            translation=tuple(index for index, dim in enumerate(action_spec) if dim.name in ("dx", "dy", "dz")),
            gripper=grippers[0] if grippers else None,
        )


def motion_dims(translation_unit: str, rotation_unit: str, frame: str, limit: float | None = 1.0) -> tuple[ActionDim, ...]:
    """The six numbers of an end-effector displacement: translation, then rotation vector, each within +-`limit`."""
    low = None if limit is None else -limit
    return (
        *(ActionDim(name, translation_unit, frame, low, limit) for name in ("dx", "dy", "dz")),
        *(ActionDim(name, rotation_unit, frame, low, limit, "rotation_vector") for name in ("droll", "dpitch", "dyaw")),
    )
