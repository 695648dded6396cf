"""A suite whose outcomes are known, and environments and policies that misbehave on order.

The toy environment is a point on a line: it starts at a whole number drawn from the episode's key and succeeds at zero. Each
control step adds the action. It can be told to misbehave: its asset folder may hold `trouble.json`, a list of
`{"kind", "scene", "times"}`; each entry strikes that often, counted in files beside it, so across worker processes.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from nora_bench.envs.base import (
    AssetPack,
    Env,
    EnvObservation,
    EnvOptions,
    EpisodeSpec,
    EvalProtocol,
    ObservationSpec,
    Reset,
    SceneCheckError,
    Suite,
    Task,
)
from nora_bench.envs.errors import SuiteError
from nora_bench.envs.moments import Moment, Roles, Term
from nora_bench.envs.specs import ActionDim
from nora_bench.policies.base import ActionChunk, BasePolicy, Observation

STEPS = 20
"""Budget of the toy protocol."""


def protocol(name: str = "toy/plain", **changes: Any) -> EvalProtocol:
    """The toy protocol, with changes."""
    values: dict[str, Any] = {
        "version": 1,
        "family": "toy",
        "source": "tests",
        "max_steps": {"toy": STEPS, "toy_seeded": STEPS, "toy_looks": STEPS, "toy_looks/go_home_1": STEPS + 1},
        "settle_steps": 2,
        "settle_action": (0.0,),
        "image_size": 8,
        "rotate_180": False,
        "replan_steps": None,
        "success": "any_step",
    }
    return EvalProtocol(name=name, **{**values, **changes})


PROTOCOLS = {
    "toy/plain": protocol(),
    "toy/chunk-end": protocol("toy/chunk-end", success="chunk_end", replan_steps=3),
    "toy/last-step": protocol("toy/last-step", success="last_step"),
    "toy/pushed": protocol("toy/pushed", perturbation={"steps": 5, "rest": 3}),
}


class ToyEnv(Env):
    """See `envs.base.Env` for the contract. Notes every look in `looks`."""

    action_size = 1

    def __init__(self, options: EnvOptions | None = None) -> None:
        self.troubles = Troubles(Path(options.assets)) if options else None
        self.looks: list[bool] = []

    def reset(self, spec: EpisodeSpec, protocol: EvalProtocol, observation_spec: ObservationSpec) -> Reset:
        self.spec, self.observation_spec, self.image_size = (
            spec,
            observation_spec,
            observation_spec.image_size or protocol.image_size,
        )
        self.looks = []
        self.position = float(start_of(spec))
        self.hidden = float(np.random.default_rng(spec.env_seed).normal()) if spec.suite == "toy_seeded" else 0.0
        states = [self.state()]
        for _ in range(protocol.settle_steps):
            self.position += protocol.settle_action[0]
            states.append(self.state())
        self._misbehave("reset")
        return Reset(np.array(states), {"block": [self.hidden] * 7})

    def step(self, action: np.ndarray, *, observe: bool) -> bool:
        self.looks.append(observe)
        self.position += float(action[0])
        self._misbehave("step")
        return self.position == 0

    def observation(self) -> EnvObservation:
        size = self.image_size
        shade = int(abs(self.position)) % 256
        images = {camera: np.full((size, size, 3), shade, np.uint8) for camera in self.observation_spec.cameras}
        return EnvObservation(
            images=images, proprio={"position": np.array([self.position])} if self.observation_spec.proprio else {}
        )

    def state(self) -> np.ndarray:
        return np.array([self.position, self.hidden])

    def render_seconds(self) -> float:
        return 0.0

    def close(self) -> None:
        pass

    def _misbehave(self, phase: str) -> None:
        for kind in self.troubles.strike(phase, self.spec.scene) if self.troubles else ():
            getattr(self, f"_{kind}")()

    def _kill(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _hang(self) -> None:
        time.sleep(3600)

    def _slow(self) -> None:
        time.sleep(0.5)

    def _raise(self) -> None:
        raise RuntimeError("the toy broke")

    def _nan(self) -> None:
        self.position = float("nan")

    def _scene_check(self) -> None:
        raise SceneCheckError("the block stands in the wall")

    def _missing(self) -> None:
        raise SuiteError("a texture is missing")

    def _garbage(self) -> None:
        socket.socket(fileno=int(sys.argv[1])).sendall(b"\x00\x00\x00\x05hello" * 3)
        time.sleep(3600)

    def _chatter(self) -> None:
        print("the toy talks on standard output", flush=True)


class FeltEnv(ToyEnv):
    """The toy environment with moments: the point is the gripper, the home is the object, 0.1 m per step of length 1."""

    def roles(self) -> Roles:
        return Roles(("home",), (Term(wanted=0),))

    def moment(self) -> Moment:
        no = np.array([False])
        gripper = np.array([0.1 * self.position, 0.0, 0.0])
        return Moment(
            gripper, False, np.array([[0, 0, 0, 1.0, 0, 0, 0]]), no, no, np.array([self.position == 0]), np.zeros((1, 3))
        )


def start_of(spec: EpisodeSpec) -> int:
    """Where an episode starts, whatever its seed: 3 to 12 steps of length 1 from success."""
    return 3 + int(replace(spec, seed=0).entropy("start").generate_state(1)[0]) % 10


@dataclass(frozen=True)
class Troubles:
    """What `trouble.json` in the asset folder orders."""

    folder: Path

    def strike(self, phase: str, scene: str) -> Iterator[str]:
        """Kinds of trouble due now."""
        path = self.folder / "trouble.json"
        orders = json.loads(path.read_text()) if self.folder.is_absolute() and path.exists() else []
        for number, order in enumerate(orders):
            if order["phase"] == phase and order.get("scene", scene) == scene and self._left(number, order.get("times", 1)):
                yield order["kind"]

    def _left(self, number: int, times: int) -> bool:
        for count in range(times):
            try:
                (self.folder / f"struck-{number}-{count}").touch(exist_ok=False)
            except FileExistsError:
                continue
            return True
        return False


@dataclass(frozen=True)
class ToySuite(Suite):
    """See `envs.base.Suite` for the contract."""

    name: str
    seeded: bool = False
    looks: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    foreign_backend: str = ""
    family: str = "toy"
    title: str = "Toy"
    default_protocol: str = "toy/plain"
    opengl: bool = False
    cost: Mapping[str, float] = field(default_factory=dict)

    @property
    def tasks(self) -> tuple[Task, ...]:
        names = ((i, f"go_home_{i}", f"go home, number {i}") for i in range(3))
        return tuple(Task(*name, init_states=10, seeded=self.seeded, variants=self.looks, fresh_states=5) for name in names)

    @property
    def protocols(self) -> Mapping[str, EvalProtocol]:
        return PROTOCOLS

    def resolve_assets(self, wanted: str) -> AssetPack:
        return AssetPack("toy", "" if wanted in ("auto", "official") else str(Path(wanted).absolute()), "0123456789abcdef")

    def make_env(self, options: EnvOptions) -> Env:
        for kind in Troubles(Path(options.assets)).strike("start", ""):
            if kind == "missing":
                raise SuiteError("a texture is missing")
            print("the toy cannot start", file=sys.stderr, flush=True)
            os._exit(9)
        return ToyEnv(options)

    def versions(self) -> Mapping[str, str]:
        return {"toy": "1"}


@dataclass(frozen=True)
class LookedAt(ToySuite):
    """Tasks whose variants have different instructions."""

    def instruction(self, spec: EpisodeSpec) -> str:
        return f"go home through the {spec.variant} door"


@dataclass(frozen=True)
class FeltSuite(ToySuite):
    """The toy suite whose environment has moments."""

    def make_env(self, options: EnvOptions) -> Env:
        return FeltEnv(options)


@dataclass(frozen=True)
class Timed(ToySuite):
    """Ten control steps per second, and actions whose meaning is declared."""

    action_spec: tuple[ActionDim, ...] = (ActionDim("dx", "m", "world"),)
    control_hz: float = 10.0


toy = ToySuite("toy")
toy_felt = FeltSuite("toy")
toy_timed = Timed("toy")
toy_seeded = ToySuite("toy_seeded", seeded=True)
toy_looks = LookedAt("toy_looks", looks=("red", "green", "blue"), backends=("here", "abroad"), foreign_backend="abroad")
priced = ToySuite("toy", cost={"step_s": 3.6, "image_s": 36.0, "reset_s": 360.0, "build_s": 3600.0, "worker_gib": 0.5})


class Walk(BasePolicy):
    """Steps of length 1 towards success, `chunk` at a time: succeeds after `start_of(spec)` steps."""

    observation_spec = ObservationSpec(proprio=True)

    def __init__(self, chunk: int = 1) -> None:
        self.chunk_size = chunk

    def act_one(self, observation: Observation) -> ActionChunk:
        position = observation.env_observation.proprio["position"][0]
        return ActionChunk(np.full((self.chunk_size, 1), -np.sign(position)))


class Scribe(Walk):
    """Walks, and writes a line with key and instruction of every observation into the file `note`."""

    def __init__(self, note: Path) -> None:
        super().__init__(chunk=3)
        self.note = Path(note)

    def act_one(self, observation: Observation) -> ActionChunk:
        with self.note.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps([observation.spec.key, observation.instruction]) + "\n")
        return super().act_one(observation)


class Stagger(BasePolicy):
    """Samples from the episode's generator and reads images: shows whether results depend on order or batch."""

    observation_spec = ObservationSpec(cameras=("primary",), proprio=True)
    stochastic = True

    def act(self, observations: Sequence[Observation]) -> Sequence[ActionChunk]:
        return [self._one(observation) for observation in observations]

    def _one(self, observation: Observation) -> ActionChunk:
        shade = float(observation.env_observation.images["primary"][0, 0, 0])
        noise = observation.rng().normal(size=(2, 1))
        return ActionChunk(noise - 0.1 * np.sign(observation.env_observation.proprio["position"][0]) * (1 + shade))


