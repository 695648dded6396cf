"""Faults of conventions, planted one at a time in the shipped nano model: does `nora-bench diagnose` rank the right one first?

    python tests/benchmarks/bench_diagnose.py --out diagnose.json

Prints one row per fault. Healthy policies (nano, also on the official pack where there is one; the scripted expert) must get none.
The model is deterministic, so its answers are computed once per input. Moments are recorded once and kept in the cache.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from nora_bench.envs.base import EnvObservation, ObservationSpec
from nora_bench.harness.conventions import corrections as to
from nora_bench.harness.conventions.diagnose import Request, examine, prepare
from nora_bench.policies.adapters import unscaled
from nora_bench.policies.base import ActionChunk, BasePolicy, Observation
from nora_bench.policies.nora.action_stats import norm_stats, published
from nora_bench.policies.nora.nano_policy import BundledNano

WORDS = "What action should the robot take to {}?"


@dataclass(frozen=True)
class Fault:
    """A fault, and the hypotheses that name it."""

    name: str
    right: tuple[str, ...]
    suite: str = "libero_object"
    observe: Callable[[Observation], Observation] | None = None
    act: Callable[[Any, Observation], Any] | None = None
    cameras: tuple[str, ...] = ("primary",)


def model_of(change: Callable[[str], str]) -> Callable[[Observation], Observation]:
    """A model that reads instructions through `change`: right for the inverse's output, nonsense for the plain text."""
    return to.instruction(change)


def unframed(actions: Any, observation: Observation) -> Any:
    """Motion in the end effector's axes, of motion in the world's."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_quat(observation.proprio["eef_quat"]).inv()
    out = actions.copy()
    out[:, :3], out[:, 3:6] = turn.apply(actions[:, :3]), turn.apply(actions[:, 3:6])
    return out


def nearest(image: Any) -> Any:
    """112 pixels by nearest neighbour, enlarged to the former size."""
    step = image.shape[0] / 112
    rows = (np.arange(112) * step).astype(int)
    small = image[rows][:, rows]
    return small.repeat(2, 0).repeat(2, 1)


def with_statistics(name: str) -> Callable[[Any, Observation], Any]:
    """Nano's actions un-normalised with the published statistics of another data set."""
    right = norm_stats("nano", BundledNano().statistics.known["libero_object"], scaled_gripper=False)
    return to.rescaled(right, norm_stats(name, published()[name]) if name else unscaled(7))


def shifted(by: int) -> Callable[[Any, Observation], Any]:
    """The chunk one step early (1, the first action dropped) or late (-1, the first one twice)."""
    return lambda actions, o: actions[1:] if by > 0 else np.concatenate([actions[:1], actions[:-1]])


def late_gripper(actions: Any, observation: Observation) -> Any:
    out = actions.copy()
    out[1:, 6] = actions[:-1, 6]
    return out


def scaled(part: slice, factor: float) -> Callable[[Any, Observation], Any]:
    return to.columns(part, lambda values: factor * values)


