import json

import pytest
from nora_bench.envs.errors import MissingRequirementError
from nora_bench.harness.rendering import gl


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path))
    monkeypatch.delenv("MUJOCO_GL", raising=False)


def answer(monkeypatch, **tried):
    """Let each backend be what `tried` says; returns the names tried, in order."""
    asked = []

    def fake(name, **_):
        asked.append(name)
        return tried[name]

    monkeypatch.setattr(gl, "try_backend", fake)
    return asked


GPU = gl.Backend("egl", renderer="NVIDIA H100 PCIe/PCIe/SSE2")
SOFT = gl.Backend("egl", renderer="llvmpipe (LLVM 15.0.6, 256 bits)")
MESA = gl.Backend("osmesa", renderer="llvmpipe (LLVM 15.0.6, 256 bits)")
NO_EGL = gl.Backend("egl", problem="ImportError: no libEGL")
NO_MESA = gl.Backend("osmesa", problem="ImportError: no libOSMesa")


@pytest.mark.parametrize(
    ("egl", "osmesa", "chosen"),
    [(GPU, MESA, GPU), (SOFT, MESA, MESA), (SOFT, NO_MESA, SOFT), (NO_EGL, MESA, MESA)],
    ids=["gpu first", "osmesa before software egl", "software egl last", "osmesa alone"],
)
def test_backend_is_chosen_by_rendering(monkeypatch, egl, osmesa, chosen):
    answer(monkeypatch, egl=egl, osmesa=osmesa)
    assert gl.find_gl() == chosen


def test_error_without_a_backend_names_causes_and_fix(monkeypatch):
    answer(monkeypatch, egl=NO_EGL, osmesa=NO_MESA)
    with pytest.raises(MissingRequirementError, match=r"no libOSMesa.*no libEGL.*doctor --fix"):
        gl.find_gl()


def test_working_backend_is_cached(monkeypatch):
    answer(monkeypatch, egl=GPU)
    gl.find_gl()
    asked = answer(monkeypatch)
    assert gl.find_gl() == GPU
    assert asked == []


def test_failure_is_not_cached(monkeypatch):
    answer(monkeypatch, egl=NO_EGL, osmesa=NO_MESA)
    with pytest.raises(MissingRequirementError):
        gl.find_gl()
    answer(monkeypatch, egl=NO_EGL, osmesa=MESA)
    assert gl.find_gl().name == "osmesa"


@pytest.mark.parametrize("junk", ["", "[]", json.dumps({"colour": "red"})])
def test_damaged_cache_is_rewritten(monkeypatch, tmp_path, junk):
    answer(monkeypatch, egl=GPU)
    gl.find_gl()
    next(tmp_path.glob("gl-*.json")).write_text(junk)
    assert gl.find_gl() == GPU


def test_environment_variable_overrides_the_search(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "egl")
    answer(monkeypatch, egl=SOFT)
    assert gl.find_gl() == SOFT


def test_crashed_probe_is_a_problem(monkeypatch):
    monkeypatch.setattr(gl, "PROBE", "import os; os.abort()")
    assert gl.try_backend("egl").problem == "the process died of signal 6"


def test_hanging_probe_times_out(monkeypatch):
    monkeypatch.setattr(gl, "PROBE", "import time; time.sleep(60)")
    assert "no answer within" in gl.try_backend("egl", timeout_s=0.2).problem


def test_failed_probe_names_its_exception(monkeypatch):
    monkeypatch.setattr(gl, "PROBE", "raise ImportError('libEGL.so.1 is missing')")
    assert gl.try_backend("egl").problem == "ImportError: libEGL.so.1 is missing"


@pytest.mark.libero
def test_some_backend_renders_here():
    pytest.importorskip("mujoco", reason="pip install 'nora-bench[libero]'")
    found = gl.find_gl()
    assert found.works
    assert found.renderer