class Wrong(BasePolicy):
    """Returns something that is not a chunk."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def act(self, observations: Sequence[Observation]) -> Sequence[Any]:
        answers: dict[str, Any] = {
            "shape": ActionChunk(np.zeros((1, 3))),
            "empty": ActionChunk(np.zeros((0, 1))),
            "nan": ActionChunk(np.full((1, 1), np.nan)),
            "type": np.zeros((1, 1)),
        }
        if self.kind == "raise":
            raise RuntimeError("out of ideas")
        if self.kind == "leave":
            sys.exit(0)
        if self.kind == "fewer":
            return []
        return [answers[self.kind]] * len(observations)


class Slow(Walk):
    """Walks, and thinks for `pause` seconds before each answer."""

    def __init__(self, pause: float = 0.05) -> None:
        super().__init__()
        self.pause = pause

    def act(self, observations: Sequence[Observation]) -> Sequence[ActionChunk]:
        time.sleep(self.pause)
        return super().act(observations)


class LateWrong(Walk):
    """Walks for twenty calls in all, then answers nonsense."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def act(self, observations: Sequence[Observation]) -> Sequence[ActionChunk]:
        self.count += 1
        return super().act(observations) if self.count <= 20 else [ActionChunk(np.zeros((1, 3)))] * len(observations)


class Mortal(Walk):
    """Walks; the process that holds it dies at the second decision of an episode, once: when there is no `note` yet."""

    def __init__(self, note: Path) -> None:
        super().__init__()
        self.note = note

    def act(self, observations: Sequence[Observation]) -> Sequence[ActionChunk]:
        if observations[0].decision == 1 and not self.note.exists():
            self.note.touch()
            os._exit(1)
        return super().act(observations)


def episode_line(spec: EpisodeSpec, **fields: Any) -> str:
    """A line of `episodes.jsonl` without a checksum: an episode of four steps, with changes."""
    known = ("key", "suite", "task_id", "init_state", "seed", "protocol")
    values = {"task": "t", "instruction": "", "policy": "p", "steps": 4, "decisions": 1, "termination": "success"}
    return json.dumps({**{name: getattr(spec, name) for name in known}, **values, "success": True, **fields}) + "\n"
