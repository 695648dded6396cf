"""Suites whose environments fail as ordered (`orders`): the toy of `fakes`, and LIBERO's goals."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fakes
import numpy as np
from nora_bench.envs import packs, suites
from nora_bench.envs.base import (
    AssetPack,
    Env,
    EnvObservation,
    EnvOptions,
    EpisodeSpec,
    EvalProtocol,
    ObservationSpec,
    Reset,
    Suite,
)
from nora_bench.harness.execution import wire

from . import orders

MESH = "mesh.txt"
"""The toy's asset: a number that is part of every state, so that another file gives another trajectory."""
LAST = -1
"""Number of the frame that ends an episode."""


class Breaking:
    """Wrapper of an environment that fails as ordered. See `envs.base.Env` for the contract."""

    def __init__(self, inner: Env) -> None:
        self._inner = inner
        self.action_size = inner.action_size
        self._scene, self._steps, self._broken = "", 0, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def reset(self, spec: EpisodeSpec, protocol: EvalProtocol, observation_spec: ObservationSpec) -> Reset:
        self._scene, self._steps, self._broken = spec.scene, 0, False
        FRAMES.scene, FRAMES.number = spec.scene, 0
        self._break("reset", 0)
        start = self._inner.reset(spec, protocol, observation_spec)
        self._break("reset", 1)
        return start

    def step(self, action: np.ndarray, *, observe: bool) -> bool:
        self._steps += 1
        success = self._inner.step(action, observe=observe)
        self._break("step", self._steps)
        return success

    def observation(self) -> EnvObservation:
        self._break("draw", self._steps)
        return self._inner.observation()

    def state(self) -> np.ndarray:
        state = self._inner.state()
        return np.full_like(state, np.nan) if self._broken else state

    def _break(self, phase: str, at: int) -> None:
        if order := orders.due(phase, self._scene, at):
            if order.deed == "nan":
                self._broken = True
            else:
                orders.DEEDS[order.deed]()


class Toy(fakes.ToyEnv):
    """The toy with an asset."""

    def __init__(self, pack: Path) -> None:
        super().__init__(None)
        self._pack = pack

    def reset(self, spec: EpisodeSpec, protocol: EvalProtocol, observation_spec: ObservationSpec) -> Reset:
        self._mesh = float((self._pack / MESH).read_text())
        return super().reset(spec, protocol, observation_spec)

    def state(self) -> np.ndarray:
        return np.array([self.position, self.hidden, self._mesh])


@dataclass(frozen=True)
class BreakingSuite:
    """Wrapper of a suite whose environments fail as ordered. See `envs.base.Suite` for the contract."""

    inner: Suite

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def make_env(self, options: EnvOptions) -> Env:
        FRAMES.tap()
        if order := orders.due("boot"):
            orders.DEEDS[order.deed]()
        return Breaking(self._open(options))

    def _open(self, options: EnvOptions) -> Env:
        return self.inner.make_env(options)


@dataclass(frozen=True)
class BreakingToy(BreakingSuite):
    """The toy with an asset pack that can be altered."""

    def resolve_assets(self, wanted: str) -> AssetPack:
        folder = Path(os.environ[orders.FOLDER]) / "pack"
        return AssetPack("toy", str(folder), packs.fingerprint(folder))

    def _open(self, options: EnvOptions) -> Env:
        return Toy(Path(options.assets))


class Frames:
    """Frames that a worker sends; breaks the one that the order names."""

    scene, number = "", 0

    def tap(self) -> None:
        """Intercept every frame of this process."""
        whole = wire.Channel.send

        def send(channel: wire.Channel, message: dict[str, Any]) -> None:
            number = LAST if message["type"] == "done" else self.number
            order = orders.due("send", self.scene, number) if self.scene else orders.due("greet")
            self.number += 1
            if order is None:
                return whole(channel, message)
            return self._break(channel, message, order)

        wire.Channel.send = send

    def _break(self, channel: wire.Channel, message: Mapping[str, Any], order: orders.Order) -> None:
        frame = wire.encode(dict(message))
        first = frame[: max(1, int(order.cut * len(frame)))]
        lies = {
            "garbage": first + np.random.default_rng(0).bytes(4096),
            "oversize": struct.pack(">I", (1 << 32) - 1) + frame,
            "stranger": wire.encode({**message, "type": "chunk"}),
            "hollow": wire.encode({"type": message["type"]}),
            "twice": frame + frame,
        }
        channel.socket.setblocking(True)
        channel.socket.sendall(lies.get(order.deed, first))
        if order.deed == "close":
            channel.socket.shutdown(socket.SHUT_RDWR)
        if order.deed == "twice":
            channel.socket.setblocking(False)
            return
        orders.DEEDS.get(order.deed, orders.hang)()


FRAMES = Frames()

toy = BreakingToy(fakes.toy)
libero_goal = BreakingSuite(suites.get("libero_goal"))
