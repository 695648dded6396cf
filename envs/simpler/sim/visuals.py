"""Visible bodies of an episode, in a separate scene that follows the physics. World frame, m.

Rendering thus never affects the physics, and loaded visuals are reused across episodes. Camera and lights are elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import sapien
from sapien.render import RenderSystem

from ...errors import SuiteError
from ..grid import Configuration
from .pack_files import SCENE_OFFSET, STAGE_TURN, has_cabinet, model_folder, robot_urdf, stage_mesh, station_urdf
from .urdf import VisualLoader

if TYPE_CHECKING:
    from .scene import SimplerScene

STAGE_SHIFTS = {
    "modern_bedroom_no_roof": sapien.Pose([0.178, -2.235, 1.669], [0.007, 0, 0, -1]),
    "modern_office_no_roof": sapien.Pose([-0.192, -1.728, 1.48], [0.709, 0, 0, -0.705]),
}
"""Stages that upstream moves before it turns them."""
SLAB = (10.0, 10.0, 0.017)
"""Half sizes (m) of the white floor that replaces the stage in `dummy_drawer`."""
TEXTURED = ("textured.obj", "textured.dae", "textured.glb")
"""Files of an object's visual mesh, in upstream's order of preference."""


@dataclass(frozen=True, slots=True)
class Visuals:
    """Visible entities by name; each has at most one `RenderBodyComponent`."""

    scene: sapien.Scene
    robot: dict[str, sapien.Entity]
    """By link."""
    objects: dict[str, sapien.Entity]
    """By model id."""
    cabinet: dict[str, sapien.Entity]
    """By link; empty without a cabinet."""
    arena: sapien.Entity

    def follow(self, physics: SimplerScene) -> None:
        """Copy the poses of a physics scene with the same bodies."""
        assert physics.robot is not None
        moving = [(self.robot, physics.robot.links), (self.objects, physics.objects)]
        moving += [(self.cabinet, physics.cabinet.links)] if physics.cabinet else []
        for visible, bodies in moving:
            for name, entity in visible.items():
                entity.set_pose(bodies[name].entity_pose)


def build_visuals(pack: Path, configuration: Configuration, models: tuple[str, ...]) -> Visuals:
    """Load the visuals of a configuration with these objects. Needs a rendering device."""
    scene = sapien.Scene([RenderSystem()])
    version = configuration.env_kwargs.get("urdf_version", "")
    station = station_urdf(pack, configuration)
    return Visuals(
        scene=scene,
        robot=_links(scene, robot_urdf(pack, version)),
        objects={model: _object(scene, model_folder(pack, model), model) for model in models},
        cabinet=_links(scene, station) if has_cabinet(configuration) else {},
        arena=_arena(scene, pack, configuration),
    )


def _links(scene: sapien.Scene, urdf: Path) -> dict[str, sapien.Entity]:
    loader = VisualLoader()
    loader.set_scene(scene)
    builders = loader.load_file_as_articulation_builder(str(urdf)).link_builders
    return {builder.name: _add(scene, builder) for builder in builders}


def _object(scene: sapien.Scene, folder: Path, model: str) -> sapien.Entity:
    path = next((folder / name for name in TEXTURED if (folder / name).is_file()), None)
    if path is None:
        raise SuiteError(
            f"visual mesh of {model} not found in {folder} (one of {', '.join(TEXTURED)}). Type: nora-bench assets verify"
        )
    builder = scene.create_actor_builder()
    builder.add_visual_from_file(str(path))
    builder.set_name(model)
    return _add(scene, builder)


def _arena(scene: sapien.Scene, pack: Path, configuration: Configuration) -> sapien.Entity:
    builder = scene.create_actor_builder()
    builder.set_name("arena")
    if configuration.scene_name == "dummy_drawer":
        builder.add_box_visual(half_size=SLAB, material=(1, 1, 1))
    else:
        pose = STAGE_SHIFTS.get(configuration.scene_name, sapien.Pose()) * sapien.Pose(q=STAGE_TURN)
        builder.add_visual_from_file(str(stage_mesh(pack, configuration)), pose)
    entity = _add(scene, builder)
    entity.set_pose(sapien.Pose(-np.array(SCENE_OFFSET)))
    return entity


def _add(scene: sapien.Scene, builder: sapien.ActorBuilder) -> sapien.Entity:
    entity = sapien.Entity()
    entity.set_name(builder.name)
    if builder.visual_records:
        entity.add_component(builder.build_render_component())
    scene.add_entity(entity)
    return entity
