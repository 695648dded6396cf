"""Vulkan driver for SimplerEnv on this machine, found by rendering with each, and whether it traces rays.

A GPU's driver first, then any other. A working driver is cached as for OpenGL (`gl.py`). `VK_DRIVER_FILES` or
`VK_ICD_FILENAMES` overrides the search.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from ...envs.errors import MissingRequirementError
from ...envs.simpler.sim.driver import VULKAN, VULKAN_RT
from .gl import Backend, cached_backend, probe_backend

VARIABLES = ("VK_DRIVER_FILES", "VK_ICD_FILENAMES")
SYSTEM = ("/etc/vulkan/icd.d/*.json", "/usr/share/vulkan/icd.d/*.json", "/usr/local/share/vulkan/icd.d/*.json")
"""Folders that the Vulkan loader searches."""
SWIFTSHADER = (
    "/usr/lib/chromium*/vk_swiftshader_icd.json",
    "/usr/lib64/chromium*/vk_swiftshader_icd.json",
    "/opt/google/chrome*/vk_swiftshader_icd.json",
    "~/.cache/ms-playwright/chromium*/chrome*/vk_swiftshader_icd.json",
)
"""Software drivers of browsers, outside the loader's folders."""

PROBE = """
import os
from nora_bench.envs.simpler.sim.driver import probe_driver
print(*probe_driver(os.environ["NORA_BENCH_VULKAN"]), flush=True)
os._exit(0)
"""
"""Renders a red box and prints the renderer; exits without destructors, which crash some drivers."""


def try_vulkan(name: str, *, timeout_s: float = 120.0) -> Backend:
    """Render a box with that driver (see `envs.simpler.sim.driver`), in a process of its own; by ray tracing if so named."""
    return probe_backend(name, PROBE, {"NORA_BENCH_VULKAN": name}, timeout_s)


def find_vulkan() -> Backend:
    """The driver to render with. Raises MissingRequirementError where none works."""
    installed = hashlib.sha256("\n".join(drivers()).encode()).hexdigest()[:8]  # drivers added or removed are probed anew
    return cached_backend(f"vulkan-{installed}", "sapien", VARIABLES, _find)


def drivers() -> Iterator[str]:
    """Names of the drivers to probe, in order: the loader's own choice, then every file by itself."""
    yield VULKAN
    if any(os.environ.get(variable) for variable in VARIABLES):
        return
    for pattern in (*SYSTEM, *SWIFTSHADER):
        path = Path(os.path.expanduser(pattern))  # noqa: PTH111  does not raise for a user without a home
        yield from (f"{VULKAN}:{file}" for file in sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor)))))


def _find() -> Backend:
    backends: list[Backend] = []
    for name in drivers():
        backends.append(try_vulkan(name))
        if backends[-1].hardware:
            break
    gpus = [backend for backend in backends if backend.hardware]
    best = next(iter([*gpus[-1:], *(backend for backend in backends if backend.works)]), None)
    if best is None:
        causes = "; ".join(f"{backend.name}: {backend.problem}" for backend in backends)
        raise MissingRequirementError(f"no Vulkan driver can render on this machine ({causes}). Type: nora-bench doctor --fix")
    if best.hardware and (tracing := try_vulkan(best.name.replace(VULKAN, VULKAN_RT, 1))).works:
        return tracing
    return best
