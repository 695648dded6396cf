import json
import subprocess
import sys

import pytest
from fakes import protocol
from nora_bench.envs.base import EnvOptions, ObservationSpec
from nora_bench.harness.execution import worker_process
from nora_bench.harness.execution.worker_process import ending, log_tail
from nora_bench.harness.planning.run_settings import WorkerSetup


def environment(gl="egl", **base):
    setup = WorkerSetup("fakes:toy", EnvOptions("", gl, "/cache"), protocol(), ObservationSpec())
    return worker_process.environment(setup, base)


def test_worker_computes_with_one_thread():
    given = environment(OMP_NUM_THREADS="16")
    assert {given[f"{name}_NUM_THREADS"] for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")} == {"1"}


@pytest.mark.parametrize(("gl", "mujoco"), [("egl", "egl"), ("osmesa", "osmesa"), ("none", "disabled")])
def test_worker_renders_with_the_chosen_backend(gl, mujoco):
    assert environment(gl)["MUJOCO_GL"] == mujoco


def test_worker_compiles_into_the_cache_folder():
    assert environment()["NUMBA_CACHE_DIR"] == "/cache/numba"


def test_worker_keeps_other_variables():
    assert environment(CUDA_VISIBLE_DEVICES="1")["CUDA_VISIBLE_DEVICES"] == "1"


def test_worker_finds_the_same_modules():
    found = subprocess.run(
        [sys.executable, "-c", "import fakes, json, sys; print(json.dumps(fakes.__file__))"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    import fakes

    assert json.loads(found.stdout) == fakes.__file__


def test_worker_imports_no_heavy_library():
    heavy = {"rich", "typer", "yaml", "scipy", "pandas", "psutil", "msgspec", "tomllib", "torch"}
    code = "import sys, nora_bench.harness.execution.worker; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert heavy.isdisjoint(loaded)


@pytest.mark.parametrize(
    ("code", "words"),
    [(None, ""), (0, ""), (3, "exit code 3"), (-9, "killed by signal 9 (Killed)"), (-11, "killed by signal 11")],
)
def test_ending_is_human_readable(code, words):
    assert ending(code).startswith(words)
    assert bool(ending(code)) == bool(words)


def test_log_tail_has_the_last_lines(tmp_path):
    log = tmp_path / "worker-0.log"
    log.write_text("\n".join(f"line {n}" for n in range(5000)))
    assert "    line 4999\n" in log_tail(log)
    assert len(log_tail(log).splitlines()) < 20
