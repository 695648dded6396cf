"""Is this machine able to play LIBERO and SimplerEnv? Every check is made for real; a problem comes with what mends it."""

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
from ...envs.errors import SuiteError
from ...envs.libero.assets.packs import VARIABLE
from ...envs.libero.sim.install import MUJOCO_PINS, WITHOUT_DEPENDENCIES, libero_root
from ...envs.paths import SET_HOME, CacheError, ensure_cache_home
from ..planning import provenance
from ..planning.estimate import RESERVE_GIB, free_memory_gib, worker_gib
from ..rendering import gl
from . import disk, proxy, simpler
from .checks import Cure, Finding, Status, ok

PYTHONS = ((3, 11), (3, 13))
"""Oldest and newest that MuJoCo's pinned versions and our dependencies have wheels for."""
HUB = "https://huggingface.co/api/datasets/lerobot/libero-assets"
SUITE = "libero_spatial"
IMPORT_S = 300
"""The first import compiles robosuite's helpers."""
EGL = ("libegl1", "libgl1", "libgl1-mesa-dri")
OSMESA = ("libosmesa6",)
CONTAINER = "docker run -e NVIDIA_DRIVER_CAPABILITIES=all ..."
"""Without it, NVIDIA's container runtime leaves its EGL library outside."""


def examine(folder: Path) -> Iterator[Finding]:
    """Every finding, in the order in which problems are best mended. `folder` is where runs will be written."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(_hub)  # a network that swallows packets is waited for meanwhile
        yield python()
        packages = [*libero_packages()]
        yield from packages
        if not any(finding.status is Status.problem for finding in packages):
            yield libero_imports()
        yield from drawing()
        yield assets()
        yield from simpler_env()
        yield from proxy.proxies()
        yield hub(answer.result())
        yield from disk.folders(folder)
        yield disk.terminal()
        yield memory()


def python() -> Finding:
    """The interpreter."""
    found = f"{provenance.host()['python']} at {sys.executable}"
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return ok("python", found)
    wanted = " to ".join(f"{major}.{minor}" for major, minor in PYTHONS)
    return Finding(
        "python",
        Status.problem,
        found,
        f"the pinned simulators have wheels for Python {wanted}",
        Cure(hand=f"python{PYTHONS[0][0]}.{PYTHONS[0][1]} -m venv .venv"),
    )


def libero_packages() -> Iterator[Finding]:
    """MuJoCo, the packages installed without their dependencies, and everything else in the extra."""
    yield mujoco()
    yield extra("libero", "LIBERO's code imports them")
    yield hf_libero()


def mujoco() -> Finding:
    """MuJoCo's version, which decides results."""
    found = _version("mujoco")
    wanted = MUJOCO_PINS[0] if sys.version_info < (3, 13) else MUJOCO_PINS[1]
    if found in MUJOCO_PINS:
        return ok("mujoco", found)
    why = (
        "other versions change results: from 3.3.0 states in their last digits, from 3.3.3 pictures (dark floors in "
        "libero_object), from 3.4.0 contacts (the bowl of libero_spatial task 5 is not seated)"
    )
    return Finding("mujoco", Status.problem, found or "missing", why, Cure(pip=((f"mujoco=={wanted}",),)))


def hf_libero() -> Finding:
    """LIBERO itself and the two packages under it, which are installed without their dependencies."""
    found = [(pin, _version(pin.partition("==")[0])) for pin in WITHOUT_DEPENDENCIES]
    wrong = [f"{pin} ({installed or 'missing'})" for pin, installed in found if installed != pin.partition("==")[2]]
    if not wrong:
        return ok("hf-libero", " ".join(WITHOUT_DEPENDENCIES))
    why = "LIBERO's worlds were verified with these versions"
    cure = Cure(pip=(("--no-deps", *WITHOUT_DEPENDENCIES),))
    return Finding("hf-libero", Status.problem, f"not as wanted: {', '.join(wrong)}", why, cure)


def extra(name: str, why: str) -> Finding:
    """What an extra of this package names and is not installed, or not in a version that will do."""
    lacking = []
    for line in requires("nora-bench") or ():
        wanted = Requirement(line)
        if wanted.name == "mujoco" or not wanted.marker or not wanted.marker.evaluate({"extra": name}):
            continue
        if not wanted.specifier.contains(_version(wanted.name) or "0", prereleases=True):
            lacking.append(f"{wanted.name}{wanted.specifier}")
    if not lacking:
        return ok(f"extra [{name}]", "all installed")
    return Finding(f"extra [{name}]", Status.problem, f"lacks {', '.join(lacking)}", why, Cure(pip=(tuple(lacking),)))


def libero_imports() -> Finding:
    """LIBERO's environments, imported in a process of their own, without pictures."""
    code = (
        "import sys; from pathlib import Path; from nora_bench.envs.libero.sim.install import import_libero; "
        "here = Path(sys.argv[1]); import_libero(here, here, gl='none')"
    )
    name, why = "hf-libero imports", "no LIBERO world can be built"
    try:
        command = [sys.executable, "-c", code, str(ensure_cache_home())]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=IMPORT_S)
    except CacheError as error:
        return Finding(name, Status.problem, str(error).partition(" Type:")[0], why, Cure(hand=SET_HOME))
    except subprocess.TimeoutExpired:
        look = Cure(hand=f"{sys.executable} -X importtime -c 'import robosuite'   (shows what hangs)")
        return Finding(name, Status.problem, f"not imported within {IMPORT_S} s", why, look)
    if done.returncode == 0:
        return ok(name, str(libero_root().parent))
    last = done.stderr.strip().rpartition("\n")[2]
    return Finding(name, Status.problem, last, why, _import_cure(last))


