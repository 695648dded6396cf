"""The lock files hold what pyproject.toml asks for, and nothing but names, versions and hashes."""

import re
import tomllib

import pytest
from nora_bench.envs.libero.install import WITHOUT_DEPENDENCIES
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_layers import ROOT

TESTS, SIMULATORS = ROOT / "requirements" / "tests-3.11.lock", ROOT / "requirements" / "simulators.lock"
EXTRAS = ("libero", "simpler", "train", "dev")
LEFT_OUT = {"torch"}
PYTHON_311 = {"python_version": "3.11", "python_full_version": "3.11.0", "sys_platform": "linux", "platform_system": "Linux"}


def locked(path):
    """Name -> version."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", path.read_text(), re.MULTILINE))


def asked(project, extras):
    """The requirements of the package with those extras, those that it asks of itself followed."""
    for text in [*project["dependencies"], *(text for extra in extras for text in project["optional-dependencies"][extra])]:
        one = Requirement(text)
        if one.name == project["name"]:
            yield from asked({**project, "dependencies": []}, one.extras)
        elif one.marker is None or one.marker.evaluate(PYTHON_311):
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
