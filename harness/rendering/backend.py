"""What draws a suite's pictures on this machine: OpenGL for MuJoCo's, Vulkan for SAPIEN's, nothing for other suites."""

from __future__ import annotations

from ...envs.base import Suite
from .gl import Backend, find_gl

NOTHING = Backend("none")


def find_driver(suite: Suite, *, foreign: bool = False) -> Backend:
    """The driver to draw that suite with, found by trying. Raises MissingRequirementError where none draws.

    `foreign`: the suite's worlds run in another interpreter, whose simulator finds its Vulkan driver by itself.
    """
    if suite.opengl:
        return find_gl()
    if not suite.vulkan:
        return NOTHING
    if foreign:
        return Backend("vulkan")
    from .vulkan import find_vulkan

    return find_vulkan()
