"""MuJoCo under its own name. Its bindings are compiled and carry no types, so type checkers are told not to ask.

Imported only after `install.import_libero`: what draws is decided when mujoco is first imported.
"""

from __future__ import annotations

import ctypes
from importlib import import_module
from typing import Any

mujoco: Any = import_module("mujoco")


def release_compiler() -> None:
    """Give back what MuJoCo's compiler keeps: the last compiled XML with all its meshes and textures (about 120 MB)."""
    mujoco.MjModel.from_xml_string("<mujoco/>")
    trim_memory()


def trim_memory() -> None:
    """Hand freed memory back to the system, where the C library can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim:
        trim(0)
