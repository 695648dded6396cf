"""Physics scene of one episode, without rendering. Metres, seconds; world frame.

Every episode builds a new scene: that takes milliseconds, because SAPIEN caches cooked meshes, and excludes leftovers of an
earlier episode (contact caches, sleeping bodies, drive targets).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sapien
from sapien import physx

from ..contacts import IMPULSE, SIDES, Contact, Snapshot, impulse_on
from ..grid import Configuration
from .bodies import DENSITY_ON_TABLE, build_object, contact_offset
from .cabinet import DRAWERS, Cabinet
from .kinematics import pose7
from .pack_files import STAGE_TURN, has_cabinet, robot_urdf, scene_offset, stage_mesh, station_urdf
from .robot import Robot, load_robot
from .solver import Solver, new_system
from .timing import PHYSICS_HZ

if TYPE_CHECKING:
    from .controllers import DriveTargets

FINGER_LINKS = tuple(link for links in SIDES.values() for link in links)


class SimplerScene:
    """Bodies of one configuration, with upstream's names."""

    def __init__(self, pack: Path, configuration: Configuration, solver: Solver) -> None:
        """Contains the arena or the cabinet; robot and objects are added later. `solver`: CONTROL_SOLVER or SETTLING_SOLVER."""
        self.pack, self.configuration = pack, configuration
        self.system = new_system(solver, contact_offset=contact_offset(configuration))
        self.scene = sapien.Scene([self.system])
        self.scene.set_timestep(1 / PHYSICS_HZ)
        self.robot: Robot | None = None
        self.objects: dict[str, Any] = {}
        self.cabinet = Cabinet(self.scene, station_urdf(pack, configuration)) if has_cabinet(configuration) else None
        if self.cabinet is None:
            build_arena(self.scene, stage_mesh(pack, configuration), configuration)

    def add_robot(self) -> Robot:
        """Add the robot, at the origin until it is placed."""
        self.robot = Robot(load_robot(robot_urdf(self.pack, self.configuration)), self.scene)
        return self.robot

    def add_object(self, model: str, *, task_object: bool) -> Any:
        """Add a movable object; its rigid body. `task_object`: False for a distractor."""
        density = DENSITY_ON_TABLE.get(model) if self.configuration.task == "move_near" else None
        entity = build_object(self.scene, self.pack, model, density=density, damped=task_object)
        self.objects[model] = entity.find_component_by_type(physx.PhysxRigidDynamicComponent)
        return self.objects[model]

    def step(self, drive: DriveTargets) -> None:
        """Execute one control step of 171 physics steps."""
        robot = self.robot
        assert robot is not None
        targets, speeds = robot.target_setters(), robot.finger_speed_setters()
        passive, push, step = robot.body.compute_passive_force, robot.body.set_qf, self.system.step
        for row, (right, left) in zip(drive.position, drive.finger_velocity[:, :, None], strict=True):
            push(passive())
            for set_target, angle in zip(targets, row, strict=True):
                set_target(angle)
            speeds[0](right)
            speeds[1](left)
            step()

    def step_idle(self, steps: int) -> None:
        """Execute physics steps without a command."""
        for _ in range(steps):
            self.system.step()

    def snapshot(self) -> Snapshot:
        """State that success depends on, after the last physics step."""
        bodies = self.objects.values()
        drawers: dict[str, float] = dict(zip(DRAWERS, self.cabinet.qpos().tolist(), strict=True)) if self.cabinet else {}
        return Snapshot(
            poses=np.array([pose7(body.entity_pose) for body in bodies]).reshape(-1, 7),
            centres=np.array([(body.entity_pose * body.cmass_local_pose).p for body in bodies], np.float64).reshape(-1, 3),
            drawers=drawers,
            contacts=self.contacts() if self.objects else (),
            openings=self._openings() if self.robot else {},
        )

    def _openings(self) -> dict[str, np.ndarray]:
        """Finger and tip link -> [3] its opening direction (world)."""
        assert self.robot is not None
        return {link: self.robot.links[link].entity_pose.to_transformation_matrix()[:3, 1] for link in FINGER_LINKS}

    def contacts(self) -> list[Contact]:
        """Pairs of touching bodies of the last physics step; impulses (N s) are sums over points and, cabinet apart, shapes."""
        out: dict[tuple[str, str, int | None], np.ndarray] = {}
        parts = self.cabinet.parts if self.cabinet else {}
        for contact in self.system.get_contacts():
            first, second = (body.entity.name for body in contact.bodies)
            part = next((parts[shape] for shape in contact.shapes if shape in parts), None)
            impulse = np.sum([point.impulse for point in contact.points], axis=0, dtype=np.float64)
            out[first, second, part] = out.get((first, second, part), np.zeros(3)) + impulse
        return [Contact(first, second, impulse, part) for (first, second, part), impulse in out.items()]

    def is_squeezing(self) -> bool:
        """Whether both fingers pushed on one object in the last physics step."""
        if not self.objects:
            return False
        contacts = self.contacts()

        def pushed(name: str, links: tuple[str, ...]) -> bool:
            return any(np.linalg.norm(impulse_on(link, name, contacts)) > IMPULSE for link in links)

        return any(all(pushed(name, links) for links in SIDES.values()) for name in self.objects)

    def state(self) -> np.ndarray:
        """float64: robot qpos and qvel (11 each), per object pose (7) and velocity (6), drawers qpos and qvel (3 each)."""
        robot = [self.robot.qpos(), self.robot.qvel()] if self.robot else []
        objects = [part for body in self.objects.values() for part in (pose7(body.entity_pose), velocity(body))]
        drawers = [self.cabinet.qpos(), self.cabinet.qvel()] if self.cabinet else []
        return np.concatenate([*robot, *objects, *drawers])


def velocity(body: Any) -> np.ndarray:
    """[6] float64: linear (m/s), angular (rad/s)."""
    return np.concatenate([body.linear_velocity, body.angular_velocity]).astype(np.float64)


def build_arena(scene: sapien.Scene, stage: Path, configuration: Configuration) -> None:
    """Add a stage as a static body."""
    builder = scene.create_actor_builder()
    builder.add_nonconvex_collision_from_file(str(stage), sapien.Pose(q=STAGE_TURN))
    builder.initial_pose = sapien.Pose(-np.array(scene_offset(configuration)))
    builder.build_static(name="arena")
