"""Checks whether this machine can run LIBERO and SimplerEnv, each by doing what a run does; problems come with a fix."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from ...envs import suites
from ...envs.base import OPENGL_BACKENDS
from ...envs.libero.sim.install import MUJOCO_PINS, WITHOUT_DEPENDENCIES, libero_root
from ...envs.paths import SET_HOME, CacheError, ensure_cache_home
from ..planning import provenance
from ..planning.estimate import RESERVE_GIB, free_memory_gib, worker_gib
from ..rendering import gl
from . import disk, proxy, simpler
from .assets import assets
from .checks import CheckResult, Fix, Status, ok
from .sapien2 import examine_sapien2

PYTHONS = ((3, 11), (3, 13))
"""Oldest and newest Python for which MuJoCo's pinned versions and the dependencies have wheels."""
HUB = "https://huggingface.co/api/datasets/lerobot/libero-assets"
SUITE = "libero_spatial"
IMPORT_S = 300
"""The first import compiles robosuite's helpers."""
EGL = ("libegl1", "libgl1", "libgl1-mesa-dri")
OSMESA = ("libosmesa6",)
CONTAINER = "docker run -e NVIDIA_DRIVER_CAPABILITIES=all ..."
"""Without it, NVIDIA's container runtime leaves its EGL library outside."""


def examine(folder: Path) -> Iterator[CheckResult]:
    """Every check, in the order in which problems are best fixed. `folder`: where runs will be written."""
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(_hub)  # in parallel: a network that drops packets takes 5 s
        yield python()
        packages = [*libero_packages()]
        yield from packages
        if not any(result.status is Status.problem for result in packages):
            yield libero_imports()
        yield from rendering()
        yield assets("libero")
        yield from simpler_env()
        yield from proxy.proxies()
        yield hub(reply.result())
        yield from disk.folders(folder)
        yield disk.terminal()
        yield memory()


def python() -> CheckResult:
    """The interpreter."""
    observed = f"{provenance.host()['python']} at {sys.executable}"
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return ok("python", observed)
    expected = " to ".join(f"{major}.{minor}" for major, minor in PYTHONS)
    return CheckResult(
        "python",
        Status.problem,
        observed,
        f"the pinned simulators have wheels for Python {expected}",
        Fix(manual=f"python{PYTHONS[0][0]}.{PYTHONS[0][1]} -m venv .venv"),
    )


def libero_packages() -> Iterator[CheckResult]:
    """MuJoCo, the packages installed without their dependencies, and everything else in the extra."""
    yield mujoco()
    yield extra("libero", "LIBERO imports them")
    yield hf_libero()


def mujoco() -> CheckResult:
    """MuJoCo's version; results depend on it."""
    observed = _version("mujoco")
    expected = MUJOCO_PINS[0] if sys.version_info < (3, 13) else MUJOCO_PINS[1]
    if observed in MUJOCO_PINS:
        return ok("mujoco", observed)
    reason = (
        "other versions change results: from 3.3.0 states in their last digits, from 3.3.3 images (dark floors in "
        "libero_object), from 3.4.0 contacts (the bowl of libero_spatial task 5 is not seated)"
    )
    return CheckResult("mujoco", Status.problem, observed or "missing", reason, Fix(pip=((f"mujoco=={expected}",),)))


def hf_libero() -> CheckResult:
    """LIBERO itself and the two packages under it, which are installed without their dependencies."""
    versions = [(pin, _version(pin.partition("==")[0])) for pin in WITHOUT_DEPENDENCIES]
    wrong = [f"{pin} ({installed or 'missing'})" for pin, installed in versions if installed != pin.partition("==")[2]]
    if not wrong:
        return ok("hf-libero", " ".join(WITHOUT_DEPENDENCIES))
    reason = "LIBERO's environments were verified with these versions"
    fix = Fix(pip=(("--no-deps", *WITHOUT_DEPENDENCIES),))
    return CheckResult("hf-libero", Status.problem, f"other versions required: {', '.join(wrong)}", reason, fix)


def extra(name: str, reason: str) -> CheckResult:
    """Requirements of an extra of this package that are missing or in an unsuitable version."""
    missing = []
    for line in requires("nora-bench") or ():
        required = Requirement(line)
        if required.name == "mujoco" or not required.marker or not required.marker.evaluate({"extra": name}):
            continue
        if not required.specifier.contains(_version(required.name) or "0", prereleases=True):
            missing.append(f"{required.name}{required.specifier}")
    if not missing:
        return ok(f"extra [{name}]", "all installed")
    return CheckResult(f"extra [{name}]", Status.problem, f"missing: {', '.join(missing)}", reason, Fix(pip=(tuple(missing),)))


