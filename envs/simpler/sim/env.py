"""SimplerEnv's Google-robot tasks as a `Env` on SAPIEN 3: any episode of the grid, one at a time, in this process."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from ...base import Env, EnvObservation, EnvOptions, EpisodeSpec, ObservationSpec, Reset, SimulationError
from ...errors import SuiteError
from ...protocols import EvalProtocol
from ..grid import EpisodeSetup
from ..placements import objects
from ..rules import Rule, make_rule, measures
from ..setup import setup_of
from . import privileged
from .controllers import Controller, Drive
from .kinematics import pose7
from .render import Renderer
from .robot import FINGERS, HEAD_TILT, HEAD_TILTS, START
from .scene import Scene
from .settling import Settled, Settler, lay
from .solver import PLAYING

ACTION_SIZE = 7
"""x y z (m), axis-angle (rad) of the hand in the axes of the robot's root, gripper (relative, > 0 closes)."""
DRAWN_OUT = 0.2
"""How far the drawer to be closed is out at the start (m)."""


class Stage:
    """One episode: its scene, its controllers, its rule."""

    def __init__(self, pack: Path, setup: EpisodeSetup, settled: Settled, qpos: np.ndarray) -> None:
        """From where the objects lie and the joints stand (`qpos`, [11] rad, `robot.JOINTS`)."""
        self.setup = setup
        self.scene = Scene(pack, setup.configuration, PLAYING)
        self.robot = self.scene.add_robot()
        lay(self.scene, objects(setup), settled)
        self.robot.place(setup.robot, qpos)
        if self.scene.cabinet and setup.configuration.task == "close_drawer":
            self.scene.cabinet.open(setup.configuration.subtask, DRAWN_OUT)
        self._controller = Controller(self.robot)
        self.drive: Drive | None = None
        """What the last control step told the drives."""
        self.rule: Rule = make_rule(setup, self.scene.snapshot())

    def step(self, action: np.ndarray) -> bool:
        """One control step; whether the task is done after it. Raises SimulationError where the numbers mean nothing."""
        if not np.isfinite(action).all():
            raise SimulationError(f"the action holds a number that is not finite: {action}")
        self.drive = self._controller.plan(action)
        self.scene.play(self.drive)
        if not np.isfinite(self.scene.state()).all():
            raise SimulationError("the physics exploded: a position or velocity is not finite")
        return self.rule.step(self.scene.snapshot())


def start_position(setup: EpisodeSetup) -> np.ndarray:
    """[11] joint positions (rad) in which an episode begins; the camera looks tilt the head."""
    position = np.array(START)
    for camera, tilt in HEAD_TILTS.items():
        if camera in setup.configuration.env_id:
            position[HEAD_TILT] = tilt
    return position


class SapienEnv(Env):
    """See `envs.base.Env` for the contract. Every episode gets a scene of its own (see `scene`)."""

    action_size = ACTION_SIZE

    def __init__(self, options: EnvOptions) -> None:
        """`options.assets`: folder that holds `ManiSkill2_real2sim`, upstream's or one laid out alike."""
        self._pack = Path(options.assets)
        if not (self._pack / "ManiSkill2_real2sim").is_dir():
            raise SuiteError(f"{self._pack} holds no ManiSkill2_real2sim folder. See: nora-bench assets")
        self._renderer = None if options.gl == "none" else Renderer(self._pack, options.gl)
        self._settler = Settler(self._pack)
        self._stage: Stage | None = None
        self._render_s = 0.0
        self._needs = ObservationSpec()
        self._view = EnvObservation()

    @property
    def stage(self) -> Stage:
        """The episode being played. Raises SuiteError before the first reset."""
        if self._stage is None:
            raise SuiteError("this world has not been reset yet")
        return self._stage

    def reset(self, spec: EpisodeSpec, protocol: EvalProtocol, observation_spec: ObservationSpec) -> Reset:
        """Build the episode's scene from the spec alone, objects settled, look once."""
        setup = setup_of(spec)
        self._stage = Stage(self._pack, setup, self._settler.settle(setup), start_position(setup))
        self._needs, self._render_s = observation_spec, 0.0
        drawn = self._renderer.prepare(self._stage.setup) if observation_spec.cameras and self._renderer else ""
        self._look(first=True)
        scene = self._stage.scene
        poses = {name: pose7(body.entity_pose).tolist() for name, body in scene.objects.items()}
        return Reset(np.array([scene.state()]), poses, render_s=self._render_s, renderer=drawn)

    def step(self, action: np.ndarray, *, observe: bool) -> bool:
        """One control step of 1/3 s; whether the task is done after it."""
        done = self.stage.step(action)
        if observe:
            self._look()
        return done

    def observation(self) -> EnvObservation:
        """Pictures, proprioception and privileged state of the last look."""
        return self._view

    def state(self) -> np.ndarray:
        """float64: robot qpos and qvel (11 each), per object pose (7) and velocity (6), drawers qpos and qvel (3 each)."""
        return self.stage.scene.state()

    def render_seconds(self) -> float:
        """Seconds spent on pictures since the last reset."""
        return self._render_s

    def measures(self) -> dict[str, bool]:
        """The yes-or-no part of upstream's `episode_stats`, for the record."""
        return measures(self.stage.rule)

    def close(self) -> None:
        """Forget the episode."""
        self._stage = None

    def _look(self, *, first: bool = False) -> None:
        observation_spec, stage = self._needs, self.stage
        images = {camera: self._picture(camera) for camera in observation_spec.cameras}
        insight = privileged.now(stage.scene, stage.robot) if observation_spec.privileged else {}
        if observation_spec.privileged and first:
            insight["scene"] = privileged.scene_facts(stage.scene, stage.robot, stage.setup)
        self._view = EnvObservation(
            images=images, proprio=proprioception(stage) if observation_spec.proprio else {}, privileged=insight
        )

    def _picture(self, camera: str) -> np.ndarray:
        if camera != "primary":
            raise SuiteError(f"SimplerEnv's Google robot has no camera {camera!r}, only primary (on its head)")
        if self._renderer is None:
            raise SuiteError("this world was opened without a renderer, and the policy wants pictures")
        began = time.perf_counter()
        picture = self._renderer.picture(self.stage.scene)
        self._render_s += time.perf_counter() - began
        return picture


def proprioception(stage: Stage) -> dict[str, np.ndarray]:
    """The robot as it feels itself, in the frame of its root.

    `eef_pos` [3] (m), `eef_quat` [4] (w x y z), `gripper_qpos` [2] (rad, 0 open), `joint_pos` [11] (rad, `robot.JOINTS`).
    """
    hand, qpos = pose7(stage.robot.hand()), stage.robot.qpos()
    return {"eef_pos": hand[:3], "eef_quat": hand[3:], "gripper_qpos": qpos[FINGERS], "joint_pos": qpos}
