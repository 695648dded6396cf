"""The policy contract as a check that anybody can run on their own policy, in a test or by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from ..envs.base import EnvObservation, EpisodeSpec, ObservationSpec
from ..envs.errors import PolicyError
from .base import ActionChunk, Observation, Policy, PolicyContext, copied

LIBERO_PROPRIO = {"eef_pos": 3, "eef_quat": 4, "gripper_qpos": 2, "joint_pos": 7}
"""Name -> numbers of what LIBERO shows of the robot."""


def check_policy(
    build: Callable[[], Policy] | str,
    context: PolicyContext | None = None,
    observations: Sequence[Observation] | None = None,
) -> None:
    """Raises PolicyError naming the first promise of `Policy` that is broken.

    Shapes, the same answer whatever the company and the order, the same decisions of an episode whether others are played in
    between or not, a fresh start at decision 0, two policies built alike answering alike, seeds that decide nothing unless
    `stochastic`, nothing looked at beyond `needs`, nothing written into what is shown.

    Args:
        build: makes a fresh policy each time; or what `--policy` takes, like `my_policy.py:Mine`.
        context: what `start` is given; None for LIBERO's.
        observations: first decisions (`decision` 0) of at least two episodes, and later ones of them where there are some
            (without, their first views are shown again); None for noise of LIBERO's shapes.
    """
    build = _builder(build)
    policy = build()
    _check_needs(policy.observation_spec)
    context = context or _libero()
    given = [_restricted(one, policy.observation_spec) for one in observations or _noise(policy.observation_spec, context)]
    shown = [one for one in given if one.decision == 0]
    policy.setup(context)
    try:
        _check_fingerprint(policy)
        together = _ask(policy, context, shown)
        for observation in shown:
            policy.end_episode(observation.key)
        alone = [_ask(policy, context, [observation])[0] for observation in shown]
        _check_equal(together, alone, "a row's answer depends on its neighbours in the batch, or on what was asked before")
        for observation in shown:
            policy.end_episode(observation.key)
        _check_episodes(policy, context, shown, [one for one in given if one.decision])
    finally:
        policy.close()
    other = build()
    other.setup(context)
    try:
        _check_equal(together, _ask(other, context, shown), "two policies built alike answer differently")
        if not other.stochastic:
            reseeded = _ask(other, context, [_reseeded(one) for one in shown])
            _check_equal(together, reseeded, "it is not `stochastic`, and its answer depends on the seed")
    finally:
        other.close()


TURNS = (((0, 0),), ((1, 0), (0, 1)), ((2, 0),), ((1, 1),), ((0, 2), (2, 1)), ((2, 2),), ((1, 2),))
"""Batches of (episode, decision): three episodes begin one after the other and take turns, in changing rows and company."""


def _check_episodes(policy: Policy, context: PolicyContext, first: Sequence[Observation], later: Sequence[Observation]) -> None:
    """Raises PolicyError where an episode's decisions depend on other episodes that are played at the same time."""
    known = {(one.key, one.decision): one for one in later}
    episodes = [_alone(policy, context, one, known) for one in first[:3]]
    for batch in TURNS:
        due = [(number, decision) for number, decision in batch if number < len(episodes)]
        asked = [episodes[number][decision] for number, decision in due]
        if not asked:
            continue
        answers = _ask(policy, context, [one for one, _ in asked], ", while several episodes were played in turns")
        _check_equal(answers, [chunk for _, chunk in asked], MIXED)
        for number, decision in due:
            if decision == 2 and number == 0:  # one ends, and the others go on
                policy.end_episode(episodes[number][0][0].key)
    one, chunk = episodes[-1][0]
    _check_equal(_ask(policy, context, [one]), [chunk], "an episode that begins again (decision 0) is not begun anew")
    for own in episodes:
        policy.end_episode(own[0][0].key)


MIXED = (
    "the answer to an episode's later decision depends on the other episodes that are played at the same time: keep what is "
    "remembered by observation.key, begin it anew at decision 0, and drop it in forget for that key alone"
)


def _alone(
    policy: Policy, context: PolicyContext, first: Observation, known: Mapping[tuple[str, int], Observation]
) -> list[tuple[Observation, ActionChunk]]:
    """Three decisions of one episode, asked with no other in between, and the answers."""
    found: list[tuple[Observation, ActionChunk]] = []
    one = first
    for decision in range(3):
        step = one.step + len(found[-1][1].actions[: context.protocol.replan_steps]) if found else one.step
        one = known.get((first.key, decision), replace(first, decision=decision, step=step))
        found.append((one, _ask(policy, context, [one], f" at decision {decision} of an episode")[0]))
    policy.end_episode(first.key)
    return found