T, R = slice(0, 3), slice(3, 6)
FAULTS = (
    Fault("images upside down", ("image-flip-vertical",), observe=to.images(lambda i: i[::-1])),
    Fault("images mirrored", ("image-flip-horizontal",), observe=to.images(lambda i: i[:, ::-1])),
    Fault("images not rotated by 180 degrees", ("image-rotation-180",), observe=to.images(lambda i: i[::-1, ::-1])),
    Fault("images rotated by 90 degrees", ("image-rotation-90",), observe=to.images(lambda i: np.rot90(i, 3))),
    Fault("images rotated by 270 degrees", ("image-rotation-270",), observe=to.images(lambda i: np.rot90(i))),
    Fault("BGR", ("image-channel-order",), observe=to.images(lambda i: i[..., ::-1])),
    Fault("centre crop of a model without", ("image-crop-unwanted",), observe=to.images(to.cropped)),
    Fault("no centre crop of a model with", ("image-crop-missing",), observe=to.images(to.surrounded)),
    Fault("nearest-neighbour resize", ("image-filter",), observe=to.images(nearest)),
    Fault("cameras exchanged", ("camera-swap",), observe=to.swap_cameras, cameras=("primary", "wrist")),
    Fault("instruction in the wrong case", ("instruction-upper-case",), "libero_goal", model_of(str.swapcase)),
    Fault("no prompt template", ("instruction-template",), "libero_goal", model_of(lambda t: t[len(WORDS) - 3 : -1])),
    Fault("task name expected", ("instruction-underscores",), "libero_goal", model_of(lambda t: t.translate({32: "_", 95: " "}))),
    Fault("gripper inverted", ("gripper-sign",), act=to.columns(-1, lambda g: -g)),
    Fault("gripper 0..1, 1 open", ("gripper-0-1-opening",), act=to.columns(-1, lambda g: (1 - g) / 2)),
    Fault("gripper 0..1, 1 closed", ("gripper-0-1-closing",), act=to.columns(-1, lambda g: (1 + g) / 2)),
    Fault("gripper one step late", ("gripper-late",), act=late_gripper),
    Fault("x inverted", ("translation-sign-x",), act=scaled(slice(0, 1), -1)),
    Fault("y inverted", ("translation-sign-y",), act=scaled(slice(1, 2), -1)),
    Fault("z inverted", ("translation-sign-z",), act=scaled(slice(2, 3), -1)),
    Fault("x and y exchanged", ("translation-swap-xy",), act=to.columns((0, 1), lambda a: a[:, ::-1])),
    Fault("translation in metres", ("translation-scale-20",), act=scaled(T, 1 / 20)),
    Fault("translation twice too large", ("translation-scale-1/2",), act=scaled(T, 2.0)),
    Fault("rotation inverted", ("rotation-sign",), act=scaled(R, -1)),
    Fault("rotation in degrees", ("rotation-degrees",), act=scaled(R, 180 / np.pi)),
    Fault("roll and yaw exchanged", ("rotation-order",), act=to.columns(R, lambda a: a[:, ::-1])),
    Fault("motion in the end effector's axes", ("motion-frame",), act=unframed),
    Fault("statistics of bridge_orig", ("statistics-bridge_orig",), act=with_statistics("bridge_orig")),
    Fault("chunk of 20, trained 10", ("chunk-longer-than-10",), act=lambda a, o: np.concatenate([a, a])),
    Fault("chunk reversed", ("chunk-reversed",), act=lambda a, o: a[::-1]),
    Fault("first action dropped", ("chunk-first-dropped",), act=shifted(1)),
    Fault("chunk one step late", ("chunk-late",), act=shifted(-1)),
)


class Faulty(BasePolicy):
    """Nano with a fault; answers are kept by their input."""

    kept: dict[str, dict[bytes, Any]] = {}

    def __init__(self, fault: Fault) -> None:
        self.model, self.fault = BundledNano(), fault
        self.observation_spec = ObservationSpec(cameras=fault.cameras, proprio=fault.act is unframed)
        self.queries = 0

    def setup(self, context: Any) -> None:
        super().setup(context)
        self.model.setup(context)

    def act_one(self, observation: Observation) -> ActionChunk:
        self.queries += 1
        seen = self.fault.observe(observation) if self.fault.observe else observation
        seen = replace(seen, env_observation=EnvObservation({"primary": np.ascontiguousarray(seen.images["primary"])}))
        content = seen.images["primary"].tobytes() + seen.instruction.encode() + seen.spec.suite.encode()
        kept = self.kept.setdefault(seen.spec.suite, {})
        digest = hashlib.sha256(content).digest()
        if digest not in kept:
            kept[digest] = self.model.act([seen])[0].actions
            self.model.end_episode(seen.key)
        actions = kept[digest].copy()
        return ActionChunk(self.fault.act(actions, observation) if self.fault.act else actions)
