"""What a vla-eval server declares, against what nora-bench provides: compared before the first episode.

A server greets with `observation_params` (how vla-eval's benchmark is to be set up for it) and `action_spec` (the form of its
actions). Names and formats are those of vla-eval 0.8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...envs.errors import PolicyError
from ..base import Array, PolicyContext

HONOURED = frozenset({"send_wrist_image", "send_state", "quat_no_antipodal", "absolute_action"})
"""What a server may ask of its benchmark and gets."""
OURS = frozenset({"seed", "env_seed"})
"""What it may ask and nora-bench decides itself: scenes come from the episode's key."""
COMPARED = frozenset({"suite", "num_steps_wait", "max_steps"})
"""What it may ask and the run's suite and protocol decide; a run that decides otherwise is refused."""
POSITIONS, ABSOLUTE = ("delta_xyz", "raw"), "absolute_xyz"
ROTATIONS = ("axis_angle", "raw")
CLOSED: dict[str, Callable[[Array], Array]] = {
    "binary_close_positive": lambda gripper: gripper >= 0,  # as vla-eval's LIBERO
    "raw": lambda gripper: gripper >= 0,
    "binary_close_negative": lambda gripper: gripper < 0,
    "binary_close_01": lambda gripper: gripper > 0.5,
}
"""Declared form of the gripper -> where it is to be closed."""


def refuse_unmet(url: str, wishes: Mapping[str, Any], ignore: Sequence[str]) -> None:
    """Raises PolicyError for wishes that nothing here fulfils, and for wishes in `ignore` that are fulfilled."""
    if provided := sorted(set(ignore) & (HONOURED | OURS | COMPARED)):
        raise PolicyError(f"ignore={','.join(provided)}: the server at {url} gets that where it asks for it; leave it out")
    unmet = {name: value for name, value in wishes.items() if value and name not in {*HONOURED, *OURS, *COMPARED, *ignore}}
    if unmet:
        raise PolicyError(
            f"the server at {url} wants {_said(unmet)}, which nora-bench does not provide: what its model would answer "
            "without it is not what was asked for. Provided: " + ", ".join(sorted(HONOURED))
        )


def refuse_other_protocol(url: str, wishes: Mapping[str, Any], context: PolicyContext) -> None:
    """Raises PolicyError where the server asks for another suite, settling or budget than the run's."""
    protocol = context.protocol
    wanted = {name: wishes[name] for name in COMPARED if wishes.get(name) is not None}
    played: dict[str, set[Any]] = {"suite": set(context.suites), "num_steps_wait": {protocol.settle_steps}}
    if "max_steps" in wanted:
        played["max_steps"] = {protocol.steps(suite) for suite in context.suites}
    other = {name: value for name, value in wanted.items() if [str(value)] != [*map(str, played[name])]}
    if other:
        here = ", ".join(f"{name}={' '.join(map(str, sorted(played[name])))}" for name in other)
        raise PolicyError(f"the server at {url} wants {_said(other)}, and the run under {protocol.name} has {here}")


def is_absolute(wishes: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    """Whether actions are poses in the world: by the wish, or by the declared form of positions."""
    return bool(wishes.get("absolute_action")) or _form(spec.get("position")) == ABSOLUTE


def refuse_other_actions(url: str, spec: Mapping[str, Any], *, absolute: bool) -> None:
    """Raises PolicyError for a declared form of actions that is not LIBERO's and is not converted.

    X-VLA's server declares `delta_xyz` and asks for `absolute_action`: the wish counts.
    """
    takes = {"position": (*POSITIONS, ABSOLUTE) if absolute else POSITIONS, "rotation": ROTATIONS, "gripper": tuple(CLOSED)}
    forms = {name: _form(part) for name, part in spec.items() if name in takes}
    wrong = {name: form for name, form in forms.items() if form not in takes[name]}
    if wrong:
        said = ", ".join(f"{name} as {form} (taken: {', '.join(takes[name])})" for name, form in wrong.items())
        raise PolicyError(f"the server at {url} declares {said}; serve its model with an output of a form that is taken")


def gripper_of(spec: Mapping[str, Any]) -> Callable[[Array], Array]:
    """What turns the server's gripper numbers into LIBERO's: 1 closes, -1 opens."""
    closed = CLOSED.get(_form(spec.get("gripper")), CLOSED["raw"])
    return lambda gripper: np.where(closed(gripper), 1.0, -1.0)


def _form(part: Any) -> str:
    return str(part.get("format") if isinstance(part, Mapping) else part)


def _said(wishes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in wishes.items())
