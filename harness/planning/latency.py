"""Delays of a run's perturbed episodes (axis `latency`) in control steps, and what a robot does while it waits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ...envs.base import EpisodeSpec, EvalProtocol, Suite
from ...envs.errors import InputError
from ...envs.perturbations.axes import Perturbation, get
from ...envs.specs import CLOSE_CHANGE, OPEN_NEGATIVE, OPEN_ONE, OPEN_POSITIVE, OPEN_ZERO

MEASURED = "measured"
"""Level whose delays are the policy's own."""
MOTION = ("dx", "dy", "dz", "droll", "dpitch", "dyaw")
"""Names of the numbers of an action whose zero is no motion."""
OPEN = {OPEN_NEGATIVE: -1.0, OPEN_POSITIVE: 1.0, OPEN_ONE: 1.0, OPEN_ZERO: 0.0}
"""Convention of a gripper whose commands are targets -> the command that opens it."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Delay of the answers of one episode, as plain values that a worker receives."""

    steps: tuple[int, ...]
    """Control steps from a question to its answer: one number, or measured ones, of which each decision takes one by its key."""
    hold: bool
    """Whether the robot holds until the answer arrives, instead of executing the rest of the chunk before."""
    still: tuple[float, ...]
    """The action of a hold at the start of an episode: no motion, open gripper."""
    kept: tuple[int, ...]
    """Numbers of an action that a hold repeats from the action before: commands of the gripper."""
    replan_steps: int | None
    """Actions of a chunk up to the next decision; None for all of them."""
    control_hz: float
    """Control steps per second of simulated time."""

    @staticmethod
    def from_message(values: Mapping[str, Any] | None) -> Delay | None:
        """The delay that `dataclasses.asdict` made plain; None for none."""
        if values is None:
            return None
        lists = {name: tuple(values[name]) for name in ("steps", "still", "kept")}
        return Delay(**{**values, **lists})


def latencies(names: Iterable[str]) -> list[Perturbation]:
    """The perturbations among these names that delay answers."""
    return [found for found in map(get, names) if found.kind == "latency"]


def is_measured(perturbation: Perturbation) -> bool:
    """Whether its delays are the policy's own."""
    return perturbation.values["delay"] == MEASURED


def control_steps(milliseconds: float, control_hz: float) -> int:
    """Control steps until an answer arrives, rounded up; computed with fractions, so that 100 ms at 20 Hz are 2."""
    return math.ceil(Fraction(str(milliseconds)) * Fraction(str(control_hz)) / 1000)


def delay_of(
    spec: EpisodeSpec, suite: Suite, protocol: EvalProtocol, n_action_steps: int | None, measured_ms: Sequence[float]
) -> Delay | None:
    """The delay of an episode; None for one whose answers are not delayed.

    Args:
        spec: the episode.
        suite: its suite.
        protocol: of the run.
        n_action_steps: the policy's own limit of executed actions per chunk.
        measured_ms: measured decision times of the policy, for the level `measured`.
    """
    found = latencies([spec.perturbation] if spec.perturbation else [])
    if not found:
        return None
    level = found[0].values
    times = measured_ms if is_measured(found[0]) else [float(level["delay"].removesuffix("ms"))]
    steps = tuple(control_steps(time, suite.control_hz) for time in times)
    replan = min((limit for limit in (protocol.replan_steps, n_action_steps) if limit), default=None)
    return Delay(steps, bool(level["meanwhile"]), *still_action(suite, protocol), replan, float(suite.control_hz))


def still_action(suite: Suite, protocol: EvalProtocol) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """The action without motion and with an open gripper, and the indices of numbers that a hold repeats.

    Raises InputError where the suite declares no action specification, or the protocol's actions are absolute poses, of which
    none is known before the first answer.
    """
    problem = f"{suite.name} cannot hold still while it waits for a late answer (--perturb latency)"
    if protocol.environment.get("control") == "absolute":
        raise InputError(f"{problem}: actions under protocol {protocol.name} are absolute poses", option="--perturb")
    if not suite.action_spec:
        raise InputError(f"{problem}: it declares no action_spec", option="--perturb")
    still, kept = [], []
    for index, dim in enumerate(suite.action_spec):
        if dim.convention in OPEN:
            kept.append(index)
        elif dim.name not in MOTION and dim.convention != CLOSE_CHANGE:
            raise InputError(f"{problem}: its action_spec does not say what keeps {dim.name!r} as it is", option="--perturb")
        still.append(OPEN.get(dim.convention, 0.0))
    return tuple(still), tuple(kept)


def require_delays(names: Iterable[str], suites: Iterable[Suite], protocol: EvalProtocol, executor: str) -> None:
    """Raise InputError where a latency among the perturbations cannot be run."""
    found = latencies(names)
    for suite in suites if found else ():
        still_action(suite, protocol)
    if executor != "local" and any(map(is_measured, found)):
        raise InputError("--perturb latency:measured needs --executor local; with ray name a delay, like latency:100ms")
