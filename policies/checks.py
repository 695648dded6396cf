"""The policy contract as a check that anybody can run on their own policy, in a test or by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np

from .base import ActionChunk, Observation, Policy, PolicyContext, PolicyError


def check_policy(build: Callable[[], Policy], context: PolicyContext, observations: Sequence[Observation]) -> None:
    """Raises PolicyError naming the first promise of `Policy` that is broken.

    Args:
        build: makes a fresh policy each time.
        context: what `start` is given.
        observations: first decisions (`decision` 0) of at least two episodes.
    """
    policy = build()
    policy.start(context)
    try:
        _check_fingerprint(policy)
        together = _ask(policy, context, observations)
        for observation in observations:
            policy.forget(observation.key)
        alone = [_ask(policy, context, [observation])[0] for observation in observations]
    finally:
        policy.close()
    _check_equal(together, alone, "a row's answer depends on its neighbours in the batch, or on what was asked before")
    other = build()
    other.start(context)
    try:
        _check_equal(together, _ask(other, context, observations), "two policies built alike answer differently")
    finally:
        other.close()


def check_chunk(chunk: ActionChunk, action_size: int) -> None:
    """Raises PolicyError where an answer is not [at least one step, action_size] finite float64."""
    actions = chunk.actions
    if not isinstance(actions, np.ndarray) or actions.dtype != np.float64:
        raise PolicyError(f"actions must be a float64 array, not {getattr(actions, 'dtype', type(actions).__name__)}")
    if actions.ndim != 2 or len(actions) == 0 or actions.shape[1] != action_size:
        raise PolicyError(f"actions must be [at least 1 step, {action_size}], not {list(actions.shape)}")
    if not np.isfinite(actions).all():
        raise PolicyError("actions must be finite; there is a NaN or infinity among them")


def _ask(policy: Policy, context: PolicyContext, observations: Sequence[Observation]) -> list[ActionChunk]:
    chunks = list(policy.act(observations))
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
