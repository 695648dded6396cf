"""The original SimplerEnv (SAPIEN 2.2.2) as an `Env`: upstream's own environments, built and reset as by its evaluator.

Runs in a separate interpreter (docs/reference/simplerenv.md), which needs only numpy and msgpack beside the original; the syntax
stays within Python 3.10. Without rendering no camera is built: physics, rules and random streams stay the same, and no
Vulkan driver is needed.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ...base import Env, EnvObservation, EnvOptions, EpisodeSpec, ObservationSpec, Reset, SceneCheckError
from ...errors import SuiteError
from ...protocols import EvalProtocol
from .. import placements
from ..grid import EpisodeSetup
from ..setup import setup_of

CAMERA = "overhead_camera"
SET_UP = "docs/reference/simplerenv.md says how to set up its interpreter"
_kept_alive: list[Any] = []
"""Scenes without a renderer: SAPIEN 2.2.2 crashes when it destroys one."""


class UpstreamEnv(Env):
    """See `envs.base.Env` for the contract. Every episode builds a new environment, as upstream does."""

    action_size = 7

    def __init__(self, options: EnvOptions) -> None:
        """`options.assets`: a pack in upstream's layout instead of the package's own data; empty for the latter."""
        data = Path(options.assets) / "ManiSkill2_real2sim" / "data"
        if options.assets and data.is_dir():
            os.environ["MS2_REAL2SIM_ASSET_DIR"] = str(data)
        os.environ["DISPLAY"] = ""  # a stale display makes Vulkan fail after some ten environments
        self._blind = options.gl == "none"
        self._assets = import_upstream(blind=self._blind)
        self._env: Any = None
        self._spec = ObservationSpec()
        self._observation = EnvObservation()
        self._statistics: Mapping[str, Any] = {}

    def reset(self, spec: EpisodeSpec, protocol: EvalProtocol, observation_spec: ObservationSpec) -> Reset:
        """Build the episode's environment and reset it once, without a seed. See `begin`."""
        return self.begin(setup_of(spec), observation_spec)

    def begin(self, setup: EpisodeSetup, observation_spec: ObservationSpec) -> Reset:
        """Start any episode, of the grid or not. Raises SceneCheckError if upstream's instruction differs from the grid's."""
        if observation_spec.cameras and self._blind:
            raise SuiteError("the policy needs images, but this environment was created with gl=none. Type: nora-bench doctor")
        gymnasium = import_module("gymnasium")
        self.close()
        self._env = gymnasium.make(setup.configuration.env_id, **self._arguments(setup))
        seen, _ = self._env.reset(options=reset_options(setup))
        upstream, expected = self._bare.get_language_instruction(), placements.instruction(setup)
        if upstream != expected:
            raise SceneCheckError(f"upstream's instruction {upstream!r} differs from the grid's {expected!r}")
        self._spec, self._statistics = observation_spec, {}
        self._observe(seen)
        if observation_spec.privileged:
            self._observation.privileged["scene"] = self._facts(setup)  # type: ignore[index]
        fixtures = {actor.name: pose7(actor.pose).tolist() for actor in self._objects()}
        renderer = "raytraced" if setup.configuration.ray_traced else "raster"
        return Reset(np.array([self.state()]), fixtures, renderer=renderer if observation_spec.cameras else "")

    def step(self, action: np.ndarray, *, observe: bool) -> bool:
        """Execute one control step; upstream renders after every one, requested or not."""
        seen, _, terminated, _, info = self._env.step(np.array(action, np.float64))  # a copy: SciPy rejects arrays from the wire
        self._statistics = info.get("episode_stats", {})
        if observe:
            self._observe(seen)
        return bool(terminated)

    def observation(self) -> EnvObservation:
        return self._observation

    def state(self) -> np.ndarray:
        """float64: robot qpos and qvel (11 each), per object pose (7) and velocity (6), drawers qpos and qvel (3 each)."""
        robot = self._bare.agent.robot
        parts = [robot.get_qpos(), robot.get_qvel()]
        for actor in self._objects():
            parts += [pose7(actor.pose), actor.velocity, actor.angular_velocity]
        if self._cabinet is not None:
            parts += [self._cabinet.get_qpos(), self._cabinet.get_qvel()]
        return np.concatenate(parts).astype(np.float64)

    def measures(self) -> dict[str, bool]:
        """Boolean entries of upstream's `episode_stats`."""
        return {name: bool(value) for name, value in self._statistics.items() if isinstance(value, bool | np.bool_)}

    def render_seconds(self) -> float:
        """Zero: upstream renders inside its steps."""
        return 0.0

    def close(self) -> None:
        """Close the environment."""
        if self._env is not None and self._blind:
            _kept_alive.append(self._env)
        elif self._env is not None:
            self._env.close()
        self._env = None

    @property
    def _bare(self) -> Any:
        return self._env.unwrapped

    @property
    def _cabinet(self) -> Any:
        return getattr(self._bare, "art_obj", None)

    def _objects(self) -> list[Any]:
        """Actors in the order of `placements.objects`."""
        bare = self._bare
        if getattr(bare, "episode_objs", None):
            return list(bare.episode_objs)
        return [bare.obj, *bare.distractor_objs] if getattr(bare, "obj", None) else []

    def _arguments(self, setup: EpisodeSetup) -> dict[str, Any]:
        """Keyword arguments that upstream's evaluator passes to its environments."""
        configuration, overlay = setup.configuration, setup.rgb_overlay
        return {
            **configuration.env_kwargs,
            "obs_mode": "none" if self._blind else "rgbd",
            "robot": configuration.robot,
            "sim_freq": configuration.sim_freq,
            "control_mode": configuration.control_mode,
            "control_freq": configuration.control_freq,
            "max_episode_steps": configuration.max_episode_steps,
            "scene_name": configuration.scene_name,
            "camera_cfgs": None if self._blind else {"add_segmentation": True},
            "rgb_overlay_path": overlay and str(self._assets / "real_inpainting" / overlay),
            "rgb_overlay_cameras": [CAMERA] if overlay else [],
        }

    def _observe(self, seen: Mapping[str, Any]) -> None:
        images = {camera: np.asarray(seen["image"][CAMERA]["rgb"], np.uint8) for camera in self._spec.cameras}
        robot = self._bare.agent.robot
        effector, qpos = pose7(robot.pose.inv() * self._bare.tcp.pose), np.asarray(robot.get_qpos(), np.float64)
        proprio = {"eef_pos": effector[:3], "eef_quat": effector[3:], "gripper_qpos": qpos[7:9], "joint_pos": qpos}
        state = self._privileged_state() if self._spec.privileged else {}
        self._observation = EnvObservation(images, proprio if self._spec.proprio else {}, state, self._changed_instruction())

    def _changed_instruction(self) -> str:
        """Upstream's instruction, where it changes in mid-episode."""
        return self._bare.get_language_instruction() if hasattr(self._bare, "cur_subtask_id") else ""

    def _privileged_state(self) -> dict[str, Any]:
        """Privileged state, as `privileged.privileged_state`."""
        actors = self._objects()
        return {
            "tcp": pose7(self._bare.tcp.pose),
            "qpos": np.asarray(self._bare.agent.robot.get_qpos(), np.float64),
            "objects": np.array([pose7(actor.pose) for actor in actors]).reshape(-1, 7),
            "coms": np.array([(actor.pose * actor.cmass_local_pose).p for actor in actors], np.float64).reshape(-1, 3),
            "drawers": np.asarray([] if self._cabinet is None else self._cabinet.get_qpos(), np.float64),
            "contacts": [[c.actor0.name, c.actor1.name] for c in self._bare._scene.get_contacts()],
        }

    def _facts(self, setup: EpisodeSetup) -> dict[str, Any]:
        """Scene facts, as `privileged.scene_facts`."""
        placed, robot, actors = placements.objects(setup), self._bare.agent.robot, self._objects()
        return {
            "task": setup.configuration.task,
            "subtask": setup.configuration.subtask,
            "joints": [joint.name for joint in robot.get_active_joints()],
            "objects": [actor.name for actor in actors],
            "source": placed.source,
            "target": placed.target,
            "bounds": np.array([bounds(actor) for actor in actors]).reshape(-1, 2, 3),
            "settled": np.array([pose7(actor.pose) for actor in actors]).reshape(-1, 7),
            "robot_base": pose7(robot.pose),
        }


