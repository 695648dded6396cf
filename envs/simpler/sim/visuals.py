"""Visible bodies of an episode, in a separate scene that follows the physics. World frame, m.

Rendering thus never affects the physics, and loaded visuals are reused across episodes. Lights and materials are as upstream
sets them: linear RGB, directions in the world frame. The camera is elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sapien
from sapien.render import RenderBodyComponent, RenderMaterial, RenderSystem

from ...errors import SuiteError
from ..grid import Configuration
from ..widowx_tasks import SINK, TASKS as WIDOWX_TASKS, is_sink
from .pack_files import (
    STAGE_TURN,
    has_cabinet,
    model_folder,
    robot_urdf,
    scene_offset,
    stage_mesh,
    station_urdf,
)
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
    """Link -> entity."""
    objects: dict[str, sapien.Entity]
    """Model id -> entity."""
    cabinet: dict[str, sapien.Entity]
    """Link -> entity; empty without a cabinet."""
    arena: sapien.Entity
    photographed: tuple[sapien.Entity, ...] = ()
    """Entities that hide others, but are themselves covered by the photograph: the sink and the target plane in it."""

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
    station = station_urdf(pack, configuration)
    entities = {model: _object(scene, model_folder(pack, model), model) for model in models}
    return Visuals(
        scene=scene,
        robot=_links(scene, robot_urdf(pack, configuration, look=True)),
        objects=entities,
        cabinet=_links(scene, station) if has_cabinet(configuration) else {},
        arena=_arena(scene, pack, configuration),
        photographed=_photographed(scene, pack, configuration, entities),
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
    entity.set_pose(sapien.Pose(-np.array(scene_offset(configuration))))
    return entity


def _photographed(
    scene: sapien.Scene, pack: Path, configuration: Configuration, entities: dict[str, sapien.Entity]
) -> tuple[sapien.Entity, ...]:
    if not is_sink(configuration):
        return ()
    model, place = SINK
    sink = _object(scene, model_folder(pack, model), model)
    sink.set_pose(sapien.Pose(place))
    return sink, entities[WIDOWX_TASKS[configuration.task].target]


def _add(scene: sapien.Scene, builder: sapien.ActorBuilder) -> sapien.Entity:
    entity = sapien.Entity()
    entity.set_name(builder.name)
    if builder.visual_records:
        entity.add_component(builder.build_render_component())
    scene.add_entity(entity)
    return entity


SHADOW_HALF_SIZE, SHADOW_PIXELS = 5.0, 2048
"""Half the width (m) of the shadow map's area, and its side in pixels."""


@dataclass(frozen=True, slots=True)
class Light:
    """One light from infinitely far away."""

    direction: tuple[float, float, float]
    """Direction of its rays; not normalised."""
    intensity: float
    """Grey."""
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Lighting:
    """All lights of a scene, which has no environment map."""

    ambient: float
    lights: tuple[Light, ...]


TABLE = Lighting(0.3, (Light((0, 0, -1), 2.2), Light((-1, -0.5, -1), 0.7), Light((1, 1, -1), 0.7)))
TABLE_BRIGHTER = Lighting(0.3, (Light((0, 0, -1), 3.6), Light((-1, -0.5, -1), 1.3), Light((1, 1, -1), 1.3)))
TABLE_DARKER = Lighting(0.3, (Light((1, 1, -1), 0.8), Light((0, 0, -1), 0.8)))
SINK_LIGHTS = Lighting(0.3, (Light((0, 0, -1), 0.3),))
DRAWERS_SIMPLE = Lighting(1.0, (Light((-math.cos(math.radians(75)), 0, -math.sin(math.radians(75))), 1.0),))
DRAWERS_FIRST = {None: 1.0, "brighter": 2.0, "darker": 0.5}
"""`light_mode` -> intensity of the light that casts shadows."""


def lighting(configuration: Configuration) -> Lighting:
    """The lights of a configuration."""
    options = configuration.env_kwargs
    if is_sink(configuration):
        return SINK_LIGHTS
    if not has_cabinet(configuration):
        if options.get("slightly_brighter_lighting"):
            return TABLE_BRIGHTER
        return TABLE_DARKER if options.get("slightly_darker_lighting") else TABLE
    if options.get("light_mode") == "simple":
        return DRAWERS_SIMPLE
    first = Light((-0.2, 0, -1), DRAWERS_FIRST[options.get("light_mode")], shadow=True)
    return Lighting(0.3, (first, Light((-1, 1, -0.05), 0.5), Light((-1, -1, -0.05), 0.5)))


def add_lights(scene: Any, lighting: Lighting) -> None:
    """Add the lights to a scene without any."""
    scene.set_ambient_light([lighting.ambient] * 3)
    for light in lighting.lights:
        scene.add_directional_light(
            light.direction,
            [light.intensity] * 3,
            shadow=light.shadow,
            shadow_scale=SHADOW_HALF_SIZE,
            shadow_map_size=SHADOW_PIXELS,
        )


def adjust_materials(visuals: Visuals, configuration: Configuration) -> None:
    """Change the materials as upstream does after loading."""
    if not configuration.env_kwargs.get("disable_bad_material"):
        for material in materials(visuals.robot.values()):
            material.specular, material.roughness = 0.9, 0.3
    matt = configuration.env_id.startswith("MoveNearGoogleBakedTex") and configuration.env_id.endswith("-v1")
    for material in materials(visuals.objects.values()):
        if material.emission_texture is not None and not any(material.emission[:3]):
            material.emission = [1, 1, 1, 1]  # baked files give no factor; glTF then means 0, upstream's reader took 1
        if matt:
            material.roughness, material.metallic, material.specular = 1.0, 0.0, 0.0


def materials(entities: Iterable[sapien.Entity]) -> Iterator[RenderMaterial]:
    """Materials of the visible parts of some entities."""
    for entity in entities:
        body: Any = entity.find_component_by_type(RenderBodyComponent)
        for shape in body.render_shapes if body else ():
            for part in getattr(shape, "parts", None) or (shape,):
                yield part.material
