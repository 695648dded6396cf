"""Checks of the interpreter of SimplerEnv's backend sapien2, and the commands that make it."""

import sys
from pathlib import Path

import pytest
from nora_bench.envs.simpler import interpreter
from nora_bench.harness.diagnostics import sapien2
from nora_bench.harness.diagnostics.checks import Status

RIGHT = interpreter.VERSIONS


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A machine without the interpreter; its folder in the cache."""
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path))
    monkeypatch.delenv(interpreter.VARIABLE, raising=False)
    return tmp_path / "simpler" / "sapien2"


@pytest.fixture
def probed(home, monkeypatch):
    """A machine with an interpreter: `probed(versions, problem)` examines it."""
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python").symlink_to(sys.executable)

    def examine(versions, problem=""):
        monkeypatch.setattr(sapien2, "probe", lambda python: (versions, problem))
        return sapien2.examine_sapien2()

    return examine


def test_missing_interpreter_is_made_from_a_python_of_this_machine(home, monkeypatch):
    monkeypatch.setattr(interpreter, "base_interpreters", lambda: iter([Path("/usr/bin/python3.11")]))
    result = sapien2.examine_sapien2()
    make, pins, alone = result.fix.interpreter
    assert result.status is Status.note
    assert make == ("/usr/bin/python3.11", "-m", "venv", "--clear", str(home))
    assert pins[0] == alone[0] == str(home / "bin" / "python")
    assert ("numpy==1.26.4" in pins, alone[-2:]) == (True, ("--no-deps", "sapien==2.2.2"))


def test_machine_without_a_suitable_python_gets_the_whole_command(home, monkeypatch):
    monkeypatch.setattr(interpreter, "base_interpreters", lambda: iter(()))
    fix = sapien2.examine_sapien2().fix
    assert fix.interpreter == ()
    assert f"uv venv --seed --python 3.11 {home} && {home}/bin/python -m pip install" in fix.command


def test_interpreter_that_runs_a_physics_step_passes(probed):
    assert probed(RIGHT).status is Status.ok


@pytest.mark.parametrize(("package", "version"), [("sapien", "3.0.3"), ("numpy", "2.1.0"), ("ruckig", "")])
def test_other_version_is_a_problem_with_its_fix(probed, home, package, version):
    result = probed({**RIGHT, package: version})
    assert result.status is Status.problem
    assert package in result.observed
    assert result.fix.interpreter[0][0] == str(home / "bin" / "python")


def test_nothing_is_installed_in_an_interpreter_that_the_variable_names(probed, monkeypatch):
    monkeypatch.setenv(interpreter.VARIABLE, sys.executable)
    fix = probed({**RIGHT, "numpy": "2.1.0"}).fix
    assert (fix.interpreter, fix.command) == ((), f"unset {interpreter.VARIABLE}")


def test_interpreter_that_cannot_step_is_a_problem(probed):
    result = probed({}, "ImportError: libvulkan.so.1")
    assert (result.status, "libvulkan" in result.observed) == (Status.problem, True)


def test_variable_that_names_no_file_is_to_be_unset(home, monkeypatch):
    monkeypatch.setenv(interpreter.VARIABLE, "/no/python")
    result = sapien2.examine_sapien2()
    assert (result.status, result.fix.command) == (Status.problem, f"unset {interpreter.VARIABLE}")


def test_program_without_sapien_2_is_reported(home):
    versions, problem = sapien2.probe(Path("/bin/false"))
    assert (versions, problem) == ({}, "exit code 1")


def test_base_interpreters_can_make_virtual_environments(monkeypatch, tmp_path):
    (tmp_path / "python3.11").write_text("#!/bin/sh\necho 3.11\n")
    (tmp_path / "python3.10").write_text("#!/bin/sh\nexit 1\n")
    for path in tmp_path.iterdir():
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = list(interpreter.base_interpreters())
    assert found[0] == tmp_path / "python3.11"
    assert tmp_path / "python3.10" not in found
