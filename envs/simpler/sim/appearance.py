"""Lights and materials of a configuration, as upstream sets them. Linear RGB, directions in the world frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sapien import Entity
from sapien.render import RenderBodyComponent, RenderMaterial

from ..grid import Configuration
from .pack_files import has_cabinet

if TYPE_CHECKING:
    from .visuals import Visuals

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
DRAWERS_SIMPLE = Lighting(1.0, (Light((-math.cos(math.radians(75)), 0, -math.sin(math.radians(75))), 1.0),))
DRAWERS_FIRST = {None: 1.0, "brighter": 2.0, "darker": 0.5}
"""`light_mode` -> intensity of the light that casts shadows."""


def lighting(configuration: Configuration) -> Lighting:
    """The lights of a configuration."""
    options = configuration.env_kwargs
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


def materials(entities: Iterable[Entity]) -> Iterator[RenderMaterial]:
    """Materials of the visible parts of some entities."""
    for entity in entities:
        body: Any = entity.find_component_by_type(RenderBodyComponent)
        for shape in body.render_shapes if body else ():
            for part in getattr(shape, "parts", None) or (shape,):
                yield part.material
