"""The hypotheses that fit a policy and a suite, and what to type for one."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...envs.base import EvalProtocol, Suite
from ...envs.errors import NoraBenchError
from ...policies.adapters import NormStats, unscaled
from ...policies.base import Policy
from ...policies.nora.action_stats import Statistics, norm_stats, published
from ...policies.registry import find
from ...policies.remote.messages import BLOCK
from .corrections import rescaled
from .hypotheses import CHUNKS, FRAME, MOTION, OBSERVATIONS, Hypothesis, euler, gripper_faults, longer_than_trained
from .moments import Moment

MOTION_SIZE = 7
"""Numbers of an action for which translation, rotation and gripper are known: both suites' families."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The diagnosed policy."""

    name: str
    args: Mapping[str, str]
    policy: Policy
    suite: Suite
    protocol: EvalProtocol


def observation_hypotheses(subject: Subject, moments: Sequence[Moment]) -> list[Hypothesis]:
    """Those that change what the policy observes at some of the moments."""
    return [hypothesis for hypothesis in OBSERVATIONS if _fits(hypothesis, subject, moments)]


def _fits(hypothesis: Hypothesis, subject: Subject, moments: Sequence[Moment]) -> bool:
    spec = subject.policy.observation_spec
    if hypothesis.group == "image":
        square = all(image.shape[0] == image.shape[1] for image in moments[0].observation.images.values())
        return bool(spec.cameras) and (square or hypothesis.name not in ("image-rotation-90", "image-rotation-270"))
    if hypothesis.group == "camera":
        return len(spec.cameras) > 1
    seen = moments[0].observation
    if hypothesis.group == "state":
        key = "gripper_qpos" if hypothesis.name == "state-fingers" else "eef_quat"
        return spec.proprio and key in seen.proprio
    assert hypothesis.observe is not None
    return any(hypothesis.observe(moment.observation).instruction != moment.observation.instruction for moment in moments)


def action_hypotheses(subject: Subject, chunk: int, moments: Sequence[Moment], trained: int | None = None) -> list[Hypothesis]:
    """Those that change what the policy answers; `chunk`: its longest answer; `trained`: of `scoring.trained_rows`."""
    dims = subject.suite.action_spec
    if len(subject.protocol.settle_action) != MOTION_SIZE:
        return []
    convention = dims[-1].convention if dims else ""
    out = [*gripper_faults(convention), *MOTION, euler(_unit(subject.suite))]
    if all("eef_quat" in moment.observation.proprio for moment in moments):
        out.append(FRAME)
    if chunk > 1:
        out += CHUNKS
    if trained:
        out.append(longer_than_trained(trained))
    return [*out, *_statistics(subject)]


def _unit(suite: Suite) -> float:
    """Radians of a rotation of 1."""
    unit = suite.action_spec[3].unit if len(suite.action_spec) == MOTION_SIZE else ""
    number = unit.partition(" ")[0]
    try:
        return float(number)
    except ValueError:
        return 1.0


def _statistics(subject: Subject) -> Iterator[Hypothesis]:
    """The statistics that the policy may have meant, instead of those that it seems to use."""
    own = getattr(subject.policy, "statistics", None)
    if isinstance(own, Statistics):
        used, table = own.of(subject.suite.name), {**published(), **own.known}
        order = sorted(table, key=lambda name: (name != subject.suite.name, name not in own.known))
        bounds = _bounds(table)
        yield from _replaced(own.key(subject.suite.name), used, {name: bounds[name] for name in order if name in bounds})
        return
    table = _bounds(published())
    right = table.get(subject.suite.name)
    if right is None:
        return
    name = subject.suite.name
    raw = _motion(unscaled(len(right.low)))
    yield _hypothesis("none", "without statistics", name, raw, _motion(right))
    yield _hypothesis("twice", f"twice with those of {name}", "", _motion(right), raw)
    for other, used in table.items():
        if other != name and not _same(used, right):
            yield _hypothesis(other, f"with those of {other}", name, used, right)


def _replaced(key: str, used: NormStats, table: Mapping[str, NormStats]) -> Iterator[Hypothesis]:
    """One hypothesis for each of the statistics that differ from those in use and from each other, under its first name."""
    seen = [used]
    for name, right in table.items():
        if not any(_same(right, other) for other in seen):
            seen.append(right)
            yield _hypothesis(name, f"with those of {key}", name, used, right)


def _hypothesis(suffix: str, how: str, right_name: str, used: NormStats, right: NormStats) -> Hypothesis:
    """Actions un-normalised `how`; `right_name`: the statistics to use, empty where applying them once is the fix."""
    instead = f", instead of with those of {right_name}" if right_name else ""
    return Hypothesis(
        f"statistics-{suffix}",
        "statistics",
        f"actions are un-normalised {how}{instead}",
        f"un-normalise with the statistics of {right_name}" if right_name else "un-normalise once",
        act=rescaled(used, right),
        touched=slice(0, 6),
        settings={"statistics": right_name, "unnorm_key": right_name} if right_name else {},
    )


def _motion(stats: NormStats) -> NormStats:
    """The same statistics, applied to every number but the gripper."""
    return NormStats(stats.low, stats.high, np.arange(len(stats.low)) < len(stats.low) - 1)


def _bounds(table: Mapping[str, Any]) -> dict[str, NormStats]:
    out = {}
    for name, entry in table.items():
        try:
            stats = norm_stats(name, entry, scaled_gripper=False)
        except NoraBenchError:
            continue
        if len(stats.low) == MOTION_SIZE:
            out[name] = stats
    return out


def _same(one: NormStats, other: NormStats) -> bool:
    return bool(np.allclose(one.low[:6], other.low[:6], atol=0.02) and np.allclose(one.high[:6], other.high[:6], atol=0.02))


def fix(hypothesis: Hypothesis, subject: Subject) -> str:
    """The option to type where the policy has one, else the change of its code."""
    remote, served = "://" in subject.name, _served(subject.policy)
    if setting := _setting(hypothesis, served or subject.name):
        return f"restart the server: nora-bench serve --policy {served} {setting}" if served else f"add {setting}"
    where = f"in the server's code ({subject.name})" if remote else f"in the code of policy {subject.name}"
    return f"{where}: {hypothesis.code}"


def _served(policy: Policy) -> str:
    """Name of the policy behind `nora-bench serve`; empty for others."""
    declared = getattr(policy, "declared", None)
    block = declared.get(BLOCK) if isinstance(declared, Mapping) else None
    return str(block.get("policy") or "") if isinstance(block, Mapping) else ""


def _setting(hypothesis: Hypothesis, name: str) -> str:
    """`--policy-arg name=value` where the policy's constructor has the argument; else empty."""
    try:
        arguments: Mapping[str, Any] = inspect.signature(find(name)).parameters
    except (NoraBenchError, TypeError, ValueError):
        return ""
    known = (f"--policy-arg {option}={value}" for option, value in hypothesis.settings.items() if option in arguments)
    return next(known, "")
