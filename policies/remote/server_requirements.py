"""Comparison of a vla-eval server's declaration with nora-bench's provisions, before the first episode.

A server greets with `observation_params` (how vla-eval's benchmark is to be set up for it) and `action_spec` (the form of its
actions). Names and formats are those of vla-eval 0.8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...envs.errors import PolicyError
from ..base import Array, PolicyContext

MET = frozenset({"send_wrist_image", "send_state", "quat_no_antipodal", "absolute_action"})
"""Requirements of a server that are met."""
REPLACED = frozenset({"seed", "env_seed"})
"""Requirements that nora-bench replaces by its own: scenes follow from the episode's key."""
COMPARED = frozenset({"suite", "num_steps_wait", "max_steps"})
"""Requirements that suite and protocol of the run decide; a run that differs is refused."""
POSITIONS, ABSOLUTE = ("delta_xyz", "raw"), "absolute_xyz"
ROTATIONS = ("axis_angle", "raw")
CLOSED: dict[str, Callable[[Array], Array]] = {
    "binary_close_positive": lambda gripper: gripper >= 0,  # as in vla-eval's LIBERO
    "raw": lambda gripper: gripper >= 0,
    "binary_close_negative": lambda gripper: gripper < 0,
    "binary_close_01": lambda gripper: gripper > 0.5,
}
"""Declared form of the gripper -> where it is to be closed."""


def refuse_unmet(url: str, requirements: Mapping[str, Any], ignore: Sequence[str]) -> None:
    """Raises PolicyError for unmet requirements, and for requirements in `ignore` that are met."""
    if provided := sorted(set(ignore) & (MET | REPLACED | COMPARED)):
        raise PolicyError(f"ignore={','.join(provided)}: the server at {url} gets that where it requires it; omit it")
    unmet = {name: value for name, value in requirements.items() if value and name not in {*MET, *REPLACED, *COMPARED, *ignore}}
    if unmet:
        raise PolicyError(
            f"the server at {url} requires {_listed(unmet)}, which nora-bench does not provide: its actions would "
            "differ without it. Provided: " + ", ".join(sorted(MET))
        )


def refuse_other_protocol(url: str, requirements: Mapping[str, Any], context: PolicyContext) -> None:
    """Raises PolicyError where the server requires another suite, settling or step limit than the run's."""
    protocol = context.protocol
    required = {name: requirements[name] for name in COMPARED if requirements.get(name) is not None}
    actual: dict[str, set[Any]] = {"suite": set(context.suites), "num_steps_wait": {protocol.settle_steps}}
    if "max_steps" in required:
        actual["max_steps"] = {protocol.steps(suite) for suite in context.suites}
    other = {name: value for name, value in required.items() if [str(value)] != [*map(str, actual[name])]}
    if other:
        here = ", ".join(f"{name}={' '.join(map(str, sorted(actual[name])))}" for name in other)
        raise PolicyError(f"the server at {url} requires {_listed(other)}, and the run under {protocol.name} has {here}")


def is_absolute(requirements: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    """Whether actions are poses in the world: by the requirement, or by the declared form of positions."""
    return bool(requirements.get("absolute_action")) or _form(spec.get("position")) == ABSOLUTE


def refuse_other_actions(url: str, spec: Mapping[str, Any], *, absolute: bool) -> None:
    """Raises PolicyError for a declared form of actions that is not LIBERO's and is not converted.

    X-VLA's server declares `delta_xyz` and asks for `absolute_action`: the requirement counts.
    """
    takes = {"position": (*POSITIONS, ABSOLUTE) if absolute else POSITIONS, "rotation": ROTATIONS, "gripper": tuple(CLOSED)}
    forms = {name: _form(part) for name, part in spec.items() if name in takes}
    wrong = {name: form for name, form in forms.items() if form not in takes[name]}
    if wrong:
        declared = ", ".join(f"{name} as {form} (taken: {', '.join(takes[name])})" for name, form in wrong.items())
        raise PolicyError(f"the server at {url} declares {declared}; serve its model with an output of a form that is taken")


def gripper_of(spec: Mapping[str, Any]) -> Callable[[Array], Array]:
    """Function from the server's gripper numbers to LIBERO's: 1 closes, -1 opens."""
    closed = CLOSED.get(_form(spec.get("gripper")), CLOSED["raw"])
    return lambda gripper: np.where(closed(gripper), 1.0, -1.0)


def _form(part: Any) -> str:
    return str(part.get("format") if isinstance(part, Mapping) else part)


def _listed(requirements: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in requirements.items())
