"""Check of the interpreter of SimplerEnv's backend sapien2, and the commands that make it."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from ...envs.bridge import bridge
from ...envs.paths import cache_home
from ...envs.simpler import interpreter
from ..rendering.probe import ProbeError, last_line, run_probe
from .checks import CheckResult, Fix, Status, ok

NAME = "sapien2"
REASON = "SimplerEnv's suites run on SAPIEN 3 meanwhile, whose contacts differ from the original's"
FAILS = "episodes of backend sapien2 fail"
PROBE_SCRIPT = """
import json, os
from nora_bench.envs.simpler.sim.sapien2.server import make_engine, versions
make_engine(os.environ["NORA_BENCH_PROBE"]).create_scene().step()
print("\\n" + json.dumps(versions()), flush=True)
os._exit(0)
"""
"""Runs one physics step and prints the versions."""


def examine_sapien2() -> CheckResult:
    """Whether backend sapien2 works, by running a physics step there."""
    named, python = os.environ.get(interpreter.VARIABLE), interpreter.find_interpreter()
    others = Fix(manual=f"unset {interpreter.VARIABLE}")  # an interpreter of the user's, in which nothing is installed
    if python is None and named:
        observed = f"{interpreter.VARIABLE}={named}: file not found"
        return CheckResult(NAME, Status.problem, observed, FAILS, others)
    if python is None:
        observed = f"interpreter of SAPIEN 2.2.2 not found: {interpreter.venv_folder()}"
        return CheckResult(NAME, Status.note, observed, REASON, new_interpreter())
    versions, problem = probe(python)
    wrong = [
        f"{name} {pin} ({versions.get(name) or 'missing'})"
        for name, pin in interpreter.VERSIONS.items()
        if versions.get(name) != pin
    ]
    if not problem and not wrong:
        return ok(NAME, f"{python}: {', '.join(f'{name} {version}' for name, version in versions.items())}")
    observed = f"{python}: {problem}" if problem else f"{python}: other versions required: {', '.join(wrong)}"
    fix = others if named else Fix(interpreter=install(python))
    return CheckResult(NAME, Status.problem, observed, FAILS, fix)


def probe(python: Path, *, timeout_s: float = 120.0) -> tuple[dict[str, str], str]:
    """Versions in that interpreter, or the problem of a physics step there."""
    from ...envs.simpler.sim.sapien2.process import ONE_THREAD, vulkan_loader

    variables = {**ONE_THREAD, "PYTHONPATH": str(bridge(cache_home())), "NORA_BENCH_PROBE": str(vulkan_loader() or "")}
    try:
        completed = run_probe(PROBE_SCRIPT, variables, python=str(python), timeout_s=timeout_s, folder="/")
    except ProbeError as error:
        return {}, str(error)
    try:
        return json.loads(last_line(completed)), ""
    except ValueError:
        return {}, (completed.stderr.strip() or f"exit code {completed.returncode}").splitlines()[-1]


def new_interpreter() -> Fix:
    """Commands that make the interpreter, with one of Python 3.11 or 3.10 of this machine; else a command for the user."""
    folder = interpreter.venv_folder()
    base = next(interpreter.base_interpreters(), None)
    if base:
        make = (str(base), "-m", "venv", "--clear", str(folder))
        return Fix(interpreter=(make, *install(folder / "bin" / "python")))
    commands = (("uv", "venv", "--seed", "--python", "3.11", str(folder)), *install(folder / "bin" / "python"))
    return Fix(manual=f"{' && '.join(map(shlex.join, commands))}   (uv downloads Python 3.11)")


def install(python: Path) -> tuple[Sequence[str], ...]:
    """Commands that install the pinned versions."""
    pip = (str(python), "-m", "pip", "install")
    return (*pip, *interpreter.PINS), (*pip, "--no-deps", interpreter.PIN_ALONE)
