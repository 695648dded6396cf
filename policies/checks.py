"""The policy contract as a check, for your own policy in a test or manually."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from ..envs.base import CAMERAS, EnvObservation, EpisodeSpec, ObservationSpec
from ..envs.errors import PolicyError
from .base import ActionChunk, Observation, Policy, PolicyContext, copied

LIBERO_PROPRIO = {"eef_pos": 3, "eef_quat": 4, "gripper_qpos": 2, "joint_pos": 7}
"""Name -> size of LIBERO's vectors of the robot's state."""


def check_policy(
    build: Callable[[], Policy] | str,
    context: PolicyContext | None = None,
    observations: Sequence[Observation] | None = None,
) -> None:
    """Raises PolicyError naming the first promise of `Policy` that is broken.

    Members, shapes; the same chunk whatever the rest of the batch and its order, and whether other episodes run in between; a
    reset at decision 0; equal chunks of two policies built alike; seeds that matter only for `stochastic`; inputs of only what
    `observation_spec` names, none of them written to.

    Args:
        build: builds a fresh policy at each call; or a value of `--policy`, like `my_policy.py:Mine`.
        context: argument of `setup`; None for LIBERO's.
        observations: first decisions (`decision` 0) of at least two episodes, and optionally later ones of them (by default the
            first observation is repeated); None for noise of LIBERO's shapes.
    """
    build = _builder(build)
    policy = build()
    context = context or _libero()
    _check_declarations(policy, context)
    given = [_restricted(one, policy.observation_spec) for one in observations or _noise(policy.observation_spec, context)]
    first = [one for one in given if one.decision == 0]
    policy.setup(context)
    try:
        _check_fingerprint(policy)
        together = _act(policy, context, first)
        for observation in first:
            policy.end_episode(observation.key)
        alone = [_act(policy, context, [observation])[0] for observation in first]
        _check_equal(together, alone, "a row's chunk depends on its neighbours in the batch, or on earlier calls")
        for observation in first:
            policy.end_episode(observation.key)
        _check_episodes(policy, context, first, [one for one in given if one.decision])
    finally:
        policy.close()
    other = build()
    other.setup(context)
    try:
        _check_equal(together, _act(other, context, first), "two policies built alike return different chunks")
        if not other.stochastic:
            reseeded = _act(other, context, [_reseeded(one) for one in first])
            _check_equal(together, reseeded, "it is not `stochastic`, and its chunk depends on the seed")
    finally:
        other.close()


TURNS = (((0, 0),), ((1, 0), (0, 1)), ((2, 0),), ((1, 1),), ((0, 2), (2, 1)), ((2, 2),), ((1, 2),))
"""Batches of (episode, decision): three episodes begin one after the other and alternate, in changing rows and batches."""


def _check_episodes(policy: Policy, context: PolicyContext, first: Sequence[Observation], later: Sequence[Observation]) -> None:
    """Raises PolicyError where an episode's decisions depend on other episodes that run at the same time."""
    known = {(one.key, one.decision): one for one in later}
    episodes = [_alone(policy, context, one, known) for one in first[:3]]
    for batch in TURNS:
        due = [(number, decision) for number, decision in batch if number < len(episodes)]
        expected = [episodes[number][decision] for number, decision in due]
        if not expected:
            continue
        chunks = _act(policy, context, [one for one, _ in expected], ", while several episodes ran in turns")
        _check_equal(chunks, [chunk for _, chunk in expected], MIXED)
        for number, decision in due:
            if decision == 2 and number == 0:  # one ends, and the others continue
                policy.end_episode(episodes[number][0][0].key)
    one, chunk = episodes[-1][0]
    _check_equal(_act(policy, context, [one]), [chunk], "an episode that begins again (decision 0) is not reset")
    for own in episodes:
        policy.end_episode(own[0][0].key)


MIXED = (
    "the chunk of an episode's later decision depends on the other episodes that run at the same time: keep state by "
    "observation.key, reset it at decision 0, and drop it in end_episode for that key alone"
)


def _alone(
    policy: Policy, context: PolicyContext, first: Observation, known: Mapping[tuple[str, int], Observation]
) -> list[tuple[Observation, ActionChunk]]:
    """Three decisions of one episode, with no other in between, and the chunks."""
    found: list[tuple[Observation, ActionChunk]] = []
    one = first
    for decision in range(3):
        step = one.step + len(found[-1][1].actions[: context.protocol.replan_steps]) if found else one.step
        one = known.get((first.key, decision), replace(first, decision=decision, step=step))
        found.append((one, _act(policy, context, [one], f" at decision {decision} of an episode")[0]))
    policy.end_episode(first.key)
    return found


def _builder(build: Callable[[], Policy] | str) -> Callable[[], Policy]:
    from .registry import complete, load

    return partial(load, build, {}) if isinstance(build, str) else lambda: complete(build())


