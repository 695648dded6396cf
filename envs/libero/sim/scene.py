"""One built LIBERO task: compiled once, reset and stepped many times.

An episode is a pure function of (task, initial state, seed). `reset` closes LIBERO's leaks between episodes: the fixture
poses (sampled from numpy's global generator, seeded right before), the list of joint samplers (grows only at hard resets,
which are never made), the gripper's running command and the controller (created anew), the sampling clock (see
SAMPLE_SUBSTEP) and the solver's warm start (zeroed). docs/reference/libero.md lists each with its test.
"""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ...base import SimulationError
from ...errors import SuiteError
from ..goal import Goal
from .generator import GlobalGeneratorKept
from .memory import mujoco, release_compiler
from .osc import SUBSTEPS, OscArm
from .problem import with_objects

SAMPLE_SUBSTEP = 23
"""Index of the physics substep of a control step after which LIBERO's observation is taken: joint values are one
substep old when the policy receives them, poses and images two. robosuite's sampling clock has this phase after the two
forced updates of a reset and an initial state; a test runs that clock."""

LIMIT = 1e6
"""Largest joint velocity (m/s, rad/s); beyond it the simulation counts as unstable."""

FATAL = {
    mujoco.mjtWarning.mjWARN_CONTACTFULL: "too many contacts",
    mujoco.mjtWarning.mjWARN_CNSTRFULL: "too many constraints",
    mujoco.mjtWarning.mjWARN_BADQPOS: "bad joint position",
    mujoco.mjtWarning.mjWARN_BADQVEL: "bad joint velocity",
    mujoco.mjtWarning.mjWARN_BADQACC: "bad acceleration",
    mujoco.mjtWarning.mjWARN_BADCTRL: "bad control",
}
"""MuJoCo's warnings after which its numbers are meaningless."""

PARKED = 10.0
"""Height (m) of added objects without a place, and their distance to the side."""


