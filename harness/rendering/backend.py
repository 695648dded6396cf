"""Rendering backend of a suite on this machine: OpenGL for MuJoCo, Vulkan for SAPIEN, none for other suites."""

from __future__ import annotations

from ...envs.base import Suite
from .gl import Backend, find_gl

NO_RENDERING = Backend("none")


def find_driver(suite: Suite, *, foreign: bool = False) -> Backend:
    """The backend to render that suite with, found by probing. Raises MissingRequirementError where none works.

    `foreign`: the suite's environments run in another interpreter, whose simulator finds its Vulkan driver by itself.
    """
    if suite.opengl:
        return find_gl()
    if not suite.vulkan:
        return NO_RENDERING
    if foreign:
        return Backend("vulkan")
    from .vulkan import find_vulkan

    return find_vulkan()
