"""OpenGL backend of this machine, found by rendering with each.

Order: a GPU's EGL, OSMesa, EGL in software (both software backends render alike where they come from one Mesa;
LIBERO's reference images were made with OSMesa). A working backend is cached per machine in the cache folder; failures
are not, so that a library installed a minute ago is found. `MUJOCO_GL=egl` or `osmesa` overrides the search.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ...envs.base import OPENGL_BACKENDS
from ...envs.errors import MissingRequirementError
from ...envs.paths import cache_home
from ...envs.safe_io import atomic_write
from .probe import ProbeError, last_line, raised, run_probe

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
image = renderer.render().astype(int)
red, green, blue = image[16, 16]
print("drawn" if red > 2 * max(green, blue, 1) else "black", GL.glGetString(GL.GL_RENDERER).decode(), flush=True)
os._exit(0)
"""
"""Renders a red ball and prints the renderer; exits without destructors, which crash some drivers."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A rendering backend, as probed on this machine."""

    name: str
    """`egl`, `osmesa`, or a Vulkan driver (`vulkan.py`)."""
    renderer: str = ""
    """Name that the library reports; empty where rendering failed."""
    problem: str = ""
    """Cause of failure; empty where rendering succeeded."""

    @property
    def works(self) -> bool:
        """Whether rendering succeeded."""
        return not self.problem

    @property
    def hardware(self) -> bool:
        """Whether a GPU rendered."""
        return self.works and not any(word in self.renderer.lower() for word in SOFTWARE)


def try_backend(name: str, *, timeout_s: float = 60.0) -> Backend:
    """Render a ball with that backend, in a process of its own."""
    return probe_backend(name, PROBE, {"MUJOCO_GL": name, "PYOPENGL_PLATFORM": name}, timeout_s)


def probe_backend(name: str, script: str, variables: Mapping[str, str], timeout_s: float) -> Backend:
    """Run a script whose last line is `drawn RENDERER` or `black RENDERER`; the backend with its renderer or problem."""
    try:
        completed = run_probe(script, variables, timeout_s=timeout_s)
    except ProbeError as error:
        return Backend(name, problem=str(error))
    verdict, _, renderer = last_line(completed).partition(" ")
    if completed.returncode == 0 and verdict == "drawn":
        return Backend(name, renderer=renderer)
    return Backend(name, problem="the rendered image is black" if verdict == "black" else raised(completed))


def find_gl() -> Backend:
    """The backend to render with. Raises MissingRequirementError where none works."""
    forced = os.environ.get("MUJOCO_GL", "").lower()
    if forced in OPENGL_BACKENDS:
        return _working(try_backend(forced))
    return cached_backend("gl", "mujoco", DEVICES, lambda: _working(*_candidates()))


def cached_backend(kind: str, distribution: str, variables: Sequence[str], find: Callable[[], Backend]) -> Backend:
    """The backend cached for this machine, else the result of `find`, which is cached.

    Args:
        kind: kind of backend; part of the cache file's name.
        distribution: rendering package; another version of it is probed anew.
        variables: environment variables that affect the result.
        find: probes backends; raises MissingRequirementError, which is not cached.
    """
    path = _cache_file(kind, distribution, variables)
    try:
        return Backend(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        backend = find()
    _write_cache(path, backend)
    return backend


def _candidates() -> list[Backend]:
    egl = try_backend("egl")
    return [egl] if egl.hardware else [try_backend("osmesa"), egl]


def _working(*backends: Backend) -> Backend:
    for backend in backends:
        if backend.works:
            return backend
    causes = "; ".join(f"{backend.name}: {backend.problem}" for backend in backends)
    raise MissingRequirementError(f"no OpenGL backend can render on this machine ({causes}). Type: nora-bench doctor --fix")


def _cache_file(kind: str, distribution: str, variables: Sequence[str]) -> Path:
    """Cache file; its name depends on the machine, its devices and the rendering package."""
    try:
        installed = version(distribution)
    except PackageNotFoundError:
        installed = ""
    devices = sorted(map(str, [*Path("/dev").glob("nvidia*"), *Path("/dev").glob("dri/*")]))
    facts = [platform.node(), sys.executable, installed, *devices, *(os.environ.get(name, "") for name in variables)]
    return cache_home() / f"{kind}-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]}.json"


def _write_cache(path: Path, backend: Backend) -> None:
    """Write the cache; a cache that cannot be written costs a second at the next start, nothing else."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as scratch:
            scratch.write_text(json.dumps(asdict(backend)), encoding="utf-8")