class LiberoScene:
    """A compiled task with its arm and goal, without rendering."""

    def __init__(self, bddl_file: str, added: Sequence[str] = ()) -> None:
        """Build LIBERO's environment (seconds) without a renderer. `added`: categories of one further object each."""
        from libero.libero.envs.env_wrapper import ControlEnv

        gc.collect()  # LIBERO's environments contain reference cycles; this frees hundreds of MB of the last one
        names = {f"{category}_1": category for category in added}
        with GlobalGeneratorKept(), _task_file(bddl_file, names) as path:
            self.env = ControlEnv(
                bddl_file_name=path,
                has_offscreen_renderer=False,
                use_camera_obs=False,
                hard_reset=False,
            )
        release_compiler()
        self.inner: Any = self.env.env
        self.robot: Any = self.inner.robots[0]
        self.model: Any = self.inner.sim.model._model
        self.data: Any = self.inner.sim.data._data
        # Nothing reads the two force sensors, and their stage costs time in every substep.
        self.model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_SENSOR
        self.arm = OscArm(self.model, self.data, self.robot)
        self.goal = Goal(self.inner, self.model, self.data)
        self.fixtures: dict[str, int] = {
            name: self.inner.obj_body_id[name] for name in self.inner.fixtures_dict if name in self.inner.obj_body_id
        }
        self.seen_qpos = np.array(self.data.qpos)
        """Joint positions in LIBERO's latest observation, two substeps old."""
        self.added = tuple(names)
        """Objects that the task does not have."""
        self.task_columns = self._task_columns()
        """[state_size] bool: the numbers of a state that the task's own model has, too, in its order."""
        self.compiled = {body: _compiled_pose(self.inner.model, self.model.body(body).name) for body in self.fixtures.values()}

    @property
    def state_size(self) -> int:
        """Length of a flattened simulator state: time, qpos, qvel."""
        return 1 + self.model.nq + self.model.nv

    def _task_columns(self) -> np.ndarray:
        columns = np.ones(self.state_size, bool)
        for name in self.added:
            columns[self.pose_columns(name)] = False
            speed = 1 + self.model.nq + int(self._joint(name).dofadr[0])
            columns[speed : speed + 6] = False
        return columns

    def _joint(self, name: str) -> Any:
        return self.model.joint(self.inner.objects_dict[name].joints[-1])

    def pose_columns(self, name: str) -> slice:
        """The numbers of a state that are an object's pose: x y z (m), qw qx qy qz."""
        start = 1 + int(self._joint(name).qposadr[0])
        return slice(start, start + 7)

    def widened(self, row: np.ndarray) -> np.ndarray:
        """[state_size] a state of the task's own model as one of this model: the added objects far from everything."""
        wide = np.zeros(self.state_size)
        wide[self.task_columns] = row
        for number, name in enumerate(self.added):
            wide[self.pose_columns(name)] = (PARKED + number, 0.0, PARKED, 1.0, 0.0, 0.0, 0.0)
        return wide

    def reset(self, seed: int) -> None:
        """Sample and place everything with numpy's legacy seed, as `env.seed(seed)` and a hard `env.reset()` do in LIBERO."""
        # Placements inside fixtures use the fixture's pose before sampling: that of a freshly compiled model.
        for body, (position, rotation) in self.compiled.items():
            self.model.body_pos[body], self.model.body_quat[body] = position, rotation
        with GlobalGeneratorKept():
            np.random.seed(seed)
            self.env.reset()
        self.arm.reset(self.robot.controller)

    def set_state(self, row: np.ndarray) -> None:
        """Apply one stored initial state [time, qpos, qvel]; exactly once after `reset`."""
        model, data = self.model, self.data
        data.qacc_warmstart[:] = 0.0
        data.time = row[0]
        data.qpos[:] = row[1 : 1 + model.nq]
        data.qvel[:] = row[1 + model.nq :]
        mujoco.mj_forward(model, data)
        self.seen_qpos[:] = data.qpos

    def step(self, action: np.ndarray, on_sample: Callable[[], None] | None = None) -> None:
        """One control step of 25 substeps; `on_sample` is called at the substep after which LIBERO takes its observation.

        Raises:
            SimulationError: the simulation became unstable.
        """
        for substep in range(SUBSTEPS):
            if substep == SAMPLE_SUBSTEP:
                self.seen_qpos[:] = self.data.qpos
            self.arm.substep(action, first=substep == 0)
            if substep == SAMPLE_SUBSTEP and on_sample is not None:
                on_sample()
        self.check_stable()

    def check_stable(self) -> None:
        """Raise SimulationError if the simulation became unstable or overflowed.

        MuJoCo resets an unstable simulation by itself and continues; only its warning counters show it.
        """
        raised = [name for kind, name in FATAL.items() if self.data.warning[kind].number]
        if raised or not np.abs(self.data.qvel).max() < LIMIT:
            raise SimulationError(f"the simulation became unstable ({', '.join(raised) or 'a velocity beyond bounds'})")

    def state(self) -> np.ndarray:
        """[state_size] float64: time, qpos, qvel."""
        return np.concatenate([[self.data.time], self.data.qpos, self.data.qvel])

    def robot_state(self) -> dict[str, np.ndarray]:
        """The robot's part of LIBERO's observation, at this substep.

        `eef_pos` [3] (m, grip site, world), `eef_quat` [4] (x y z w, hand body, world), `gripper_qpos` [2] (m),
        `joint_pos` [7] (rad).
        """
        data, arm = self.data, self.arm
        w, x, y, z = data.body(self.robot.robot_model.eef_name).xquat
        return {
            "eef_pos": data.site_xpos[arm.site].copy(),
            "eef_quat": np.array([x, y, z, w]),
            "gripper_qpos": data.qpos[self.robot._ref_gripper_joint_pos_indexes].copy(),
            "joint_pos": data.qpos[arm.qpos].copy(),
        }

    def refresh_appearance(self) -> None:
        """Let LIBERO update changes of appearance only (the stove's burner turns red while its knob is on)."""
        self.inner._post_process()

    def fixture_poses(self) -> dict[str, list[float]]:
        """Fixture -> x y z, qw qx qy qz in the world frame (m), as sampled at the last reset."""
        poses = np.concatenate([self.model.body_pos, self.model.body_quat], axis=1)
        return {name: poses[body].tolist() for name, body in self.fixtures.items()}

    def place_fixtures(self, poses: Mapping[str, Sequence[float]]) -> None:
        """Set the fixture poses that `fixture_poses` returned in another process."""
        for name, pose in poses.items():
            body = self.fixtures[name]
            self.model.body_pos[body], self.model.body_quat[body] = pose[:3], pose[3:]

    def model_xml(self) -> str:
        """The task's model as MuJoCo reads it, with the current fixture poses."""
        tree = copy.deepcopy(self.inner.model.root)
        for name, pose in self.fixture_poses().items():
            element = tree.find(f".//body[@name='{self.model.body(self.fixtures[name]).name}']")
            element.set("pos", " ".join(map(repr, pose[:3])))
            element.set("quat", " ".join(map(repr, pose[3:])))
        return ElementTree.tostring(tree, encoding="unicode")


def _compiled_pose(task_model: Any, body: str) -> tuple[np.ndarray, np.ndarray]:
    """Position (m) and quaternion (w x y z) of a fixture as its XML says, which resets overwrite in the compiled model."""
    element = task_model.worldbody.find(f".//body[@name='{body}']")
    if element is None or set(element.attrib) & {"euler", "axisangle", "xyaxes", "zaxis"}:
        raise SuiteError(f"the asset pack's XML does not give the pose of {body} by pos and quat. Type: nora-bench assets verify")
    position = np.array((element.get("pos") or "0 0 0").split(), float)
    return position, np.array((element.get("quat") or "1 0 0 0").split(), float)


@contextmanager
def _task_file(path: str, added: Mapping[str, str]) -> Iterator[str]:
    """The task's file, or a copy with the added objects (name -> category) that is deleted at the end."""
    if not added:
        yield path
        return
    with NamedTemporaryFile("w", suffix=".bddl", encoding="utf-8") as file:
        file.write(with_objects(Path(path).read_text(encoding="utf-8"), added.items()))
        file.flush()
        yield file.name
