"""SimplerEnv's tasks as an `Env` on SAPIEN 3: any episode of the grid, one at a time, in this process."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...base import Env, EnvObservation, EnvOptions, EpisodeSpec, ObservationSpec, Reset, SimulationError
from ...errors import SuiteError
from ...moments import Moment, Roles
from ...paths import cache_home
from ...perturbations import language
from ...protocols import EvalProtocol
from ..grid import EpisodeSetup
from ..moments import MomentReader
from ..other_tasks import BothGoals, other_setups
from ..placements import objects
from ..rules import SuccessRule, current_instruction, make_rule, measures
from ..setup import setup_of
from ..widowx_grid import in_environment
from . import privileged
from .cabinet import DRAWERS
from .controllers import Controller, DriveTargets
from .kinematics import pose7
from .render import SimplerRenderer
from .robot import HEAD_TILT, HEAD_TILTS, START
from .sapien2.process import PhysicsProcess
from .sapien2.scene import RemotePhysics
from .sapien2.scene_widowx import RemoteWidowXPhysics
from .scene import SimplerScene
from .settling import ObjectSettler, SettledObjects, place_objects
from .solver import CONTROL_SOLVER
from .widowx.physics import WidowXPhysics
from .widowx.settling import WidowXSettler

SAPIEN2 = "sapien2"
"""Name of the backend."""
ACTION_SIZE = 7
"""x y z (m), axis-angle (rad) of the end effector in the axes of the robot's root, gripper (relative, > 0 closes)."""
INITIAL_OPENING = 0.2
"""Travel (m) of the drawer to be closed at the start."""


class PhysicsScene:
    """Simulation of one episode: scene, controllers, success rule."""

    def __init__(self, pack: Path, setup: EpisodeSetup, settled: SettledObjects, qpos: np.ndarray) -> None:
        """Start from settled objects and joint positions (`qpos`, [11] rad, order of `robot.JOINTS`)."""
        self.setup = setup
        self.scene = SimplerScene(pack, setup.configuration, CONTROL_SOLVER)
        self.robot = self.scene.add_robot()
        place_objects(self.scene, objects(setup), settled)
        self.robot.place(setup.robot, qpos)
        if self.scene.cabinet and any(drawers := start_drawers(setup)):
            self.scene.cabinet.place(np.array(drawers))
        self._controller = Controller(self.robot)
        self.drive: DriveTargets | None = None
        """Drive targets of the last control step."""
        self.now = self.scene.snapshot()
        """What the last control step, or the start, left: success and moments read the same snapshot."""
        self.rule: SuccessRule = make_rule(setup, self.now)

    def step(self, action: np.ndarray) -> bool:
        """Execute one control step; whether the task succeeds after it. Raises SimulationError if a number is not finite."""
        if not np.isfinite(action).all():
            raise SimulationError(f"the action has a number that is not finite: {action}")
        self.drive = self._controller.plan(action, squeezing=self.scene.is_squeezing())
        self.scene.step(self.drive)
        if not np.isfinite(self.scene.state()).all():
            raise SimulationError("the simulation became unstable: a position or velocity is not finite")
        self.now = self.scene.snapshot()
        return self.rule.step(self.now)


def start_position(setup: EpisodeSetup) -> np.ndarray:
    """[11] joint positions (rad) at the start of an episode; the camera variants tilt the head."""
    position = np.array(START)
    for camera, tilt in HEAD_TILTS.items():
        if camera in setup.configuration.env_id:
            position[HEAD_TILT] = tilt
    return position


def start_drawers(setup: EpisodeSetup) -> list[float]:
    """[3] travel (m) of the drawers at the start of an episode."""
    target = setup.configuration.subtask if setup.configuration.task == "close_drawer" else ""
    return [INITIAL_OPENING if drawer == target else 0.0 for drawer in DRAWERS]


Physics = PhysicsScene | WidowXPhysics | RemotePhysics | RemoteWidowXPhysics
"""Simulation of one episode."""


