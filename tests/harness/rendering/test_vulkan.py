"""The Vulkan driver is chosen by what draws."""

import json

import pytest
from nora_bench.envs.errors import MissingRequirementError
from nora_bench.harness.rendering import vulkan
from nora_bench.harness.rendering.gl import Backend

PLAIN, OTHER, SWIFT = "vulkan", "vulkan:/other.json", "vulkan:/swiftshader.json"
TRACING = "vulkan-rt:/other.json"
SOFT = "SwiftShader Device (Subzero)"
GPU = "NVIDIA H100 PCIe"
NAMES = {PLAIN: "plain", OTHER: "other", SWIFT: "swift", TRACING: "other_rays", "vulkan-rt": "plain_rays"}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Lets each driver be what is said of it: a device's name, or nothing where it cannot draw; returns the names tried."""
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path))
    for variable in vulkan.VARIABLES:
        monkeypatch.delenv(variable, raising=False)

    def change(**devices):
        asked = []

        def fake(name, **_):
            asked.append(name)
            device = devices.get(NAMES[name], "")
            return Backend(name, renderer=device, problem="" if device else f"no {name}")

        monkeypatch.setattr(vulkan, "try_vulkan", fake)
        monkeypatch.setattr(vulkan, "drivers", lambda: iter((PLAIN, OTHER, SWIFT)))
        return asked

    return change


@pytest.mark.parametrize(
    ("devices", "chosen"),
    [
        ({"plain": GPU, "swift": SOFT}, PLAIN),
        ({"other": GPU, "swift": SOFT}, OTHER),
        ({"other": GPU, "swift": SOFT, "other_rays": GPU}, TRACING),
        ({"swift": SOFT}, SWIFT),
        ({"plain": SOFT, "swift": SOFT}, PLAIN),
    ],
    ids=["the loader's own", "a gpu's file", "with rays", "software last", "the first of equals"],
)
def test_driver_is_chosen_by_rendering(machine, devices, chosen):
    machine(**devices)
    assert vulkan.find_vulkan().name == chosen


def test_ray_tracing_is_probed_only_on_a_gpu(machine):
    asked = machine(swift=SOFT)
    vulkan.find_vulkan()
    assert not any(name.startswith("vulkan-rt") for name in asked)


def test_error_without_a_driver_names_causes_and_fix(machine):
    machine()
    with pytest.raises(MissingRequirementError, match=r"no vulkan.*no vulkan:/swiftshader.json.*doctor --fix"):
        vulkan.find_vulkan()


def test_working_driver_is_cached(machine):
    machine(swift=SOFT)
    vulkan.find_vulkan()
    asked = machine()
    assert vulkan.find_vulkan().name == SWIFT
    assert asked == []


def test_cache_depends_on_installed_drivers(machine, monkeypatch):
    machine(swift=SOFT)
    assert vulkan.find_vulkan().name == SWIFT
    monkeypatch.setattr(vulkan, "drivers", lambda: iter((PLAIN, OTHER)))
    with pytest.raises(MissingRequirementError, match="no Vulkan driver"):
        vulkan.find_vulkan()


def test_driver_of_the_environment_variable_is_the_only_one_probed(monkeypatch):
    monkeypatch.setenv("VK_DRIVER_FILES", "/mine.json")
    assert list(vulkan.drivers()) == [PLAIN]


def test_driver_files_are_found_by_pattern(tmp_path, monkeypatch):
    for variable in vulkan.VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "a.json").write_text(json.dumps({}))
    monkeypatch.setattr(vulkan, "SYSTEM", (f"{tmp_path}/*.json",))
    monkeypatch.setattr(vulkan, "SWIFTSHADER", ())
    assert list(vulkan.drivers()) == [PLAIN, f"vulkan:{tmp_path}/a.json"]


def test_crashed_probe_is_a_problem(monkeypatch):
    monkeypatch.setattr(vulkan, "PROBE", "import os; os.abort()")
    assert vulkan.try_vulkan(PLAIN).problem == "the process died of signal 6"


def test_failed_probe_names_its_exception(monkeypatch):
    monkeypatch.setattr(vulkan, "PROBE", "raise RuntimeError('failed to find a rendering device')")
    assert vulkan.try_vulkan(PLAIN).problem == "RuntimeError: failed to find a rendering device"


def test_missing_driver_is_a_problem(tmp_path):
    pytest.importorskip("sapien", reason="pip install 'nora-bench[simpler]'")
    assert not vulkan.try_vulkan(f"vulkan:{tmp_path}/nothing.json").works


def test_some_driver_renders_here():
    pytest.importorskip("sapien", reason="pip install 'nora-bench[simpler]'")
    try:
        found = vulkan.find_vulkan()
    except MissingRequirementError as error:
        pytest.skip(str(error))
    assert found.renderer
