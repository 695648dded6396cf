"""From a model's normalised chunk to an environment's actions, as the protocol's published evaluation does.

In this order: un-normalise, average overlapping chunks, Euler angles to a rotation vector (SimplerEnv), gripper. The state of
an episode is kept by its key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ..envs.base import EvalProtocol
from ..envs.errors import PolicyError
from ..envs.specs import CLOSE_CHANGE, OPEN_NEGATIVE, OPEN_POSITIVE, ActionDim
from ..envs.types import Array
from .base import Observation

GRIPPER = -1
"""The gripper is the last number of an action."""
ROTATION = slice(3, 6)
"""Roll, pitch, yaw in radians."""


@dataclass(frozen=True, slots=True)
class NormStats:
    """Scaling of a data set's actions to [-1, 1]."""

    low: Array
    """[action size] the value of -1: 1st percentile or minimum."""
    high: Array
    """[action size] the value of +1: 99th percentile or maximum."""
    mask: Array
    """[action size] bool: which numbers were scaled; the gripper usually not."""

    def unnormalise(self, actions: Array, *, honour_mask: bool = True) -> Array:
        """[..., action size] in the data set's units. NORA's released classes look the mask up and ignore it."""
        scaled = 0.5 * (actions + 1) * (self.high - self.low) + self.low
        return np.where(self.mask, scaled, actions) if honour_mask else scaled


def unscaled(size: int) -> NormStats:
    """Statistics of actions that are in the data set's units already: `unnormalise` leaves them as they are."""
    return NormStats(-np.ones(size), np.ones(size), np.zeros(size, bool))


def gripper_openvla(opening: Array) -> Array:
    """LIBERO's command (-1 open, +1 close) of a model whose 1 is open and 0 closed: threshold 0.5."""
    return -np.sign(2 * opening - 1)


def gripper_nora_released(opening: Array) -> Array:
    """Gripper rule of NORA's released LIBERO script: every opening that is not clearly open closes."""
    command = -np.sign(2 * opening - 1)
    return np.where(command >= 0, 1.0, command)


def gripper_widowx(opening: Array) -> Array:
    """SimplerEnv's WidowX command (+1 open, -1 close) of a model whose 1 is open."""
    return 2.0 * (opening > 0.5) - 1.0


@dataclass(slots=True)
class StickyGripper:
    """SimplerEnv's Google Robot command: a change of more than 0.5 is sent, relative, for some steps."""

    steps: int = 15
    """Steps that a command is held, the first included."""
    follows: bool = False
    """Whether changes are measured from the opening of the step before (a slow one then never triggers), and not from the
    one at the last trigger."""
    reference: float | None = None
    """The opening that changes are measured from."""
    held: float = 0.0
    steps_left: int = 0

    def step(self, opening: float) -> float:
        """The relative command for this step."""
        if self.reference is None:
            self.reference = opening
        change = self.reference - opening
        triggered = abs(change) > 0.5 and not self.steps_left
        if triggered:
            self.held, self.steps_left = change, self.steps
        if triggered or self.follows:
            self.reference = opening
        if not self.steps_left:
            return change
        self.steps_left -= 1
        return self.held


@dataclass(slots=True)
class Ensemble:
    """The average of the last chunks' predictions for a step, the chunk of age order i (oldest 0) weighing exp(-temperature i).

    A negative temperature trusts the newest most (SimplerEnv's NORA-1.5 wrapper: -0.8 over 5 chunks).
    """

    chunks: int
    temperature: float
    kept: list[tuple[int, Array]] = field(default_factory=list)
    """(first step, actions), oldest first."""

    def add(self, step: int, actions: Array, rows: int) -> Array:
        """[rows, action size] for the steps from `step` on, now that `actions` is the newest chunk."""
        self.kept = [*self.kept, (step, actions)][-self.chunks :]
        return np.stack([self._at(wanted) for wanted in range(step, step + min(rows, len(actions)))])

    def _at(self, step: int) -> Array:
        said = np.stack([chunk[step - first] for first, chunk in self.kept if step - first < len(chunk)])
        weights = np.exp(-self.temperature * np.arange(len(said)))
        return (weights / weights.sum()) @ said


@dataclass(slots=True)
class _Memory:
    ensemble: Ensemble | None
    sticky: StickyGripper
    instruction: str


