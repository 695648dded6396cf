"""Checks of the original SimplerEnv's interpreter, made by running it."""

import pytest
from nora_bench.harness.diagnostics import upstream
from nora_bench.harness.diagnostics.checks import Status
from nora_bench.harness.diagnostics.upstream import ProbeResult, examine_upstream, probe

RIGHT = {"python": "3.11.7", "numpy": "1.26.4", "setuptools": "80.9.0", "msgpack": "1.1.0", "sapien": "2.2.2"}


@pytest.fixture
def probes(monkeypatch):
    """Replaces the interpreter: `fake(packages=..., none=..., vulkan=...)` returns the checks for these probes."""

    def fake(**probed):
        monkeypatch.setattr(upstream, "probe", lambda python, what: probed[what])
        return {result.name: result for result in examine_upstream("/opt/simpler/bin/python")}

    return fake


def test_interpreter_that_runs_and_renders_passes(probes):
    results = probes(packages=ProbeResult(RIGHT), none=ProbeResult(RIGHT), vulkan=ProbeResult({**RIGHT, "brightest": 255}))
    assert {result.status for result in results.values()} == {Status.ok}


def test_missing_gpu_is_a_note(probes):
    results = probes(
        packages=ProbeResult(RIGHT),
        none=ProbeResult(RIGHT),
        vulkan=ProbeResult({}, "RuntimeError: Cannot find a rendering device"),
    )
    assert results["upstream step"].status is Status.ok
    assert results["upstream rendering"].status is Status.note
    assert "backend sapien3 renders anywhere" in results["upstream rendering"].reason


@pytest.mark.parametrize(
    ("package", "version", "says"),
    [("numpy", "2.1.0", "below 2"), ("setuptools", "82.0", "below 81"), ("msgpack", "", "msgpack"), ("sapien", "3.0.3", "2.2.2")],
)
def test_wrong_package_version_is_named_with_its_fix(probes, package, version, says):
    results = probes(packages=ProbeResult({**RIGHT, package: version}))
    assert results["upstream python"].status is Status.problem
    assert says in results["upstream python"].reason
    assert "/opt/simpler/bin/python -m pip install" in results["upstream python"].fix.command


def test_missing_vulkan_loader_is_fixed_by_its_package(probes):
    results = probes(packages=ProbeResult(RIGHT), none=ProbeResult({}, "libvulkan.so.1: cannot open shared object file"))
    assert "libvulkan1" in results["upstream step"].fix.command


def test_package_that_fails_to_import_comes_with_the_install_command(probes):
    results = probes(packages=ProbeResult(RIGHT), none=ProbeResult({}, "SuiteError: the original SimplerEnv cannot be imported"))
    assert "git clone --recurse-submodules" in results["upstream step"].fix.command


def test_program_other_than_python_is_a_problem():
    (result,) = examine_upstream("/bin/true")
    assert (result.status, result.observed) == (Status.problem, "/bin/true: exit code 0")


def test_probe_lists_installed_versions(bare_python):
    probed = probe(bare_python, "packages")
    assert (probed.problem, probed.observed["sapien"]) == ("", "")
    assert probed.observed["numpy"]


def test_interpreter_without_simplerenv_is_reported(bare_python):
    assert "the original SimplerEnv cannot be imported" in probe(bare_python, "none").problem


def test_python_of_another_family_is_rejected(cli):
    assert "only simpler" in cli("doctor", "--python", "libero=/usr/bin/python3").err


def test_python_without_family_is_rejected(cli):
    ended = cli("doctor", "--python", "/usr/bin/python3")
    assert (ended.code, "name=value" in ended.err) == (2, True)
