"""Lock files and constraints hold what pyproject.toml asks for, and nothing but names, versions and hashes."""

import os
import re
import subprocess
import tomllib

import pytest
from nora_bench.envs.libero.sim.install import WITHOUT_DEPENDENCIES
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_layers import ROOT

CONSTRAINTS = ROOT / "requirements" / "constraints.txt"
TESTS, SIMULATORS = ROOT / "requirements" / "tests-3.11.lock", ROOT / "requirements" / "simulators.lock"
EXTRAS = ("libero", "simpler", "train", "dev")
LEFT_OUT = {"torch"}
PYTHONS = ("3.11", "3.12", "3.13")


def machine(python):
    """Markers' values on Linux with that Python."""
    return {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux", "platform_system": "Linux"}


def constrained(python):
    """Name -> version of `constraints.txt` on that Python."""
    lines = map(Requirement, CONSTRAINTS.read_text(encoding="utf-8").splitlines())
    return {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for one in lines
        if one.marker is None or one.marker.evaluate(machine(python))
    }


def locked(path):
    """Name -> version."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", path.read_text(), re.MULTILINE))


def asked(project, extras, python="3.11"):
    """The requirements of the package with those extras on that Python, those that it asks of itself followed."""
    for text in [*project["dependencies"], *(text for extra in extras for text in project["optional-dependencies"][extra])]:
        one = Requirement(text)
        if one.name == project["name"]:
            yield from asked({**project, "dependencies": []}, one.extras, python)
        elif one.marker is None or one.marker.evaluate(machine(python)):
            yield one


def test_the_lock_satisfies_what_the_package_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = locked(TESTS)
    wrong = {
        str(one): versions.get(canonicalize_name(one.name))
        for one in asked(project, EXTRAS)
        if canonicalize_name(one.name) not in LEFT_OUT
        and not one.specifier.contains(versions.get(canonicalize_name(one.name), "0"), prereleases=True)
    }
    assert wrong == {}, "type: tox -e lock"


@pytest.mark.parametrize("path", [TESTS, SIMULATORS], ids=lambda path: path.name)
def test_a_lock_holds_names_versions_and_hashes_alone(path):
    line = re.compile(r"[a-z0-9-]+==\S+ \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert [text for text in path.read_text().splitlines() if not line.fullmatch(text)] == []


def test_the_simulators_are_locked_as_doctor_installs_them():
    assert {f"{name}=={version}" for name, version in locked(SIMULATORS).items()} == set(WITHOUT_DEPENDENCIES)


@pytest.mark.parametrize("python", PYTHONS)
def test_the_constraints_name_a_fitting_version_of_all_that_the_package_asks_for(python):
    project, versions = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"], constrained(python)
    wrong = {
        str(one): versions.get(canonicalize_name(one.name))
        for one in asked(project, EXTRAS, python)
        if not one.specifier.contains(versions.get(canonicalize_name(one.name), "0"), prereleases=True)
    }
    assert wrong == {}, "type: tox -e lock"


def test_a_constraint_is_a_name_and_one_version():
    line = re.compile(r"[a-z0-9-]+==[0-9a-z.]+( ; python_version == '3\.1[123]')?")
    assert [text for text in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if not line.fullmatch(text)] == []


def test_lock_and_constraints_name_the_same_versions():
    versions = constrained("3.11")
    assert {name: version for name, version in locked(TESTS).items() if versions.get(name) != version} == {}


def test_the_constraints_leave_what_doctor_installs_alone():
    assert {canonicalize_name(pin.partition("==")[0]) for pin in WITHOUT_DEPENDENCIES} & set(constrained("3.11")) == set()


@pytest.mark.parametrize("marker", ["run command", "test command"])
def test_the_readmes_commands_install_against_the_constraints(marker):
    block = (ROOT / "README.md").read_text(encoding="utf-8").partition(f"<!-- {marker} -->")[2].split("```")[1]
    assert " -c requirements/constraints.txt " in block


def test_ci_takes_its_torch_from_the_constraints(tmp_path):
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    line = next(text for text in script.splitlines() if text.endswith('>"$scratch/constraints.txt"'))
    subprocess.run(["bash", "-euc", line], cwd=ROOT, env={**os.environ, "scratch": str(tmp_path)}, check=True)
    assert (tmp_path / "constraints.txt").read_text().strip() == f"torch=={constrained('3.11')['torch']}"
