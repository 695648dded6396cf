"""Drawer station: a fixed body with three drawers that slide along +x. Metres."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import sapien

from .urdf import PhysicsLoader

DRAWERS = ("top", "middle", "bottom")
"""Order of the drawer joints everywhere."""
POSITION = (-0.295, 0.0, 0.017)
"""World position of the station's root, without rotation."""
FRICTION = 0.05
DAMPING = 1.0


class Cabinet:
    """One station in one scene, drawers closed."""

    def __init__(self, scene: sapien.Scene, urdf: Path) -> None:
        self.body = _builder(urdf).set_scene(scene).build()
        self.links = {link.name: link for link in self.body.links}
        self.parts = {shape: index for link in self.body.links for index, shape in enumerate(link.collision_shapes)}
        """Collision shape -> its index in its link, in the order of the URDF."""
        names = [joint.name for joint in self.body.active_joints]
        self._order = np.array([names.index(f"{drawer}_drawer_joint") for drawer in DRAWERS])
        for joint in self.body.active_joints:
            joint.set_friction(FRICTION)
            joint.set_drive_property(0.0, DAMPING)
        self.body.root_pose = sapien.Pose(POSITION)

    def place(self, out: np.ndarray) -> None:
        """Set the travel of each drawer ([3], m, in the order of DRAWERS), at rest."""
        self.body.qpos = out[np.argsort(self._order)]
        self.body.qvel = np.zeros(len(DRAWERS))

    def qpos(self) -> np.ndarray:
        """[3] float64: travel of each drawer (m)."""
        return self.body.qpos[self._order].astype(np.float64)

    def qvel(self) -> np.ndarray:
        """[3] float64, m/s."""
        return self.body.qvel[self._order].astype(np.float64)


@cache
def _builder(urdf: Path) -> Any:
    return PhysicsLoader().load_file_as_articulation_builder(str(urdf))