def _builder(build: Callable[[], Policy] | str) -> Callable[[], Policy]:
    if not isinstance(build, str):
        return build
    from .registry import load

    return partial(load, build, {})


def _check_needs(observation_spec: ObservationSpec) -> None:
    if unknown := set(observation_spec.cameras) - {"primary", "wrist"}:
        raise PolicyError(f"needs names cameras that no suite has: {', '.join(sorted(unknown))}")


def _libero() -> PolicyContext:
    from ..envs import protocols

    return PolicyContext(protocols.get("libero/openvla"), ("libero_goal",), 7)


def _noise(observation_spec: ObservationSpec, context: PolicyContext) -> list[Observation]:
    """First decisions of three episodes, with pictures and vectors drawn from their keys."""
    specs = [
        EpisodeSpec(context.suites[0] if context.suites else "suite", task, 0, 0, context.protocol.name) for task in range(3)
    ]
    return [Observation(spec, 0, 0, f"do task {spec.task_id}", _noisy_view(spec, observation_spec, context)) for spec in specs]


def _noisy_view(spec: EpisodeSpec, observation_spec: ObservationSpec, context: PolicyContext) -> EnvObservation:
    rng = np.random.default_rng(spec.entropy("check"))
    side = observation_spec.image_size or context.protocol.image_size
    images = {camera: rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for camera in observation_spec.cameras}
    return EnvObservation(images=images, proprio={name: rng.normal(size=size) for name, size in LIBERO_PROPRIO.items()})


def _restricted(one: Observation, observation_spec: ObservationSpec) -> Observation:
    """What a world would show to a policy of such needs, and not let it change."""
    view = one.env_observation
    images = {camera: _locked(image) for camera, image in view.images.items() if camera in observation_spec.cameras}
    proprio = {name: _locked(vector) for name, vector in view.proprio.items()} if observation_spec.proprio else {}
    return replace(
        one,
        env_observation=EnvObservation(
            images=images, proprio=proprio, privileged=view.privileged if observation_spec.privileged else {}
        ),
    )


def _locked(array: np.ndarray) -> np.ndarray:
    """A copy that cannot be made writeable, as a world's are."""
    return np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)


def _fresh(view: EnvObservation) -> EnvObservation:
    images, proprio = ({name: _locked(array) for name, array in part.items()} for part in (view.images, view.proprio))
    return replace(view, images=images, proprio=proprio)


def _as_shown(before: EnvObservation, now: EnvObservation) -> bool:
    pairs = ((before.images, now.images), (before.proprio, now.proprio))
    return all(a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a) for a, b in pairs)


def _reseeded(one: Observation) -> Observation:
    return replace(one, spec=replace(one.spec, seed=one.spec.seed + 1))


def check_chunk(chunk: ActionChunk, action_size: int) -> None:
    """Raises PolicyError where an answer is not [at least one step, action_size] finite float64."""
    if not isinstance(chunk, ActionChunk):
        raise PolicyError(f"act must answer ActionChunk, not {type(chunk).__name__}")
    actions = chunk.actions
    if not isinstance(actions, np.ndarray) or actions.dtype != np.float64:
        raise PolicyError(f"actions must be a float64 array, not {getattr(actions, 'dtype', type(actions).__name__)}")
    if actions.ndim != 2 or len(actions) == 0 or actions.shape[1] != action_size:
        raise PolicyError(f"actions must be [at least 1 step, {action_size}], not {list(actions.shape)}")
    if not np.isfinite(actions).all():
        raise PolicyError("actions must be finite; there is a NaN or infinity among them")


def _ask(policy: Policy, context: PolicyContext, observations: Sequence[Observation], when: str = "") -> list[ActionChunk]:
    """Its answers, copied; each question shows arrays of its own, which must be as they were afterwards. `when`: for errors."""
    shown = [replace(one, env_observation=_fresh(one.env_observation)) for one in observations]
    try:
        chunks = [copied(chunk) for chunk in policy.act(shown)]
    except (KeyError, IndexError, ValueError) as error:
        raise PolicyError(
            f"act raised {type(error).__name__}: {error}{when}. It is shown what `needs` names, no more, and must not change it"
        ) from error
    if not all(_as_shown(one.env_observation, now.env_observation) for one, now in zip(observations, shown, strict=True)):
        raise PolicyError("it writes into what it is shown, which it must not change: copy a picture before drawing on it")
    if len(chunks) != len(observations):
        raise PolicyError(f"act answered {len(chunks)} chunks to {len(observations)} observations")
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