class SapienEnv(Env):
    """See `envs.base.Env` for the contract. Every episode builds a new scene (see `scene`)."""

    action_size = ACTION_SIZE

    def __init__(self, options: EnvOptions) -> None:
        """`options.assets`: folder that contains `ManiSkill2_real2sim`, upstream's or one of equal layout.

        `options.backend`: `sapien2` runs the physics on SAPIEN 2.2.2 (see `sapien2`), anything else on SAPIEN 3.
        """
        self._pack = Path(options.assets)
        if not (self._pack / "ManiSkill2_real2sim").is_dir():
            raise SuiteError(f"ManiSkill2_real2sim not found in the asset folder {self._pack}. Type: nora-bench assets list")
        self._renderer = None if options.gl == "none" else SimplerRenderer(self._pack, options.gl)
        self._settler, self._widowx_settler = ObjectSettler(self._pack), WidowXSettler(self._pack)
        cache = Path(options.cache) if options.cache else cache_home()
        self._process = PhysicsProcess(cache) if options.backend == SAPIEN2 else None
        self._physics: Physics | None = None
        self._render_s = 0.0
        self._spec = ObservationSpec()
        self._observation = EnvObservation()

    @property
    def physics(self) -> Physics:
        """Simulation of the current episode. Raises SuiteError before the first reset."""
        if self._physics is None:
            raise SuiteError("the environment has no episode yet: call reset first")
        return self._physics

    def reset(self, spec: EpisodeSpec, protocol: EvalProtocol, observation_spec: ObservationSpec) -> Reset:
        """Build the episode's scene from the spec alone, objects settled, observe once."""
        setup = setup_of(spec)
        self._physics = self._build(setup, protocol)
        if language.level_of(spec) == language.WRONG:
            self._physics.rule = BothGoals(self._physics.rule, language.pick(spec, language.WRONG, other_setups(setup)))
        self._spec, self._render_s = observation_spec, 0.0
        self._moments = MomentReader(self._physics.setup, tuple(self._physics.scene.objects))
        self._closing = self._success = False
        renderer = self._renderer.prepare(self._physics.setup) if observation_spec.cameras and self._renderer else ""
        self._observe(first=True)
        scene = self._physics.scene
        poses = {name: pose7(body.entity_pose).tolist() for name, body in scene.objects.items()}
        return Reset(np.array([scene.state()]), poses, render_s=self._render_s, renderer=renderer)

    def _build(self, setup: EpisodeSetup, protocol: EvalProtocol) -> Physics:
        """The simulation of an episode, objects settled."""
        if setup.configuration.is_widowx:
            setup, absolute = in_environment(setup, protocol.environment), protocol.environment.get("control") == "absolute"
            if self._process:
                return RemoteWidowXPhysics(self._process, self._pack, setup, absolute=absolute)
            return WidowXPhysics(self._pack, setup, self._widowx_settler.settle(setup), absolute=absolute)
        if self._process:
            return RemotePhysics(self._process, self._pack, setup, start_position(setup), start_drawers(setup))
        return PhysicsScene(self._pack, setup, self._settler.settle(setup), start_position(setup))

    def step(self, action: np.ndarray, *, observe: bool) -> bool:
        """Execute one control step of 1/3 s (WidowX: 1/5 s); whether the task succeeds after it."""
        success = self._success = self.physics.step(action)
        if action[6] != 0 or self.physics.setup.configuration.is_widowx:  # 0 keeps the Google robot's gripper
            self._closing = bool(action[6] <= 0) if self.physics.setup.configuration.is_widowx else bool(action[6] > 0)
        if observe:
            self._observe()
        return success

    def observation(self) -> EnvObservation:
        """Images, proprioception and privileged state of the last observed step."""
        return self._observation

    def state(self) -> np.ndarray:
        """float64: robot qpos and qvel (11 each), per object pose (7) and velocity (6), drawers qpos and qvel (3 each)."""
        return self.physics.scene.state()

    def render_seconds(self) -> float:
        return self._render_s

    def measures(self) -> dict[str, bool]:
        """Boolean entries of upstream's `episode_stats`, for the record."""
        return measures(self.physics.rule)

    def roles(self) -> Roles:
        return self._moments.roles

    def moment(self) -> Moment:
        robot, scene, now = self.physics.robot, self.physics.scene, self.physics.now
        if not scene.objects:  # a snapshot has the contacts of objects only
            now = replace(now, contacts=scene.contacts())
        gripper = np.array(robot.links[robot.end_effector_link].entity_pose.p, float)
        return self._moments.read(now, gripper, closing=self._closing, success=self._success)

    def close(self) -> None:
        """Forget the episode, and end the process of SAPIEN 2."""
        self._physics = None
        if self._process:
            self._process.close()

    def _observe(self, *, first: bool = False) -> None:
        observation_spec, physics = self._spec, self.physics
        images = {camera: self._render(camera) for camera in observation_spec.cameras}
        state = privileged.privileged_state(physics.scene, physics.robot) if observation_spec.privileged else {}
        if observation_spec.privileged and first:
            state["scene"] = privileged.scene_facts(physics.scene, physics.robot, physics.setup)
        proprio = proprioception(physics) if observation_spec.proprio else {}
        self._observation = EnvObservation(images, proprio, state, current_instruction(physics.rule))

    def _render(self, camera: str) -> np.ndarray:
        if camera != "primary":
            raise SuiteError(f"camera {camera!r} not found: SimplerEnv has only primary")
        if self._renderer is None:
            raise SuiteError("the policy needs images, but this environment was created with gl=none. Type: nora-bench doctor")
        started = time.perf_counter()
        image = self._renderer.render(self.physics.scene)
        self._render_s += time.perf_counter() - started
        return image


def proprioception(physics: Physics) -> dict[str, np.ndarray]:
    """Proprioception in the frame of the robot's root.

    `eef_pos` [3] (m), `eef_quat` [4] (w x y z), `gripper_qpos` [2], `joint_pos`: of the Google robot [11] rad in `robot.JOINTS`
    order, 0 open; of the WidowX [8] rad and m in `widowx.constants.JOINTS` order, 0.037 m open.
    """
    effector, qpos = pose7(physics.robot.end_effector()), physics.robot.qpos()
    return {"eef_pos": effector[:3], "eef_quat": effector[3:], "gripper_qpos": qpos[physics.robot.fingers], "joint_pos": qpos}
