"""Vulkan drivers by name, and a probe of one: `vulkan` is the loader's own choice, `vulkan:FILE` the driver of an ICD file;
the prefix `vulkan-rt` marks a driver with ray tracing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

VULKAN, VULKAN_RT = "vulkan", "vulkan-rt"
RASTER_SHADERS = Path(__file__).parent / "shaders" / "raster"
SAMPLES, DEPTH, DENOISER = 32, 8, "optix"
"""Rays per pixel, bounces per ray, and denoiser, as upstream."""


def select_driver(name: str) -> None:
    """Make the Vulkan loader of this process use that driver; call before any rendering."""
    _, _, icd = name.partition(":")
    if icd:
        os.environ["VK_ICD_FILENAMES"] = os.environ["VK_DRIVER_FILES"] = icd


def can_ray_trace(name: str) -> bool:
    """Whether a driver's name marks it as capable of ray tracing."""
    return name.partition(":")[0] == VULKAN_RT


def import_sapien() -> Any:
    """The package `sapien`, to be imported after `select_driver`."""
    import sapien as package

    return package


@contextmanager
def silenced() -> Iterator[None]:
    """Drop SwiftShader's warnings about unused parts of Vulkan from stderr; all other lines pass."""
    with tempfile.TemporaryFile() as kept:
        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            kept.seek(0)
            for line in kept:
                if b"swiftshader" not in line.lower():
                    os.write(2, line)


def choose_shaders(folder: str | None) -> None:
    """Set the shaders of cameras created later: a folder, the name of one of SAPIEN's own, or None for ray tracing."""
    render = import_sapien().render
    render.set_picture_format("Color", "r32g32b32a32sfloat")
    render.set_camera_shader_dir(folder or "rt")
    if folder is None:
        render.set_ray_tracing_samples_per_pixel(SAMPLES)
        render.set_ray_tracing_path_depth(DEPTH)
        render.set_ray_tracing_denoiser(DENOISER)


def probe_driver(name: str) -> tuple[str, str]:
    """Render a red box in this process: `drawn` or `black`, and the device's name. Raises where rendering fails."""
    select_driver(name)
    package = import_sapien()
    choose_shaders(None if can_ray_trace(name) else str(RASTER_SHADERS))
    scene = package.Scene([package.render.RenderSystem()])
    scene.set_ambient_light([1, 1, 1])
    builder = scene.create_actor_builder()
    builder.add_box_visual(half_size=[0.5, 0.5, 0.5], material=[1, 0, 0])
    box = package.Entity()
    box.add_component(builder.build_render_component())
    box.set_pose(package.Pose([2, 0, 0]))
    scene.add_entity(box)
    camera = scene.add_camera("camera", 32, 32, 1.0, 0.1, 10.0)
    scene.update_render()
    camera.take_picture()
    red, green, blue = camera.get_picture("Color")[16, 16, :3]
    return "drawn" if red > 2 * max(green, blue, 0.01) else "black", package.render.RenderSystem().device.name
