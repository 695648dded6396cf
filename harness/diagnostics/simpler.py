"""What SimplerEnv needs of this machine beyond packages: a Vulkan driver that draws, and assets."""

from __future__ import annotations

from pathlib import Path

from ...envs.errors import SuiteError
from ...envs.simpler.assets import packs
from ...envs.simpler.sim.driver import can_ray_trace
from ..errors import MissingRequirementError
from ..rendering import vulkan
from ..rendering.gl import Backend
from .checks import Cure, Finding, Status, ok

OS_RELEASE = Path("/etc/os-release")
DEBIAN, OTHERS = ("chromium-common",), ("mesa-vulkan-drivers",)
"""Packages with a software driver. Debian's chromium-common brings SwiftShader (31 MB to load, 66 MB on disk); Debian 12's
Mesa is too old for SAPIEN, and Ubuntu has Chromium as a snap only."""
GPU = "a GPU's driver with Vulkan (NVIDIA's, in a container: -e NVIDIA_DRIVER_CAPABILITIES=all)"


def drawing() -> Finding:
    """The Vulkan driver, found by drawing with each."""
    try:
        found = vulkan.find_vulkan()
    except MissingRequirementError as error:
        why = "policies that look cannot play SimplerEnv; others need no pictures"
        return Finding("vulkan", Status.note, str(error).partition(". Type:")[0], why, Cure(apt=software_packages(), hand=GPU))
    return _drawn_by(found)


def _drawn_by(found: Backend) -> Finding:
    said = f"{found.renderer} ({found.name})"
    if can_ray_trace(found.name):
        return ok("vulkan", f"{said}, traces rays")
    return ok("vulkan", f"{said}; it traces no rays, so the drawers are rasterised, and records say so")


def software_packages() -> tuple[str, ...]:
    """Packages of this system that bring a software driver which SAPIEN can use."""
    try:
        lines = OS_RELEASE.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return DEBIAN if "ID=debian" in lines else OTHERS


def assets() -> Finding:
    """SimplerEnv's official meshes, textures and photographs."""
    try:
        pack = packs.resolve("official")
    except SuiteError as error:
        return _without_official(str(error))
    return ok("simpler assets", f"official, fingerprint {pack.fingerprint}, {pack.path}")


def _without_official(problem: str) -> Finding:
    cure = Cure(hand=f"{packs.FETCH}   (or export {packs.VARIABLE}=FOLDER)")
    if problem.startswith(f"{packs.VARIABLE}="):
        why = "a folder that is named is used or nothing"
        return Finding("simpler assets", Status.problem, problem, why, Cure(hand=f"unset {packs.VARIABLE}"))
    try:
        pack = packs.resolve("standin")
    except (SuiteError, OSError) as error:
        return Finding("simpler assets", Status.problem, f"{problem}; {error}", "no world can be built without meshes", cure)
    why = "sizes and masses are upstream's, pictures are not: results are marked and never stand beside official ones"
    return Finding("simpler assets", Status.note, f"stand-ins ({pack.fingerprint}); no official pack", why, cure)