def _check_declarations(policy: Policy, context: PolicyContext) -> None:
    if unknown := set(policy.observation_spec.cameras) - set(CAMERAS):
        raise PolicyError(f"observation_spec names cameras that no suite has: {', '.join(sorted(unknown))}")
    declared = policy.action_spec_under(context.protocol)
    if declared is not None and len(declared) != context.action_size:
        raise PolicyError(f"action_spec declares {len(declared)} numbers, actions have {context.action_size}")


def _libero() -> PolicyContext:
    from ..envs import protocols

    return PolicyContext(protocols.get("libero/openvla"), ("libero_goal",), 7)


def _noise(observation_spec: ObservationSpec, context: PolicyContext) -> list[Observation]:
    """First decisions of three episodes, with images and vectors sampled from their keys."""
    specs = [
        EpisodeSpec(context.suites[0] if context.suites else "suite", task, 0, 0, context.protocol.name) for task in range(3)
    ]
    return [
        Observation(spec, 0, 0, f"do task {spec.task_id}", _noise_observation(spec, observation_spec, context)) for spec in specs
    ]


def _noise_observation(spec: EpisodeSpec, observation_spec: ObservationSpec, context: PolicyContext) -> EnvObservation:
    rng = np.random.default_rng(spec.entropy("check"))
    side = observation_spec.image_size or context.protocol.image_size
    images = {camera: rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for camera in observation_spec.cameras}
    return EnvObservation(images=images, proprio={name: rng.normal(size=size) for name, size in LIBERO_PROPRIO.items()})


def _restricted(one: Observation, observation_spec: ObservationSpec) -> Observation:
    """The read-only observation that an environment would give to a policy of that specification."""
    observation = one.env_observation
    images = {camera: _locked(image) for camera, image in observation.images.items() if camera in observation_spec.cameras}
    proprio = {name: _locked(vector) for name, vector in observation.proprio.items()} if observation_spec.proprio else {}
    return replace(
        one,
        env_observation=EnvObservation(
            images=images, proprio=proprio, privileged=observation.privileged if observation_spec.privileged else {}
        ),
    )


def _locked(array: np.ndarray) -> np.ndarray:
    """A copy that cannot be made writeable, like an environment's."""
    return np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)


def _fresh(observation: EnvObservation) -> EnvObservation:
    parts = (observation.images, observation.proprio)
    images, proprio = ({name: _locked(array) for name, array in part.items()} for part in parts)
    return replace(observation, images=images, proprio=proprio)


def _unchanged(before: EnvObservation, now: EnvObservation) -> bool:
    pairs = ((before.images, now.images), (before.proprio, now.proprio))
    return all(a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a) for a, b in pairs)


def _reseeded(one: Observation) -> Observation:
    return replace(one, spec=replace(one.spec, seed=one.spec.seed + 1))


def check_chunk(chunk: ActionChunk, action_size: int) -> None:
    """Raises PolicyError where a chunk is not [at least one step, action_size] finite float64."""
    if not isinstance(chunk, ActionChunk):
        raise PolicyError(f"act must return ActionChunk, not {type(chunk).__name__}")
    actions = chunk.actions
    if not isinstance(actions, np.ndarray) or actions.dtype != np.float64:
        raise PolicyError(f"actions must be a float64 array, not {getattr(actions, 'dtype', type(actions).__name__)}")
    if actions.ndim != 2 or len(actions) == 0 or actions.shape[1] != action_size:
        raise PolicyError(f"actions must be [at least 1 step, {action_size}], not {list(actions.shape)}")
    if not np.isfinite(actions).all():
        raise PolicyError("actions must be finite; they contain NaN or infinity")


def _act(policy: Policy, context: PolicyContext, observations: Sequence[Observation], when: str = "") -> list[ActionChunk]:
    """Copies of the chunks. Each observation has its own arrays, which must be unchanged afterwards. `when`: for errors."""
    inputs = [replace(one, env_observation=_fresh(one.env_observation)) for one in observations]
    try:
        chunks = [copied(chunk) for chunk in policy.act(inputs)]
    except (KeyError, IndexError, ValueError) as error:
        raise PolicyError(
            f"act raised {type(error).__name__}: {error}{when}. It receives what observation_spec names, no more, read-only"
        ) from error
    if not all(_unchanged(one.env_observation, now.env_observation) for one, now in zip(observations, inputs, strict=True)):
        raise PolicyError("it writes into its observation, which is read-only: copy an image before changing it")
    if len(chunks) != len(observations):
        raise PolicyError(f"act returned {len(chunks)} chunks for {len(observations)} observations")
    for chunk in chunks:
        check_chunk(chunk, context.action_size)
    return chunks


def _check_equal(left: Sequence[ActionChunk], right: Sequence[ActionChunk], broken: str) -> None:
    if not all(np.array_equal(a.actions, b.actions) for a, b in zip(left, right, strict=True)):
        raise PolicyError(broken)


def _check_fingerprint(policy: Policy) -> None:
    try:
        json.dumps(policy.fingerprint(), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PolicyError(f"fingerprint must be JSON-able: {error}") from None