STICKY: dict[str, Callable[[], StickyGripper]] = {
    "google-sticky": StickyGripper,
    "google-sticky-openvla": partial(StickyGripper, follows=True),
    "google-sticky-spatialvla": partial(StickyGripper, steps=10),
}
"""Value of `EvalProtocol.gripper` -> how that evaluation's wrapper holds a command."""
CONVENTIONS: dict[str, Callable[[Array], Array] | None] = {
    "env": None,
    "openvla": gripper_openvla,
    "nora-released": gripper_nora_released,
    "widowx": gripper_widowx,
    **dict.fromkeys(STICKY),
}
"""Value of `EvalProtocol.gripper` -> the function of the opening, where there is one."""
GRIPPER_COMMANDS = {
    "openvla": OPEN_NEGATIVE,
    "nora-released": OPEN_NEGATIVE,
    "widowx": OPEN_POSITIVE,
    **dict.fromkeys(STICKY, CLOSE_CHANGE),
}
"""Value of `EvalProtocol.gripper` -> convention of the commands that the adapter returns."""


def adapted_spec(protocol: EvalProtocol, action_size: int) -> tuple[ActionDim, ...]:
    """The specification of an adapter's actions: their number and the convention of the gripper."""
    motion = (ActionDim("") for _ in range(action_size - 1))
    return (*motion, ActionDim("gripper", convention=GRIPPER_COMMANDS.get(protocol.gripper, "")))


class Adapter:
    """Converts normalised chunks to an environment's actions under one protocol."""

    def __init__(self, protocol: EvalProtocol) -> None:
        if protocol.gripper not in CONVENTIONS:
            known = ", ".join(CONVENTIONS)
            raise PolicyError(f"protocol {protocol.name}: unknown gripper convention {protocol.gripper!r}; known: {known}")
        if unknown := set(protocol.ensemble) - {"chunks", "temperature"}:
            raise PolicyError(f"protocol {protocol.name}: ensemble has unknown fields {sorted(unknown)}")
        self.protocol = protocol
        self._memories: dict[str, _Memory] = {}

    def actions(self, observation: Observation, normalised: Array, stats: NormStats, n_action_steps: int | None = None) -> Array:
        """[steps, action size] float64 in the environment's units, at most as many steps as will be executed.

        Where answers are delayed it is the whole chunk, whose rest is executed while the next answer is due; except with temporal
        ensembling and a gripper whose command depends on the steps executed before, whose later steps are not known yet.

        Args:
            observation: the input of the chunk.
            normalised: [steps, action size] the whole chunk.
            stats: its normalisation.
            n_action_steps: most steps that will be executed, where the policy has a lower limit than the protocol.
        """
        memory = self._memory(observation)
        honour_mask = self.protocol.gripper != "nora-released"
        actions = stats.unnormalise(np.asarray(normalised, np.float64), honour_mask=honour_mask)
        rows = min(self.protocol.replan_steps or len(actions), n_action_steps or len(actions), len(actions))
        if observation.committed is not None and not self.protocol.ensemble and self.protocol.gripper not in STICKY:
            rows = len(actions)
        if memory.ensemble:
            actions = memory.ensemble.add(observation.step, actions, rows)
        actions = actions[:rows].copy()
        if self.protocol.family == "simpler":
            actions[:, ROTATION] = rotation_vectors(actions[:, ROTATION])
        actions[:, GRIPPER] = self._gripper(memory, actions[:, GRIPPER])
        return actions

    def end_episode(self, key: str) -> None:
        """Drop the episode's state."""
        self._memories.pop(key, None)

    def _memory(self, observation: Observation) -> _Memory:
        """The episode's state, new at its start and where its instruction changes, as upstream's wrappers reset themselves."""
        memory = self._memories.get(observation.key)
        if observation.decision == 0 or memory is None or memory.instruction != observation.instruction:
            ensemble = Ensemble(**self.protocol.ensemble) if self.protocol.ensemble else None
            sticky = STICKY.get(self.protocol.gripper, StickyGripper)()
            self._memories[observation.key] = _Memory(ensemble, sticky, observation.instruction)
        return self._memories[observation.key]

    def _gripper(self, memory: _Memory, openings: Array) -> Array:
        if self.protocol.gripper in STICKY:
            return np.array([memory.sticky.step(float(opening)) for opening in openings])
        convert = CONVENTIONS[self.protocol.gripper]
        return convert(openings) if convert else openings


def rotation_vectors(euler: Array) -> Array:
    """[steps, 3] axis times angle (rad) of roll, pitch, yaw about the fixed x, y, z axes."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_euler("xyz", euler).as_rotvec()
