"""The simulator's truth about candidate chunks: each is executed from its state, and the policy continues to the end.

A candidate is better than another if its episode succeeds and the other's does not, or if both succeed and it needs fewer
steps. Equal outcomes have no order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...envs.base import SimulationError
from ...envs.types import Array
from ...policies.adapters import gripper_openvla
from ...policies.images import model_image
from ..data.demonstrations import Demonstration
from ..engine.config import TrainingError
from .pairs import Part
from .sampler import Sampler

if TYPE_CHECKING:
    from ...envs.libero.sim.continuation import StateContinuation

Phase = Literal["approach", "grasp", "carry", "release"]
NEAR = 10
"""Control steps around a change of the gripper command that count as grasp or release."""
CLOSED_M = 0.06
"""Distance of the fingers below which the gripper counts as closed at a takeover."""


@dataclass(frozen=True, slots=True)
class RolledOut:
    """Outcomes of one state's candidates."""

    key: str
    step: int
    phase: Phase
    success: tuple[bool, ...]
    steps: tuple[int, ...]
    """Control steps from the state to the goal, or to the end of the budget."""


class _NoNoise:
    """Stands in for a generator: the flow starts from zeros, as the nano policies' evaluations do."""

    def standard_normal(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Zeros of the shape."""
        return np.zeros(shape, dtype)


@dataclass(frozen=True)
class CandidateRoller:
    """Rolls out candidates of a policy."""

    env: StateContinuation
    policy: Sampler
    """Continues after the candidate, without noise."""
    budget: int
    """Control steps of a whole episode."""
    render_size: int

    def roll_out(self, demonstration: Demonstration, step: int, candidates: Array) -> RolledOut:
        """Outcomes of the candidates [C, N, A], normalised like the policy's actions, from one state of a demonstration."""
        ends = [self._end(demonstration, step, chunk) for chunk in candidates]
        success, steps = zip(*ends, strict=True)
        return RolledOut(demonstration.key, step, phase_of(demonstration, step), success, steps)

    def _end(self, demonstration: Demonstration, step: int, chunk: Array) -> tuple[bool, int]:
        """Whether the goal is reached, and after how many steps; an unstable simulation is a failure."""
        self.env.open(demonstration.suite, demonstration.task)
        commands = demonstration.actions[:step, -1]
        fixtures = demonstration.facts["fixtures"]
        self.env.start(demonstration.states[step], fixtures, commands.tolist(), closed=_closed(demonstration))
        left, done = self.budget - step - int(demonstration.facts.get("learner_steps", 0)), 0
        try:
            while done < left:
                image = None
                for number, action in enumerate(self._actions(demonstration.suite, chunk), 1):
                    last = number == len(chunk)
                    reached, image = self.env.step(action, self.render_size if last else None)
                    done += 1
                    if reached or done >= left:
                        return reached, done
                assert image is not None, "the last action of a chunk is observed"
                chunk = self._next(demonstration.instruction, image)
        except SimulationError:
            return False, max(left, done)
        return False, done

    def _next(self, instruction: str, image: Array) -> Array:
        size = self.policy.model.config.image_size
        seen = model_image(image, size, {"jpeg": True, "filter": "lanczos3"})
        return self.policy.sample(seen[None], [instruction], [_NoNoise()], 1)[0, 0]  # pyright: ignore[reportArgumentType]

    def _actions(self, suite: str, chunk: Array) -> Array:
        """[N, 7] in the environment's units."""
        actions = self.policy.stats(suite).unnormalise(np.asarray(chunk, np.float64))
        actions[:, -1] = gripper_openvla(actions[:, -1])
        return actions


def open_roller(policy: Sampler, suite: str, assets: str = "standin") -> CandidateRoller:
    """A roller for a suite of LIBERO, with the budget and images of the protocol `libero/openvla`. Raises SuiteError."""
    from ...envs.base import EnvOptions
    from ...envs.libero.sim.continuation import StateContinuation
    from ...envs.paths import cache_home
    from ...envs.protocols import get as get_protocol
    from ...envs.suites import get as get_suite
    from ...harness.rendering.gl import find_gl

    pack, protocol = get_suite(suite).resolve_assets(assets), get_protocol("libero/openvla")
    env = StateContinuation(EnvOptions(assets=pack.path, gl=find_gl().name, cache=str(cache_home())))
    return CandidateRoller(env, policy, protocol.max_steps[suite], protocol.image_size)


def _closed(demonstration: Demonstration) -> bool:
    """Whether the fingers were closing before the first step: never, but after a learner, whose fingers are looked at."""
    if "learner_steps" not in demonstration.facts or not demonstration.robot_states.size:
        return False
    fingers = demonstration.robot_states[0, :2]
    return bool(abs(fingers[0] - fingers[1]) < CLOSED_M)


def phase_of(demonstration: Demonstration, step: int) -> Phase:
    """Phase of an episode by the expert's gripper commands: before closing, around it, holding, around opening."""
    closing = demonstration.labels[:, -1] > 0
    near = slice(max(step - NEAR, 0), step + NEAR + 1)
    changes = np.flatnonzero(np.diff(closing[near].astype(int)))
    if len(changes):
        first = near.start + int(changes[0])
        return "release" if closing[first] else "grasp"
    return "carry" if closing[step] else "approach"


def better(rolled: RolledOut, one: int, other: int) -> int:
    """1 if candidate `one` is better than `other`, -1 if worse, 0 for equal outcomes."""
    if rolled.success[one] != rolled.success[other]:
        return 1 if rolled.success[one] else -1
    if not rolled.success[one] or rolled.steps[one] == rolled.steps[other]:
        return 0
    return 1 if rolled.steps[one] < rolled.steps[other] else -1


Accuracy = dict[str, tuple[int, int]]
"""Phase, or `all` -> (pairs ordered as the simulator does, pairs with an order)."""


def accuracy(part: Part, rolled: Sequence[RolledOut], reward: str, *, chosen: bool = False) -> Accuracy:
    """How often a reward orders candidates as the simulator does; equal rewards count as half, rounded down per phase.

    Args:
        part: labels of the rolled-out states, with equal candidates.
        rolled: outcomes.
        reward: its name in the labels.
        chosen: only the pair that preference optimisation uses, instead of all pairs of candidates.
    """
    rows = {(state["key"], state["step"]): row for row, state in enumerate(part.states)}
    halves: dict[str, list[int]] = {}
    for outcome in rolled:
        row = rows[outcome.key, outcome.step]
        scores = part.total[reward][row]
        pairs = [tuple(part.pairs[reward][row])] if chosen else [*combinations(range(len(scores)), 2)]
        for one, other in pairs:
            if one < 0 or not (order := better(outcome, one, other)):
                continue
            agreed = int(np.sign(scores[one] - scores[other])) * order
            for name in ("all", outcome.phase):
                counts = halves.setdefault(name, [0, 0])
                counts[0] += 1 + agreed
                counts[1] += 1
    return {name: (twice // 2, count) for name, (twice, count) in halves.items()}


def spread(part: Part) -> float:
    """Mean distance of two candidates of a state over their mean distance to the demonstrated chunk."""
    candidates = part.candidates
    apart = [np.abs(candidates[:, a] - candidates[:, b]).mean() for a, b in combinations(range(candidates.shape[1]), 2)]
    away = np.abs(candidates - part.demonstrated[:, None]).mean()
    return float(np.mean(apart) / away) if away else 0.0


def states_with_pair(part: Part) -> dict[str, tuple[int, int]]:
    """Reward -> (states whose candidates it pairs, states)."""
    return {reward: (int((pairs >= 0).all(axis=1).sum()), len(pairs)) for reward, pairs in part.pairs.items()}


# Files

OUTCOMES = "outcomes.jsonl"


def read_outcomes(folder: Path) -> list[RolledOut]:
    """The outcomes in a folder, in order; a torn last line is dropped."""
    path, found = folder / OUTCOMES, []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            values = json.loads(line)
        except json.JSONDecodeError:
            break
        found.append(RolledOut(values["key"], values["step"], values["phase"], tuple(values["success"]), tuple(values["steps"])))
    return found


def roll_out_missing(
    roller: CandidateRoller,
    part: Part,
    demonstrations: Mapping[str, Demonstration],
    rows: Sequence[int],
    folder: Path,
    report: Callable[[int], None] = lambda states: None,
) -> list[RolledOut]:
    """Roll out the candidates of the states at those rows that the folder lacks; all outcomes. Raises TrainingError."""
    found = {(outcome.key, outcome.step): outcome for outcome in read_outcomes(folder)}
    folder.mkdir(parents=True, exist_ok=True)
    _rewrite(folder, found.values())
    for row in rows:
        state = part.states[row]
        place = (state["key"], state["step"])
        if state["key"] not in demonstrations:
            raise TrainingError(f"no demonstration {state['key']} in --data, which the labels were made of")
        if place not in found:
            found[place] = roller.roll_out(demonstrations[state["key"]], state["step"], part.candidates[row])
            with (folder / OUTCOMES).open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(found[place])) + "\n")
        report(1)
    return [found[part.states[row]["key"], part.states[row]["step"]] for row in rows]


def _rewrite(folder: Path, outcomes: Iterator[RolledOut] | Any) -> None:
    from ...envs.safe_io import atomic_write

    with atomic_write(folder / OUTCOMES) as scratch:
        scratch.write_text("".join(json.dumps(asdict(outcome)) + "\n" for outcome in outcomes), encoding="utf-8")


def chosen_rows(count: int, wanted: int) -> list[int]:
    """Rows of states, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).round().astype(int)).tolist()


def require_same_candidates(parts: Mapping[str, Part]) -> None:
    """Raise TrainingError unless all label sets have the states and candidates of the first."""
    (first, reference), *others = parts.items()
    places = [(state["key"], state["step"]) for state in reference.states]
    for name, part in others:
        same = [(state["key"], state["step"]) for state in part.states] == places
        if not same or not np.array_equal(part.candidates, reference.candidates):
            raise TrainingError(
                f"{name} has other states or candidates than {first}: label both with one policy, seed and --states"
            )