def libero_imports() -> CheckResult:
    """LIBERO's environments, imported in a process of their own, without rendering."""
    code = (
        "import sys; from pathlib import Path; from nora_bench.envs.libero.sim.install import import_libero; "
        "here = Path(sys.argv[1]); import_libero(here, here, gl='none')"
    )
    name, reason = "hf-libero imports", "LIBERO environments cannot be built"
    try:
        command = [sys.executable, "-c", code, str(ensure_cache_home())]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=IMPORT_S)
    except CacheError as error:
        return CheckResult(name, Status.problem, str(error).partition(" Type:")[0], reason, Fix(manual=SET_HOME))
    except subprocess.TimeoutExpired:
        fix = Fix(manual=f"{sys.executable} -X importtime -c 'import robosuite'   (shows what hangs)")
        return CheckResult(name, Status.problem, f"not imported within {IMPORT_S} s", reason, fix)
    if done.returncode == 0:
        return ok(name, str(libero_root().parent))
    last = done.stderr.strip().rpartition("\n")[2]
    return CheckResult(name, Status.problem, last, reason, _import_fix(last))


def _import_fix(problem: str) -> Fix:
    """Fix for a failed import: packages where one is missing, else the command that prints the whole error."""
    if ".so" in problem:
        return Fix(apt=("libgl1", "libglib2.0-0"))
    if any(words in problem for words in ("No module", "cannot import", "not installed", "is not hf-libero")):
        return Fix(pip=(("--no-deps", *WITHOUT_DEPENDENCIES),))
    return Fix(manual=f"{sys.executable} -c 'import robosuite'   (shows the whole error)")


def rendering() -> Iterator[CheckResult]:
    """Each OpenGL backend, checked by rendering with it, and the GPUs."""
    if not _version("mujoco"):
        yield CheckResult("gl", Status.note, "not checked: MuJoCo is missing", "policies with images need rendering")
        return
    egl, osmesa = (gl.try_backend(name) for name in OPENGL_BACKENDS)
    able = egl.works or osmesa.works
    for backend, packages in ((egl, EGL), (osmesa, OSMESA)):
        name = f"gl {backend.name}"
        if backend.works:
            yield ok(name, backend.renderer)
        else:
            reason = "another backend works" if able else "policies with images need rendering"
            status = Status.note if able else Status.problem
            yield CheckResult(name, status, backend.problem, reason, Fix(apt=packages))
    yield gpu(egl)


def gpu(egl: gl.Backend) -> CheckResult:
    """GPUs, and whether images are rendered on one."""
    gpus = provenance.hardware()["gpus"]
    if not gpus:
        return ok("gpu", "none; images are rendered in software")
    if egl.hardware:
        return ok("gpu", f"{'; '.join(gpus)}; renders the images")
    reason = "images are rendered in software although this machine has a GPU"
    return CheckResult("gpu", Status.note, "; ".join(gpus), reason, Fix(apt=EGL, manual=CONTAINER))


def simpler_env() -> Iterator[CheckResult]:
    """SimplerEnv, checked where its extra is installed: packages, Vulkan drivers, assets."""
    if not _version("sapien"):
        fix = Fix(manual="pip install 'nora-bench[simpler]'")
        yield CheckResult("extra [simpler]", Status.note, "not installed", "SimplerEnv's suites need it", fix)
        return
    packages = extra("simpler", "SimplerEnv's environments import them")
    yield packages
    if packages.status is Status.ok:
        yield simpler.rendering()
        yield examine_sapien2()
    yield assets("simpler")


def hub(reached: str) -> CheckResult:
    """The Hugging Face hub, with the official assets and most models."""
    if not reached:
        return ok("hub", "huggingface.co answers")
    reason = "assets and models cannot be downloaded; those on this machine work"
    fix = Fix(manual="export HTTPS_PROXY=http://PROXY:PORT NO_PROXY=localhost,127.0.0.1   (behind a proxy)")
    return CheckResult("hub", Status.note, reached, reason, fix)


def _hub() -> str:
    """Cause why the hub does not answer; empty where it does."""
    try:
        with urllib.request.urlopen(HUB, timeout=5):
            return ""
    except urllib.error.HTTPError as error:
        return f"huggingface.co answers {error.code}"
    except (OSError, ValueError) as error:
        return f"no answer from huggingface.co ({getattr(error, 'reason', error)})"


def memory() -> CheckResult:
    """Free memory and the number of workers that fit."""
    free, each, cores = free_memory_gib(), worker_gib(suites.get(SUITE)), provenance.usable_cores()
    workers = min(cores, int((free - RESERVE_GIB) / each))
    observed = f"{free:.1f} GiB free, {each:g} GiB per worker, {cores} cores: {max(workers, 1)} workers"
    if workers >= cores:
        return ok("memory", observed)
    reason = "memory, not cores, limits the number of workers" if workers > 0 else "one worker may not fit"
    return CheckResult("memory", Status.note, observed, reason, Fix(manual="nora-bench run --workers 1 ..."))


def _version(name: str) -> str:
    """Installed version of a distribution; empty where it is missing."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def worst(results: Sequence[CheckResult]) -> Status:
    """The worst status among the results."""
    order: Callable[[Status], int] = list(Status).index
    return max((result.status for result in results), key=order, default=Status.ok)
