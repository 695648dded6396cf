"""Check of the Vulkan driver that SimplerEnv renders with."""

from __future__ import annotations

from pathlib import Path

from ...envs.errors import MissingRequirementError
from ...envs.simpler.sim.driver import can_ray_trace
from ..rendering import vulkan
from ..rendering.gl import Backend
from .checks import CheckResult, Fix, Status, ok

OS_RELEASE = Path("/etc/os-release")
DEBIAN, OTHERS = ("chromium-common",), ("mesa-vulkan-drivers",)
"""Packages with a software driver. Debian's chromium-common brings SwiftShader (31 MB to load, 66 MB on disk); Debian 12's
Mesa is too old for SAPIEN, and Ubuntu has Chromium as a snap only."""
GPU = "a GPU's driver with Vulkan (NVIDIA's, in a container: -e NVIDIA_DRIVER_CAPABILITIES=all)"


def rendering() -> CheckResult:
    """The Vulkan driver, found by rendering with each."""
    try:
        driver = vulkan.find_vulkan()
    except MissingRequirementError as error:
        reason = "policies with images cannot run SimplerEnv; others need no rendering"
        fix = Fix(apt=software_packages(), manual=GPU)
        return CheckResult("vulkan", Status.note, str(error).partition(". Type:")[0], reason, fix)
    return _rendered_by(driver)


def _rendered_by(driver: Backend) -> CheckResult:
    name = f"{driver.renderer} ({driver.name})"
    if can_ray_trace(driver.name):
        return ok("vulkan", f"{name}, traces rays")
    return ok("vulkan", f"{name}, no ray tracing: drawer tasks are rasterised, and records state it")


def software_packages() -> tuple[str, ...]:
    """Packages of this system with a software driver that SAPIEN can use."""
    try:
        lines = OS_RELEASE.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return DEBIAN if "ID=debian" in lines else OTHERS
