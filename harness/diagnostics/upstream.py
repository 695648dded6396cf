"""Checks of the original SimplerEnv in the interpreter given by `--python simpler=...`, made by running a step there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...envs import suites
from ...envs.bridge import bridge
from ...envs.errors import SuiteError
from ...envs.paths import cache_home
from ..rendering.probe import ProbeError, last_line, run_probe
from .checks import CheckResult, Fix, Status, ok

SET_UP = (
    "python3.11 -m venv simpler && simpler/bin/pip install 'numpy<2' 'setuptools<81' msgpack && "
    "git clone --recurse-submodules https://github.com/simpler-env/SimplerEnv && "
    "simpler/bin/pip install -e SimplerEnv/ManiSkill2_real2sim -e SimplerEnv"
)
LINE = 240
"""Characters kept of another program's message."""
PROBE_SCRIPT = """
import json, os, sys
from importlib.metadata import PackageNotFoundError, version
observed = {"python": sys.version.split()[0]}
for name in ("numpy", "setuptools", "msgpack", "sapien", "mani_skill2_real2sim"):
    try:
        observed[name] = version(name)
    except PackageNotFoundError:
        observed[name] = ""
if os.environ["NORA_BENCH_PROBE"] != "packages":
    import numpy
    from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec
    from nora_bench.envs.simpler.sim.upstream import UpstreamEnv
    gl = os.environ["NORA_BENCH_PROBE"]
    env = UpstreamEnv(EnvOptions(os.environ["NORA_BENCH_PACK"], gl, ""))
    cameras = () if gl == "none" else ("primary",)
    env.reset(EpisodeSpec("simpler-vm", 0, 0, 0, "", "urdf_base/standing"), None, ObservationSpec(cameras=cameras))
    env.step(numpy.zeros(7), observe=True)
    observed["brightest"] = max((int(image.max()) for image in env.observation().images.values()), default=0)
print("\\n" + json.dumps(observed), flush=True)
os._exit(0)
"""
"""Prints installed versions, and runs one step, for `none` without images. Exits without destructors."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Observations of a probe, or its problem."""

    observed: Mapping[str, Any]
    problem: str = ""


def examine_upstream(python: str) -> Iterator[CheckResult]:
    """Checks of that interpreter: installed packages, a step of the original SimplerEnv, rendering."""
    packages = probe(python, "packages")
    if packages.problem:
        yield CheckResult(
            "upstream", Status.problem, f"{python}: {packages.problem}", "the interpreter cannot be started", Fix(manual=SET_UP)
        )
        return
    versions = installed(python, packages.observed)
    yield versions
    if versions.status is not Status.ok:
        return
    step = probe(python, "none")
    if step.problem:
        reason = "episodes cannot be run there"
        yield CheckResult("upstream step", Status.problem, step.problem, reason, _fix_for(step.problem))
        return
    yield ok("upstream step", "without images")
    yield rendering(probe(python, "vulkan"))


def _fix_for(problem: str) -> Fix:
    return Fix(apt=("libvulkan1",)) if "libvulkan" in problem else Fix(manual=SET_UP)


def _assets() -> str:
    """Folder of the official pack; empty, for upstream's own data, where it is missing."""
    try:
        return suites.get("simpler-vm").resolve_assets("official").path
    except SuiteError:
        return ""


def installed(python: str, observed: Mapping[str, str]) -> CheckResult:
    """Whether SAPIEN 2.2.2 works with the installed versions."""
    text = ", ".join(f"{name} {version or 'missing'}" for name, version in observed.items())
    wrong = []
    if int(observed["numpy"].partition(".")[0] or 9) >= 2:
        wrong.append("numpy must be below 2: SAPIEN 2.2.2's inverse kinematics breaks with 2")
    if int(observed["setuptools"].partition(".")[0] or 99) >= 81:
        wrong.append("setuptools must be below 81: SAPIEN 2.2.2 imports pkg_resources")
    if not observed["msgpack"]:
        wrong.append("the worker process needs msgpack")
    if observed["sapien"] != "2.2.2":
        wrong.append("the original needs sapien 2.2.2")
    if not wrong:
        return ok("upstream python", f"{python}: {text}")
    pins = ("numpy<2", "setuptools<81", "msgpack", "sapien==2.2.2")
    fix = Fix(manual=f"{python} -m pip install {' '.join(map(repr, pins))}")
    return CheckResult("upstream python", Status.problem, f"{python}: {text}", "; ".join(wrong), fix)


def rendering(probed: ProbeResult) -> CheckResult:
    """Whether upstream's renderer works on this machine."""
    if not probed.problem and probed.observed["brightest"] > 0:
        return ok("upstream rendering", "works")
    reason = "policies with images need a GPU there: SAPIEN 2.2.2 refuses software drivers (backend sapien3 renders anywhere)"
    return CheckResult("upstream rendering", Status.note, probed.problem or "the rendered image is black", reason)


def probe(python: str, what: str, *, timeout_s: float = 300.0) -> ProbeResult:
    """Run the probe in that interpreter: `packages` lists versions, `none` runs a step without images, `vulkan` renders."""
    variables = {
        "PYTHONPATH": str(bridge(cache_home())),
        "NORA_BENCH_PROBE": what,
        "NORA_BENCH_PACK": "" if what == "packages" else _assets(),
    }
    try:  # in /, where no local module shadows an installed one
        completed = run_probe(PROBE_SCRIPT, variables, python=python, timeout_s=timeout_s, folder="/")
    except ProbeError as error:
        return ProbeResult({}, str(error))
    try:
        return ProbeResult(json.loads(last_line(completed)))
    except ValueError:
        output = completed.stderr.strip() or completed.stdout.strip() or f"exit code {completed.returncode}"
        return ProbeResult({}, output.splitlines()[-1][:LINE])
