"""Full simulator state as plain arrays, for scripted experts: poses, sites, joints, contacts, shapes, goal.

Everything is current: positions are computed for the current joint values in a scratch copy, so that reading changes nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .memory import mujoco
from .scene import LiberoScene


class PrivilegedState:
    """Reader of the full state of one built task."""

    def __init__(self, scene: LiberoScene) -> None:
        self.scene = scene
        self.scratch = mujoco.MjData(scene.model)

    def read(self) -> dict[str, Any]:
        """World frame, m: `body_pose` [bodies, 7] (x y z, qw qx qy qz), `site_pos` [sites, 3], `site_mat` [sites, 9],
        `time` (s), `qpos`, `qvel`, `seen_qpos` (`qpos` of LIBERO's observation at this moment, two substeps old),
        `contacts` [contacts, 2] (geom indices)."""
        model, live, data = self.scene.model, self.scene.data, self.scratch
        data.qpos[:] = live.qpos
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_collision(model, data)
        return {
            "body_pose": np.concatenate([data.xpos, data.xquat], axis=1),
            "site_pos": data.site_xpos.copy(),
            "site_mat": data.site_xmat.copy(),
            "time": float(live.time),
            "qpos": live.qpos.copy(),
            "qvel": live.qvel.copy(),
            "seen_qpos": self.scene.seen_qpos.copy(),
            "contacts": np.array(data.contact.geom, np.int32).reshape(-1, 2),
        }

    def scene_facts(self) -> dict[str, Any]:
        """Constants of an episode: names, joints, collision and visual shapes, objects, goal, model."""
        model, inner = self.scene.model, self.scene.inner
        problem = inner.parsed_problem
        return {
            "bodies": [model.body(i).name for i in range(model.nbody)],
            "body_parent": model.body_parentid.tolist(),
            "sites": [model.site(i).name for i in range(model.nsite)],
            "site_body": model.site_bodyid.tolist(),
            "site_size": model.site_size.copy(),
            "joints": [self._joint(i) for i in range(model.njnt)],
            "geoms": self._geoms(),
            "objects": {name: thing.category_name for name, thing in inner.objects_dict.items()},
            "fixtures": {name: thing.category_name for name, thing in inner.fixtures_dict.items()},
            "goal": [list(term) for term in problem["goal_state"]],
            "initial": [list(term) for term in problem["initial_state"]],
            "regions": {name: site.parent_name or "" for name, site in inner.object_sites_dict.items()},
            "eef_site": self.scene.robot.gripper.important_sites["grip_site"],
            "robot_base": model.body(self.scene.robot.robot_model.root_body).pos.tolist(),
            "problem": problem["problem_name"],
            "fixture_poses": self.scene.fixture_poses(),
            "model": self.scene.model_xml(),
        }

    def _joint(self, index: int) -> list[Any]:
        model = self.scene.model
        joint = model.joint(index)
        kind = ("free", "ball", "slide", "hinge")[int(model.jnt_type[index])]
        body, axis, span = int(model.jnt_bodyid[index]), model.jnt_axis[index].tolist(), model.jnt_range[index].tolist()
        return [joint.name, kind, int(model.jnt_qposadr[index]), int(model.jnt_dofadr[index]), body, axis, span]

    def _geoms(self) -> dict[str, Any]:
        model = self.scene.model
        fields = {"type": "geom_type", "size": "geom_size", "pos": "geom_pos", "quat": "geom_quat", "body": "geom_bodyid"}
        fields |= {"group": "geom_group", "contype": "geom_contype", "conaffinity": "geom_conaffinity"}
        return {name: np.array(getattr(model, field)) for name, field in fields.items()}
