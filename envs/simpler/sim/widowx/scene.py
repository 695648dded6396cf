"""Physics scene of one WidowX episode, without rendering. Metres, seconds; world frame.

While the robot moves the solver is PGS, for settling TGS, upstream's: with each, PhysX 5 comes nearest to the recorded motion
(docs/reference/widowx.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sapien
from sapien import physx

from ...grid import Configuration
from ...widowx_tasks import BASE, DENSITIES, FINGERS, SINK, is_sink
from ..bodies import build_object
from ..pack_files import robot_urdf, stage_mesh
from ..scene import SimplerScene, build_arena
from ..solver import Solver, new_system
from .constants import CONTACT_OFFSET, PHYSICS_HZ, SUBSTEPS
from .robot import WidowXRobot, load_robot

if TYPE_CHECKING:
    from .controller import Command

CONTROL_SOLVER = Solver(iterations=25, persistent=False, tgs=False)
SETTLING_SOLVER = Solver(iterations=25, persistent=False)
LOCKED = [True] * 6


class WidowXScene(SimplerScene):
    """Bodies of one configuration, with upstream's names."""

    def __init__(self, pack: Path, configuration: Configuration, solver: Solver) -> None:
        """Contains table, or floor and sink; robot and objects are added later. `solver`: one of the two above."""
        self.pack, self.configuration = pack, configuration
        self.system = new_system(solver, contact_offset=CONTACT_OFFSET)
        self.scene = sapien.Scene([self.system])
        self.scene.set_timestep(1 / PHYSICS_HZ)
        self.robot: Any = None
        self.objects: dict[str, Any] = {}
        self.cabinet = None
        build_arena(self.scene, stage_mesh(pack, configuration), configuration)

    def add_robot(self) -> WidowXRobot:  # pyright: ignore[reportIncompatibleMethodOverride]  another robot
        """Add the robot, at the origin until it is placed."""
        model = load_robot(robot_urdf(self.pack, self.configuration))
        self.robot = WidowXRobot(model, self.scene, BASE[self.configuration.robot][2])
        return self.robot

    def add_object(self, model: str, *, task_object: bool = True) -> Any:
        """Add a movable object; its rigid body."""
        entity = build_object(self.scene, self.pack, model, density=DENSITIES[model], damped=task_object)
        self.objects[model] = entity.find_component_by_type(physx.PhysxRigidDynamicComponent)
        return self.objects[model]

    def add_sink(self) -> None:
        """Add the basin of the sink set-up, fixed in space; nothing in the other. Upstream adds it after the objects."""
        if is_sink(self.configuration):
            model, place = SINK
            entity = build_object(self.scene, self.pack, model, density=DENSITIES[model], damped=False)
            body: Any = entity.find_component_by_type(physx.PhysxRigidDynamicComponent)
            body.entity_pose = sapien.Pose(place)
            body.set_locked_motion_axes(LOCKED)

    def step(self, drive: Command) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  another robot
        """Execute one control step of 100 physics steps."""
        robot = self.robot
        robot.set_targets(drive.position)
        passive, push, step = robot.body.compute_passive_force, robot.body.set_qf, self.system.step
        for _ in range(SUBSTEPS):
            push(passive())
            step()

    def _openings(self) -> dict[str, np.ndarray]:
        """Finger -> [3] its opening direction (world)."""
        return openings(self.robot.links)


def openings(links: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Finger -> [3] its opening direction (world), of links with an `entity_pose`."""
    return {link: sign * links[link].entity_pose.to_transformation_matrix()[:3, 1] for link, sign in FINGERS.items()}
