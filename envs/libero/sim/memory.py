"""MuJoCo's bindings, typed as `Any` because they carry no types, and the release of its memory.

Import only after `install.import_libero`: the first import of mujoco chooses the GL backend.
"""

from __future__ import annotations

import ctypes
from importlib import import_module
from typing import Any

mujoco: Any = import_module("mujoco")


def release_compiler() -> None:
    """Free what MuJoCo's compiler retains: the last compiled XML with all meshes and textures (about 120 MB)."""
    mujoco.MjModel.from_xml_string("<mujoco/>")
    trim_memory()


def trim_memory() -> None:
    """Return freed memory to the system, if the C library supports it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim:
        trim(0)
