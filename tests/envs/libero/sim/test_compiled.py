"""robosuite's compiled functions with an empty cache and two processes."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.libero

COMPILE = """
import json, sys
from pathlib import Path
from nora_bench.envs.libero.sim.compiled import compile_helpers
from nora_bench.envs.libero.sim.install import import_libero
here = Path(sys.argv[1])
import_libero(here, here, gl="none")
sys.stdin.readline()
compile_helpers()
from robosuite.utils import control_utils, transform_utils
functions = {n: f for n, f in (vars(control_utils) | vars(transform_utils)).items() if hasattr(f, "stats") and f.signatures}
print(json.dumps({name: sum(function.stats.cache_misses.values()) for name, function in functions.items()}))
"""


@pytest.fixture
def compiled_by_two(tmp_path):
    """Number of compilations by function, in each of two processes that start together with an empty cache."""
    pytest.importorskip("libero", reason="pip install 'nora-bench[libero]', then nora-bench doctor --fix")
    command = [sys.executable, "-c", COMPILE, str(tmp_path)]
    variables = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen(command, env=variables, **pipes) for _ in range(2)]
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("start\n")
        worker.stdin.flush()
    return [json.loads(worker.communicate()[0].splitlines()[-1]) for worker in workers]


def test_two_processes_compile_each_function_once(compiled_by_two):
    first, second = compiled_by_two
    assert first.keys() == second.keys()
    assert {name: first[name] + second[name] for name in first} == {
        "opspace_matrices": 1,
        "quat2mat": 1,
        "orientation_error": 1,
        "mat2quat": 2,  # for two memory orders
        "nullspace_torques": 1,
    }
