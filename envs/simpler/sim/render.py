"""Rendering on request from the robot's head camera.

Visible bodies are in a separate scene (`visuals`), reused while the appearance stays the same, which copies the poses of
the physics scene before each image. The raster shaders (`shaders/raster`) are nora-bench's: the lighting formulas of
SAPIEN's default ones, without its lookup table for environment maps (10 to 50 s of a CPU at the first image, for maps that
no configuration has) and without unused passes. Surfaces covered by a photograph are not lit.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SuiteError
from ..grid import Configuration, EpisodeSetup
from ..placements import objects
from . import driver, pack_files

WIDTH, HEIGHT = 640, 512
FOCAL, CENTRE = 425.0, (320.0, 256.0)
"""Pixels."""
NEAR, FAR = 0.1, 10.0
"""Metres."""
FROM_OPENCV = (0.5, 0.5, -0.5, 0.5)
"""Turns `link_camera` (z forward, x right) into SAPIEN's camera axes (x forward, y left)."""
RASTER, TRACED, INSTEAD = "raster", "raytraced", "raster instead of raytraced"


class SimplerRenderer:
    """Renderer of the episodes of one asset pack."""

    def __init__(self, pack: Path, name: str = driver.VULKAN, *, shaders: str = str(driver.RASTER_SHADERS)) -> None:
        """`name`: Vulkan driver (see `driver`). `shaders`: folder or name of one of SAPIEN's own, for rasterisation."""
        driver.select_driver(name)
        self._pack, self._traces, self._shaders = pack, driver.can_ray_trace(name), shaders
        self._loaded: _RenderScene | None = None

    def prepare(self, setup: EpisodeSetup) -> str:
        """Load the visuals of an episode unless loaded; the method: RASTER, TRACED or INSTEAD (no ray-tracing device)."""
        configuration, models = setup.configuration, tuple(placement.model for placement in objects(setup).placements)
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
        """Image as rendered: [512, 640, 3] float32 colour, [512, 640] number of the visible entity (0: none)."""
        if self._loaded is None:
            raise SuiteError("no episode is loaded: call prepare first")
        self._loaded.visuals.follow(scene)
        return self._loaded.render()

    def composite(self, colour: np.ndarray, entities: np.ndarray) -> np.ndarray:
        """[512, 640, 3] uint8 of the result of `render_raw`, in front of the episode's photograph if it has one."""
        if not self._setup.rgb_overlay:
            return to_bytes(colour)
        behind = photograph(self._pack, self._setup.rgb_overlay, (WIDTH, HEIGHT))
        return to_bytes(composed(colour, self.foreground(entities), behind))

    def foreground(self, entities: np.ndarray) -> np.ndarray:
        """[512, 640] bool: robot, objects and cabinet; not the arena or empty pixels."""
        assert self._loaded is not None
        return (entities != 0) & (entities != self._loaded.visuals.arena.per_scene_id)


def _key(configuration: Configuration, models: tuple[str, ...]) -> tuple[Any, ...]:
    """Key shared by episodes with the same entities, lights and materials."""
    options = sorted((name, str(value)) for name, value in configuration.env_kwargs.items())
    return configuration.env_id, configuration.scene_name, bool(configuration.rgb_overlay), *options, *models


class _RenderScene:
    """One loaded scene with its camera."""

    def __init__(self, pack: Path, configuration: Configuration, models: tuple[str, ...], shaders: str | None) -> None:
        """`shaders`: None selects ray tracing."""
        package = driver.import_sapien()
        from .visuals import add_lights, adjust_materials, build_visuals, lighting, materials

        self.key = _key(configuration, models)
        self.kind = TRACED if shaders is None else INSTEAD if configuration.ray_traced else RASTER
        driver.choose_shaders(shaders)
        self.visuals = build_visuals(pack, configuration, models)
        adjust_materials(self.visuals, configuration)
        add_lights(self.visuals.scene, lighting(configuration))
        if configuration.rgb_overlay and shaders:
            for material in materials([self.visuals.arena]):
                material.transmission = 1.0  # tells our shaders that the surface is covered by the photograph
        self.camera = package.render.RenderCameraComponent(WIDTH, HEIGHT)
        self.camera.local_pose = package.Pose(q=FROM_OPENCV)
        self.camera.set_perspective_parameters(NEAR, FAR, FOCAL, FOCAL, *CENTRE, 0.0)
        self.visuals.robot["link_camera"].add_component(self.camera)

    def render(self) -> tuple[np.ndarray, np.ndarray]:
        """Render like `SimplerRenderer.render_raw`."""
        self.visuals.scene.update_render()
        self.camera.take_picture()
        return self.camera.get_picture("Color")[..., :3], self.camera.get_picture("Segmentation")[..., 1]


@lru_cache(maxsize=4)
def photograph(pack: Path, name: str, size: tuple[int, int]) -> np.ndarray:
    """[height, width, 3] float32, 0 to 1: the pack's photograph, enlarged with bilinear interpolation.

    Args:
        pack: asset pack.
        name: file under `real_inpainting`.
        size: width and height (pixels).
    """
    import cv2

    path = pack_files.photograph(pack, name)
    image = cv2.imread(str(path))
    if image is None:
        raise SuiteError(f"{path} is not a readable image: the asset pack is incomplete. Type: nora-bench assets verify")
    return cv2.resize(np.ascontiguousarray(image[..., ::-1]) / 255, size).astype(np.float32)


def composed(colour: np.ndarray, foreground: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """[height, width, 3]: the rendering where `foreground` (bool) is set, the photograph elsewhere; hard edges."""
    return np.where(foreground[..., None], colour, behind)


def to_bytes(colour: np.ndarray) -> np.ndarray:
    """uint8 of values from 0 to 1: truncated, not rounded, as upstream does."""
    return np.clip(colour * 255, 0, 255).astype(np.uint8)
