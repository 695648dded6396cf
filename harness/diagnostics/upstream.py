"""Can the original SimplerEnv be played by the interpreter that `--python simpler=...` names? Tried by playing a step."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...envs import suites
from ...envs.errors import SuiteError
from ...envs.paths import cache_home
from ..execution.worker_process import bridge
from .checks import Cure
from .doctor import Finding, Status, ok

SET_UP = (
    "python3.11 -m venv simpler && simpler/bin/pip install 'numpy<2' 'setuptools<81' msgpack && "
    "git clone --recurse-submodules https://github.com/simpler-env/SimplerEnv && "
    "simpler/bin/pip install -e SimplerEnv/ManiSkill2_real2sim -e SimplerEnv"
)
LINE = 240
"""Characters of a foreign message that are passed on."""
TRY = """
import json, os, sys
from importlib.metadata import PackageNotFoundError, version
found = {"python": sys.version.split()[0]}
for name in ("numpy", "setuptools", "msgpack", "sapien", "mani_skill2_real2sim"):
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        found[name] = ""
if os.environ["NORA_BENCH_TRY"] != "packages":
    import numpy
    from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec
    from nora_bench.envs.simpler.sim.upstream import UpstreamEnv
    gl = os.environ["NORA_BENCH_TRY"]
    world = UpstreamEnv(EnvOptions(os.environ["NORA_BENCH_PACK"], gl, ""))
    cameras = () if gl == "none" else ("primary",)
    world.reset(EpisodeSpec("simpler-vm", 0, 0, 0, "", "urdf_base/standing"), None, ObservationSpec(cameras=cameras))
    world.step(numpy.zeros(7), observe=True)
    found["brightest"] = max((int(image.max()) for image in world.observation().images.values()), default=0)
print("\\n" + json.dumps(found), flush=True)
os._exit(0)
"""
"""Says what is installed there, and plays one step: without pictures for `none`. Leaves without destructors."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a trial."""

    found: Mapping[str, Any]
    problem: str = ""


def examine_upstream(python: str) -> Iterator[Finding]:
    """Findings about that interpreter: what is installed, whether the original plays there, whether it draws."""
    packages = attempt(python, "packages")
    if packages.problem:
        yield Finding("upstream", Status.problem, f"{python}: {packages.problem}", "it cannot be started", Cure(hand=SET_UP))
        return
    there = installed(python, packages.found)
    yield there
    if there.status is not Status.ok:
        return
    played = attempt(python, "none")
    if played.problem:
        yield Finding("upstream plays", Status.problem, played.problem, "no episode can be played there", _cure(played.problem))
        return
    yield ok("upstream plays", "a step without pictures")
    yield pictures(attempt(python, "vulkan"))


def _cure(problem: str) -> Cure:
    return Cure(apt=("libvulkan1",)) if "libvulkan" in problem else Cure(hand=SET_UP)


def _assets() -> str:
    """The official pack, which runs play with where it is there; upstream's own data elsewhere."""
    try:
        return suites.get("simpler-vm").resolve_assets("official").path
    except SuiteError:
        return ""


def installed(python: str, found: Mapping[str, str]) -> Finding:
    """Whether the versions are those that SAPIEN 2.2.2 works with."""
    text = ", ".join(f"{name} {version or 'missing'}" for name, version in found.items())
    wrong = []
    if int(found["numpy"].partition(".")[0] or 9) >= 2:
        wrong.append("numpy must be below 2: SAPIEN 2.2.2's inverse kinematics breaks with 2")
    if int(found["setuptools"].partition(".")[0] or 99) >= 81:
        wrong.append("setuptools must be below 81: SAPIEN 2.2.2 imports pkg_resources")
    if not found["msgpack"]:
        wrong.append("msgpack is what our worker speaks")
    if found["sapien"] != "2.2.2":
        wrong.append("the original needs sapien 2.2.2")
    if not wrong:
        return ok("upstream python", f"{python}: {text}")
    pins = ("numpy<2", "setuptools<81", "msgpack", "sapien==2.2.2")
    cure = Cure(hand=f"{python} -m pip install {' '.join(map(repr, pins))}")
    return Finding("upstream python", Status.problem, f"{python}: {text}", "; ".join(wrong), cure)


def pictures(tried: Tried) -> Finding:
    """Whether upstream's renderer draws on this machine."""
    if not tried.problem and tried.found["brightest"] > 0:
        return ok("upstream pictures", "drawn")
    why = "policies that look need a GPU there: SAPIEN 2.2.2 refuses software drivers (backend sapien3 draws anywhere)"
    return Finding("upstream pictures", Status.note, tried.problem or "the picture is black", why)


def attempt(python: str, what: str, *, timeout_s: float = 300.0) -> Tried:
    """Run the trial in that interpreter: `packages` only looks, `none` plays blind, `vulkan` draws."""
    home = cache_home()
    asked = {"NORA_BENCH_TRY": what, "NORA_BENCH_PACK": "" if what == "packages" else _assets()}
    env = {**os.environ, "PYTHONPATH": str(bridge(home)), **asked}
    try:
        done = subprocess.run(
            [python, "-c", TRY],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            cwd="/",  # where no module of somebody's hides theirs
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Tried({}, str(error))
    if done.returncode < 0:
        return Tried({}, f"the process died of signal {-done.returncode}")
    try:
        return Tried(json.loads(done.stdout.strip().rpartition("\n")[2]))
    except ValueError:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        return Tried({}, said[-1][:LINE])
