"""Which Vulkan driver draws SimplerEnv on this machine, found by drawing with it, and whether it traces rays.

A GPU's driver first, then any other. Each is tried in a process of its own; what worked is remembered as for OpenGL
(`gl.py`). `VK_DRIVER_FILES` or `VK_ICD_FILENAMES` in the environment decides by itself.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ...envs.simpler.sim.driver import VULKAN, VULKAN_RT
from ..errors import MissingRequirementError
from .gl import Backend, cause, remembered

VARIABLES = ("VK_DRIVER_FILES", "VK_ICD_FILENAMES")
SYSTEM = ("/etc/vulkan/icd.d/*.json", "/usr/share/vulkan/icd.d/*.json", "/usr/local/share/vulkan/icd.d/*.json")
"""Where the Vulkan loader looks by itself."""
SWIFTSHADER = (
    "/usr/lib/chromium*/vk_swiftshader_icd.json",
    "/usr/lib64/chromium*/vk_swiftshader_icd.json",
    "/opt/google/chrome*/vk_swiftshader_icd.json",
    "~/.cache/ms-playwright/chromium*/chrome*/vk_swiftshader_icd.json",
)
"""Browsers bring a software driver along that no loader looks for."""

PROBE = """
import os
from nora_bench.envs.simpler.sim.driver import probe_driver
print(*probe_driver(os.environ["NORA_BENCH_VULKAN"]), sep="\\n", flush=True)
os._exit(0)
"""
"""Draws a red box and says what drew it; leaves without destructors, which some drivers do not survive."""


def try_vulkan(name: str, *, timeout_s: float = 120.0) -> Backend:
    """Draw a box with that driver (see `envs.simpler.driver`), in a process of its own; by tracing rays where it is named so."""
    env = {**os.environ, "NORA_BENCH_VULKAN": name}
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return Backend(name, problem=f"no answer within {timeout_s:.0f} s")
    verdict, _, device = done.stdout.strip().partition("\n")
    if done.returncode == 0 and verdict == "drawn":
        return Backend(name, renderer=device)
    return Backend(name, problem="the picture is black" if verdict == "black" else cause(done))


def find_vulkan() -> Backend:
    """The driver to draw with. Raises MissingRequirementError where none draws."""
    there = hashlib.sha256("\n".join(drivers()).encode()).hexdigest()[:8]  # a driver that came or went is tried anew
    return remembered(f"vulkan-{there}", "sapien", VARIABLES, _find)


def drivers() -> Iterator[str]:
    """Names of the drivers worth trying, in this order: the loader's own choice, then every file by itself."""
    yield VULKAN
    if any(os.environ.get(variable) for variable in VARIABLES):
        return
    for pattern in (*SYSTEM, *SWIFTSHADER):
        path = Path(os.path.expanduser(pattern))  # noqa: PTH111  does not raise for a user without a home
        yield from (f"{VULKAN}:{found}" for found in sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor)))))


def _find() -> Backend:
    tried: list[Backend] = []
    for name in drivers():
        tried.append(try_vulkan(name))
        if tried[-1].hardware:
            break
    best = next((one for one in reversed(tried) if one.hardware), next((one for one in tried if one.works), None))
    if best is None:
        causes = "; ".join(f"{one.name}: {one.problem}" for one in tried)
        raise MissingRequirementError(f"no Vulkan driver can draw on this machine ({causes}). Type: nora-bench doctor --fix")
    if best.hardware and (tracing := try_vulkan(best.name.replace(VULKAN, VULKAN_RT, 1))).works:
        return tracing
    return best
