"""Rendering on request from the camera of the Google robot's head, or beside the WidowX's base.

Visible bodies are in a separate scene (`visuals`), reused while the appearance stays the same, which copies the poses of
the physics scene before each image. The raster shaders (`shaders/raster`) are nora-bench's: the lighting formulas of
SAPIEN's default ones, without its lookup table for environment maps (10 to 50 s of a CPU at the first image, for maps that
no configuration has) and without unused passes. Surfaces covered by a photograph are not lit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SuiteError
from ..grid import Configuration, EpisodeSetup
from ..placements import objects
from ..widowx_tasks import SINK_ROBOT, TABLE_ROBOT, X_VLA_ROBOT
from . import driver, pack_files


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera fixed to a link of the robot."""

    link: str
    pose: tuple[float, ...]
    """x y z (m), w x y z in the link's frame, of SAPIEN's camera axes (x forward, y left)."""
    size: tuple[int, int]
    """Width and height (pixels)."""
    focal: float
    """Pixels."""
    centre: tuple[float, float]
    """Pixels."""
    near: float = 0.1
    """Nearest visible distance (m); the farthest is FAR."""


FAR = 10.0
"""Metres."""
HEAD = Camera("link_camera", (0.0, 0.0, 0.0, 0.5, 0.5, -0.5, 0.5), (640, 512), 425.0, (320.0, 256.0))
_BESIDE = partial(Camera, "base_link", size=(640, 480), focal=623.588, centre=(319.501, 239.545))
CAMERAS = {
    TABLE_ROBOT: _BESIDE((0.0, -0.16, 0.36, 0.8992917, -0.09263245, 0.35892478, 0.23209205)),
    SINK_ROBOT: _BESIDE((-0.003, -0.21, 0.39, -0.907313, 0.0782, -0.36434, -0.194741), near=0.01),
    X_VLA_ROBOT: _BESIDE((0.0, -0.16, 0.336, 0.909182, -0.0819809, 0.347277, 0.214629), near=0.01),
}
"""Set-up of the WidowX -> its camera."""
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
        """[512 or 480, 640, 3] uint8: the prepared episode with the poses of a physics scene (`scene.SimplerScene`)."""
        return self.composite(*self.render_raw(scene))

    def render_raw(self, scene: Any) -> tuple[np.ndarray, np.ndarray]:
        """Image as rendered: [height, 640, 3] float32 colour, [height, 640] number of the visible entity (0: none)."""
        if self._loaded is None:
            raise SuiteError("no episode is loaded: call prepare first")
        self._loaded.visuals.follow(scene)
        return self._loaded.render()

    def composite(self, colour: np.ndarray, entities: np.ndarray) -> np.ndarray:
        """[height, 640, 3] uint8 of the result of `render_raw`, in front of the episode's photograph if it has one."""
        if not self._setup.rgb_overlay:
            return to_bytes(colour)
        behind = photograph(self._pack, self._setup.rgb_overlay, camera_of(self._setup.configuration).size)
        return to_bytes(composed(colour, self.foreground(entities), behind))

    def foreground(self, entities: np.ndarray) -> np.ndarray:
        """[height, 640] bool: robot, objects and cabinet; not the arena, the sink with its basket, or empty pixels."""
        assert self._loaded is not None
        visuals = self._loaded.visuals
        behind = [visuals.arena, *visuals.photographed]
        return ~np.isin(entities, [0, *(entity.per_scene_id for entity in behind)])


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
            for material in materials([self.visuals.arena, *self.visuals.photographed]):
                material.transmission = 1.0  # tells our shaders that the surface is covered by the photograph
        camera = camera_of(configuration)
        self.camera = package.render.RenderCameraComponent(*camera.size)
        self.camera.local_pose = package.Pose(camera.pose[:3], camera.pose[3:])
        self.camera.set_perspective_parameters(camera.near, FAR, camera.focal, camera.focal, *camera.centre, 0.0)
        self.visuals.robot[camera.link].add_component(self.camera)

    def render(self) -> tuple[np.ndarray, np.ndarray]:
        """Render like `SimplerRenderer.render_raw`."""
        self.visuals.scene.update_render()
        self.camera.take_picture()
        return self.camera.get_picture("Color")[..., :3], self.camera.get_picture("Segmentation")[..., 1]


def camera_of(configuration: Configuration) -> Camera:
    """The camera of an episode."""
    return CAMERAS.get(configuration.robot, HEAD)


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
