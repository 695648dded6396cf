"""Pictures of an episode from the robot's head camera, made only when asked for.

Everything seen is in a scene of its own (`visuals`), kept while the looks stay the same, that takes its poses from the
physics before each picture. The raster shaders (`shaders/raster`) are ours: the lighting formulas of SAPIEN's default
ones, without its lookup table for environment maps (10 to 50 s of a CPU at the first picture, for maps that no
configuration has) and without the passes that nobody looks at. What a photograph covers is not lit at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SuiteError
from ..grid import Configuration, EpisodeSetup
from ..placements import objects
from . import driver
from .overlay import composed, photograph, to_bytes

WIDTH, HEIGHT = 640, 512
FOCAL, CENTRE = 425.0, (320.0, 256.0)
"""Pixels."""
NEAR, FAR = 0.1, 10.0
"""Metres."""
FROM_OPENCV = (0.5, 0.5, -0.5, 0.5)
"""Turns `link_camera` (z forward, x right) into SAPIEN's camera axes (x forward, y left)."""
RASTER, TRACED, INSTEAD = "raster", "raytraced", "raster instead of raytraced"


class SimplerRenderer:
    """Draws the episodes of one asset pack."""

    def __init__(self, pack: Path, name: str = driver.VULKAN, *, shaders: str = str(driver.RASTER_SHADERS)) -> None:
        """`name`: of the Vulkan driver (`driver`). `shaders`: folder, or name of one of SAPIEN's own, for the raster."""
        driver.select_driver(name)
        self._pack, self._traces, self._shaders = pack, driver.can_ray_trace(name), shaders
        self._loaded: _RenderScene | None = None

    def prepare(self, setup: EpisodeSetup) -> str:
        """Load what an episode shows, unless it is there; how it is drawn: RASTER, TRACED or INSTEAD (no such device)."""
        configuration, models = setup.configuration, tuple(one.model for one in objects(setup).placements)
        if self._loaded is None or self._loaded.key != _key(configuration, models):
            self._loaded = None  # free it first
            shaders = None if configuration.ray_traced and self._traces else self._shaders
            with driver.silenced():
                self._loaded = _RenderScene(self._pack, configuration, models, shaders)
        self._setup = setup
        return self._loaded.kind

    def render(self, scene: Any) -> np.ndarray:
        """[512, 640, 3] uint8: the prepared episode with the poses of a physics scene (`scene.SimplerScene`)."""
        return self.composite(*self.render_raw(scene))

    def render_raw(self, scene: Any) -> tuple[np.ndarray, np.ndarray]:
        """As rendered: [512, 640, 3] float32 colour, [512, 640] number of the entity seen (0: none)."""
        if self._loaded is None:
            raise SuiteError("nothing is prepared to be drawn")
        self._loaded.visuals.follow(scene)
        return self._loaded.render()

    def composite(self, colour: np.ndarray, entities: np.ndarray) -> np.ndarray:
        """[512, 640, 3] uint8 of what `render_raw` returned: before the episode's photograph, where it has one."""
        if not self._setup.rgb_overlay:
            return to_bytes(colour)
        behind = photograph(self._pack, self._setup.rgb_overlay, (WIDTH, HEIGHT))
        return to_bytes(composed(colour, self.foreground(entities), behind))

    def foreground(self, entities: np.ndarray) -> np.ndarray:
        """[512, 640] bool: robot, objects, cabinet, as against the arena and nothing at all."""
        assert self._loaded is not None
        return (entities != 0) & (entities != self._loaded.visuals.arena.per_scene_id)


def _key(configuration: Configuration, models: tuple[str, ...]) -> tuple[Any, ...]:
    """What two episodes must share to be drawn with the same entities, lights and materials."""
    options = sorted((name, str(value)) for name, value in configuration.env_kwargs.items())
    return configuration.env_id, configuration.scene_name, bool(configuration.rgb_overlay), *options, *models


class _RenderScene:
    """One loaded scene with its camera."""

    def __init__(self, pack: Path, configuration: Configuration, models: tuple[str, ...], shaders: str | None) -> None:
        """`shaders`: None traces rays."""
        package = driver.import_sapien()
        from .appearance import light, lighting, materials, paint
        from .visuals import build_visuals

        self.key = _key(configuration, models)
        self.kind = TRACED if shaders is None else INSTEAD if configuration.ray_traced else RASTER
        driver.choose_shaders(shaders)
        self.visuals = build_visuals(pack, configuration, models)
        paint(self.visuals, configuration)
        light(self.visuals.scene, lighting(configuration))
        if configuration.rgb_overlay and shaders:
            for material in materials([self.visuals.arena]):
                material.transmission = 1.0  # our shaders' sign for a surface whose colour nobody sees
        self.camera = package.render.RenderCameraComponent(WIDTH, HEIGHT)
        self.camera.local_pose = package.Pose(q=FROM_OPENCV)
        self.camera.set_perspective_parameters(NEAR, FAR, FOCAL, FOCAL, *CENTRE, 0.0)
        self.visuals.robot["link_camera"].add_component(self.camera)

    def render(self) -> tuple[np.ndarray, np.ndarray]:
        """As `SimplerRenderer.render_raw`."""
        self.visuals.scene.update_render()
        self.camera.take_picture()
        return self.camera.get_picture("Color")[..., :3], self.camera.get_picture("Segmentation")[..., 1]