def _import_cure(problem: str) -> Cure:
    """What mends an import that ended so: packages where one is missing, else a look at the whole error."""
    if ".so" in problem:
        return Cure(apt=("libgl1", "libglib2.0-0"))
    if any(words in problem for words in ("No module", "cannot import", "not installed", "is not hf-libero")):
        return Cure(pip=(("--no-deps", *WITHOUT_DEPENDENCIES),))
    return Cure(hand=f"{sys.executable} -c 'import robosuite'   (shows the whole error)")


def drawing() -> Iterator[Finding]:
    """Each GL backend, tried by drawing with it, and the GPUs."""
    if not _version("mujoco"):
        yield Finding("gl", Status.note, "not tried: MuJoCo is missing", "policies that look need pictures")
        return
    egl, osmesa = (gl.try_backend(name) for name in gl.NAMES)
    able = egl.works or osmesa.works
    for backend, packages in ((egl, EGL), (osmesa, OSMESA)):
        name = f"gl {backend.name}"
        if backend.works:
            yield ok(name, backend.renderer)
        else:
            why = "another backend draws" if able else "policies that look need pictures"
            status = Status.note if able else Status.problem
            yield Finding(name, status, backend.problem, why, Cure(apt=packages))
    yield gpu(egl)


def gpu(egl: gl.Backend) -> Finding:
    """GPUs, and whether pictures are drawn on one."""
    gpus = provenance.hardware()["gpus"]
    if not gpus:
        return ok("gpu", "none; pictures are drawn in software")
    if egl.hardware:
        return ok("gpu", f"{'; '.join(gpus)}; draws the pictures")
    why = "pictures are drawn in software though there is a GPU"
    return Finding("gpu", Status.note, "; ".join(gpus), why, Cure(apt=EGL, hand=CONTAINER))


def assets() -> Finding:
    """The official meshes and textures."""
    try:
        pack = suites.get(SUITE).resolve_assets("official")
    except SuiteError as error:
        return _without_official(str(error))
    return ok("assets", f"official, fingerprint {pack.fingerprint}, {pack.path}")


def _without_official(problem: str) -> Finding:
    cure = Cure(hand=f"nora-bench assets fetch   (or export {VARIABLE}=FOLDER)")
    if problem.startswith(f"{VARIABLE}="):
        return Finding(
            "assets", Status.problem, problem, "a folder that is named is used or nothing", Cure(hand=f"unset {VARIABLE}")
        )
    try:
        pack = suites.get(SUITE).resolve_assets("standin")
    except (SuiteError, OSError) as error:
        return Finding("assets", Status.problem, f"{problem}; {error}", "no world can be built without meshes", cure)
    why = "physics is LIBERO's own, pictures are not: results are marked and never stand beside official ones"
    return Finding("assets", Status.note, f"stand-ins ({pack.fingerprint}); no official pack", why, cure)


def simpler_env() -> Iterator[Finding]:
    """SimplerEnv, which is played only where its extra was installed: packages, Vulkan drivers, assets."""
    if not _version("sapien"):
        cure = Cure(hand="pip install 'nora-bench[simpler]'")
        yield Finding("extra [simpler]", Status.note, "not installed", "SimplerEnv's suites need it", cure)
        return
    packages = extra("simpler", "SimplerEnv's worlds import them")
    yield packages
    if packages.status is Status.ok:
        yield simpler.drawing()
    yield simpler.assets()


def hub(reached: str) -> Finding:
    """The hub that holds the official assets and most models."""
    if not reached:
        return ok("hub", "huggingface.co answers")
    why = "assets and models cannot be downloaded here; what is on this machine already works"
    cure = Cure(hand="export HTTPS_PROXY=http://PROXY:PORT NO_PROXY=localhost,127.0.0.1   (where a proxy leads out)")
    return Finding("hub", Status.note, reached, why, cure)


def _hub() -> str:
    """Why the hub does not answer; empty where it does."""
    try:
        with urllib.request.urlopen(HUB, timeout=5):
            return ""
    except urllib.error.HTTPError as error:
        return f"huggingface.co answers {error.code}"
    except (OSError, ValueError) as error:
        return f"no answer from huggingface.co ({getattr(error, 'reason', error)})"


def memory() -> Finding:
    """Memory against workers."""
    free, each, cores = free_memory_gib(), worker_gib(suites.get(SUITE)), provenance.usable_cores()
    workers = min(cores, int((free - RESERVE_GIB) / each))
    found = f"{free:.1f} GiB free, {each:g} GiB per worker, {cores} cores: {max(workers, 1)} workers"
    if workers >= cores:
        return ok("memory", found)
    why = "memory, not cores, limits the number of workers" if workers > 0 else "one worker may not fit"
    return Finding("memory", Status.note, found, why, Cure(hand="nora-bench run --workers 1 ..."))


def _version(name: str) -> str:
    """Installed version of a distribution; empty where it is missing."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def worst(findings: Sequence[Finding]) -> Status:
    """The worst status among the findings."""
    order: Callable[[Status], int] = list(Status).index
    return max((finding.status for finding in findings), key=order, default=Status.ok)
