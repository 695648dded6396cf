"""Scene of SAPIEN 2.2.2 with upstream's settings. Runs in the interpreter of SAPIEN 2; syntax of Python 3.10.

Bodies are added in upstream's order (robot, arena, objects, cabinet): the solver's results depend on it. Metres, seconds, kg;
world frame. Poses are x y z, qw qx qy qz.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sapien.core as sapien

STILL_LINEAR, STILL_ANGULAR = 1e-3, 1e-2
"""m/s and rad/s above which settling continues."""
UPRIGHT = (False, False, False, True, True, False)
"""Rotation about x and y locked."""
FALLING = (True, True, False, True, True, False)
"""Only z translation and rotation about z are free."""
FREE = (False,) * 6


class World:
    """Bodies of one episode by name, without visuals."""

    def __init__(self, engine: Any, *, hz: int, contact_offset: float) -> None:
        """An empty scene.

        Args:
            engine: the process's only `sapien.Engine`.
            hz: physics steps per second.
            contact_offset: distance (m) at which contacts are generated.
        """
        settings = sapien.SceneConfig()
        settings.default_dynamic_friction = settings.default_static_friction = 1.0
        settings.default_restitution = 0.0
        settings.contact_offset = contact_offset
        settings.enable_pcm = False
        settings.solver_iterations = 25
        settings.enable_tgs = True
        settings.solver_velocity_iterations = 1
        self.hz = hz
        self.scene = engine.create_scene(settings)
        self.scene.set_timestep(1.0 / hz)
        self.objects: dict[str, Any] = {}
        self.articulations: list[Any] = []

    def add_articulation(self, urdf: str, links: dict[str, Any] | None = None) -> Any:
        """Add an articulation with a fixed root.

        Args:
            urdf: its file; visuals are ignored.
            links: name -> static friction, dynamic friction, patch radius (m) of the links whose material is not the default.
        """
        materials: dict[tuple[float, float, float], Any] = {}
        config = {}
        for name, (static, dynamic, patch) in (links or {}).items():
            if (static, dynamic, patch) not in materials:
                materials[static, dynamic, patch] = self.scene.create_physical_material(static, dynamic, 0.0)
            material = materials[static, dynamic, patch]
            config[name] = {"material": material, "patch_radius": patch, "min_patch_radius": patch}
        loader = self.scene.create_urdf_loader()
        loader.fix_root_link = True
        loader.load_multiple_collisions_from_file = links is not None
        self.articulations.append(loader.load(urdf, {"link": config} if config else {}))
        return self.articulations[-1]

    def add_arena(self, stage: str | None, turn: Sequence[float], place: Sequence[float], *, cached: bool = False) -> None:
        """Add the static surroundings.

        Args:
            stage: mesh, exact collision; None for surroundings without collision.
            turn: pose of the mesh in the actor.
            place: position of the actor.
            cached: read the stage as when SAPIEN 2.2.2 has read it before, as in the recordings of the WidowX.
        """
        builder = self.scene.create_actor_builder()
        with tempfile.TemporaryDirectory() as folder:
            if stage:
                # SAPIEN 2.2.2 writes STAGE.nonconvex.stl beside a stage and reads that the next time, with the triangles in
                # another order, which changes contacts by micrometres. Here a stage is always read as the first time.
                link = Path(folder) / Path(stage).name
                link.symlink_to(stage)
                if cached:
                    link = self._second_reading(link)
                builder.add_nonconvex_collision_from_file(str(link), sapien.Pose(turn[:3], turn[3:]))
            self.arena = builder.build_static(name="arena")
        self.arena.set_pose(sapien.Pose(place))

    def _second_reading(self, link: Path) -> Path:
        """A copy of the stage with the file that SAPIEN 2.2.2 makes at its first reading."""
        builder = self.scene.create_actor_builder()
        builder.add_nonconvex_collision_from_file(str(link))
        self.scene.remove_actor(builder.build_static())
        copy = link.with_name(f"again_{link.name}")
        shutil.copyfile(link, copy)  # no link: meshes in memory are found by the path behind links
        Path(f"{link}.nonconvex.stl").rename(f"{copy}.nonconvex.stl")
        return copy

    def add_object(self, name: str, mesh: str, *, density: float, friction: float, damping: float | None) -> Any:
        """Add a movable object at the origin.

        Args:
            name: name of the actor.
            mesh: Wavefront file of its convex parts.
            density: kg/m3.
            friction: static and dynamic.
            damping: linear and angular; None for the engine's defaults.
        """
        builder = self.scene.create_actor_builder()
        material = self.scene.create_physical_material(friction, friction, 0.0)
        builder.add_multiple_collisions_from_file(filename=mesh, scale=[1.0] * 3, material=material, density=density)
        body = builder.build()
        body.name = name
        self.objects[name] = body
        if damping is not None:
            body.set_damping(damping, damping)
        return body

    def step(self, steps: int) -> None:
        """Execute physics steps without a command."""
        for _ in range(steps):
            self.scene.step()

    def settle(self, seconds: float) -> None:
        """Execute the physics steps of so many seconds, truncated."""
        self.step(int(self.hz * seconds))

    def settle_restless(self, bodies: Sequence[Any]) -> None:
        """Settle for 1.5 s more unless the bodies are nearly at rest."""
        linear = sum(np.linalg.norm(body.velocity) for body in bodies)
        angular = sum(np.linalg.norm(body.angular_velocity) for body in bodies)
        if linear > STILL_LINEAR or angular > STILL_ANGULAR:
            self.settle(1.5)

    def stop(self) -> None:
        """Set every velocity to zero, as upstream does before a reset of a scene that it keeps."""
        for actor in self.scene.get_all_actors():
            if actor.type != "static":
                actor.set_velocity([0, 0, 0])
                actor.set_angular_velocity([0, 0, 0])
        for articulation in self.scene.get_all_articulations():
            articulation.set_qvel(np.zeros(articulation.dof))
            articulation.set_root_velocity([0, 0, 0])
            articulation.set_root_angular_velocity([0, 0, 0])

    def contacts(self) -> list[Any]:
        """[first, second, impulse (3, N s)] of every pair of touching shapes in the last physics step."""
        found = []
        for contact in self.scene.get_contacts():
            impulse = np.sum([point.impulse for point in contact.points], axis=0, dtype=np.float64)
            found.append([contact.actor0.name, contact.actor1.name, np.broadcast_to(impulse, 3).tolist()])
        return found

    def link_poses(self) -> list[dict[str, list[float]]]:
        """Per articulation, in the order of addition: link -> pose."""
        return [{link.name: pose7(link.pose) for link in body.get_links()} for body in self.articulations]


def lock(body: Any, axes: Sequence[bool]) -> None:
    """Lock translation along and rotation about x, y, z."""
    body.lock_motion(*axes)


def release(body: Any) -> None:
    """Unlock all motions and start again at rest; setting the pose wakes the body."""
    body.lock_motion(*FREE)
    body.set_pose(body.pose)
    body.set_velocity(np.zeros(3))
    body.set_angular_velocity(np.zeros(3))


def pose7(pose: Any) -> list[float]:
    """x y z, qw qx qy qz."""
    return [*pose.p.tolist(), *pose.q.tolist()]


def bounds(actor: Any) -> list[list[float]]:
    """[2][3] least and greatest corner of the actor's collision shapes in its own frame."""
    corners = []
    for shape in actor.get_collision_shapes():
        local = shape.get_local_pose().to_transformation_matrix()
        corners.append(np.asarray(shape.geometry.vertices) * shape.geometry.scale @ local[:3, :3].T + local[:3, 3])
    every = np.concatenate(corners)
    return [every.min(axis=0).tolist(), every.max(axis=0).tolist()]
