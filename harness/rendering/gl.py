"""Which OpenGL backend draws on this machine, found by drawing with it.

A GPU's EGL first, then OSMesa, then EGL in software (the two software routes draw alike where they come from one Mesa;
LIBERO's reference pictures were made with OSMesa). Each is tried in a process of its own, because a GL library that
fails can take its process down. What worked is remembered per machine in our cache folder; failures are not, so that
a library installed a minute ago is found. `MUJOCO_GL=egl` or `osmesa` in the environment decides by itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ...envs.paths import cache_home
from ..errors import MissingRequirementError

NAMES = ("egl", "osmesa")
SOFTWARE = ("llvmpipe", "softpipe", "swrast", "software", "swiftshader")
DEVICES = ("CUDA_VISIBLE_DEVICES", "MUJOCO_EGL_DEVICE_ID")

PROBE = """
import os
import mujoco
import mujoco.gl_context
from OpenGL import GL
model = mujoco.MjModel.from_xml_string(
    '<mujoco><worldbody><light pos="0 0 2"/><geom type="sphere" size=".5" rgba="1 0 0 1"/>'
    '<camera name="c" pos="0 -2 0" xyaxes="1 0 0 0 0 1"/></worldbody></mujoco>')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = mujoco.Renderer(model, 32, 32)
renderer.update_scene(data, "c")
picture = renderer.render().astype(int)
red, green, blue = picture[16, 16]
print("drawn" if red > 2 * max(green, blue, 1) else "black", GL.glGetString(GL.GL_RENDERER).decode(), flush=True)
os._exit(0)
"""
"""Draws a red ball and says what drew it; leaves without destructors, which some drivers do not survive."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One way to draw, as tried on this machine."""

    name: str
    """`egl`, `osmesa`, or a Vulkan driver (`vulkan.py`)."""
    renderer: str = ""
    """What the library calls itself; empty where nothing could be drawn."""
    problem: str = ""
    """Why nothing could be drawn; empty where it could."""

    @property
    def works(self) -> bool:
        """Whether the ball was drawn."""
        return not self.problem

    @property
    def hardware(self) -> bool:
        """Whether a GPU drew it."""
        return self.works and not any(word in self.renderer.lower() for word in SOFTWARE)


def try_backend(name: str, *, timeout_s: float = 60.0) -> Backend:
    """Draw a ball with that backend, in a process of its own."""
    env = {**os.environ, "MUJOCO_GL": name, "PYOPENGL_PLATFORM": name}
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
    verdict, _, renderer = done.stdout.strip().rpartition("\n")[2].partition(" ")
    if done.returncode == 0 and verdict == "drawn":
        return Backend(name, renderer=renderer)
    return Backend(name, problem="the picture is black" if verdict == "black" else cause(done))


def cause(done: subprocess.CompletedProcess[str]) -> str:
    """Why a trial in a process of its own came to nothing."""
    if done.returncode < 0:
        return f"the process died of signal {-done.returncode}"
    raised = re.search(r"^[\w.]+(Error|Exception)\b.*$", done.stderr, re.MULTILINE)
    return raised.group() if raised else f"exit code {done.returncode}"


def find_gl() -> Backend:
    """The backend to draw with. Raises MissingRequirementError where none draws."""
    forced = os.environ.get("MUJOCO_GL", "").lower()
    if forced in NAMES:
        return _working(try_backend(forced))
    return remembered("gl", "mujoco", DEVICES, lambda: _working(*_candidates()))


def remembered(kind: str, distribution: str, variables: Sequence[str], find: Callable[[], Backend]) -> Backend:
    """What was found by trying on this machine before, else what `find` finds now.

    Args:
        kind: of the backends, to tell their notes apart.
        distribution: that draws; another version is tried anew.
        variables: of the environment, that decide what is found.
        find: tries; raises MissingRequirementError, which is not remembered.
    """
    note = _note(kind, distribution, variables)
    try:
        return Backend(**json.loads(note.read_bytes()))
    except (OSError, ValueError, TypeError):
        found = find()
    _remember(note, found)
    return found


def choose_gl() -> str:
    """Name of the backend to draw with, `egl` or `osmesa`. Raises MissingRequirementError where none draws."""
    return find_gl().name


def _candidates() -> list[Backend]:
    egl = try_backend("egl")
    return [egl] if egl.hardware else [try_backend("osmesa"), egl]


def _working(*tried: Backend) -> Backend:
    for backend in tried:
        if backend.works:
            return backend
    causes = "; ".join(f"{backend.name}: {backend.problem}" for backend in tried)
    raise MissingRequirementError(f"no OpenGL backend can draw on this machine ({causes}). Type: nora-bench doctor --fix")


def _note(kind: str, distribution: str, variables: Sequence[str]) -> Path:
    """File for what was found; its name changes with the machine, its devices and the package that draws."""
    try:
        installed = version(distribution)
    except PackageNotFoundError:
        installed = ""
    devices = sorted(map(str, [*Path("/dev").glob("nvidia*"), *Path("/dev").glob("dri/*")]))
    facts = [platform.node(), sys.executable, installed, *devices, *(os.environ.get(name, "") for name in variables)]
    return cache_home() / f"{kind}-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]}.json"


def _remember(note: Path, backend: Backend) -> None:
    """Keep what was found; a cache that cannot be written costs a second at the next start, nothing else."""
    scratch = note.with_suffix(f".{os.getpid()}.tmp")
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(asdict(backend)), encoding="utf-8")
        scratch.replace(note)
    except OSError:
        return