def import_upstream(*, blind: bool) -> Path:
    """Import the package, which registers its environments; its asset folder. Raises SuiteError naming the missing part."""
    try:
        import_module("mani_skill2_real2sim.envs")
        base = import_module("mani_skill2_real2sim.envs.sapien_env").BaseEnv
    except ImportError as error:
        raise SuiteError(f"the original SimplerEnv cannot be imported ({error}); {SET_UP}") from error
    if blind:
        base._setup_cameras = _no_cameras
        base._clear = _keep_scene
    return Path(import_module("mani_skill2_real2sim").ASSET_DIR)


def _no_cameras(env: Any) -> None:
    env._cameras, env._render_cameras = OrderedDict(), OrderedDict()


def _keep_scene(env: Any) -> None:
    """Drop the scene as upstream does, but keep it from being destroyed."""
    _kept_alive.append((getattr(env, "_scene", None), getattr(env, "agent", None)))
    env.agent = env._scene = None
    _no_cameras(env)


def reset_options(setup: EpisodeSetup) -> dict[str, Any]:
    """Options that upstream's evaluator passes to `reset`; a new dict per call, because upstream writes into it."""
    robot = setup.robot
    place = {"episode_id": setup.episode_id} if setup.episode_id is not None else {"init_xy": np.array(setup.obj_xy)}
    pose = {"init_xy": np.array(robot.init_xy), "init_rot_quat": np.array(robot.init_rot_quat_wxyz)}
    return {"robot_init_options": pose, "obj_init_options": place}


def pose7(pose: Any) -> np.ndarray:
    """[7] x y z, qw qx qy qz of a pose of SAPIEN 2."""
    return np.concatenate([pose.p, pose.q]).astype(np.float64)


def bounds(actor: Any) -> np.ndarray:
    """[2, 3] least and greatest corner of the actor's collision shapes in its own frame."""
    corners = []
    for shape in actor.get_collision_shapes():
        local = shape.get_local_pose().to_transformation_matrix()
        corners.append(np.asarray(shape.geometry.vertices) * shape.geometry.scale @ local[:3, :3].T + local[:3, 3])
    every = np.concatenate(corners)
    return np.array([every.min(axis=0), every.max(axis=0)])
