"""What a worker loads in another interpreter: numpy, msgpack and modules of ours that an older Python can read."""

import ast
import json
import subprocess
from pathlib import Path

import pytest
from nora_bench.harness.execution.worker_process import bridge

LOADED = """
import json, sys
before = set(sys.modules)
import nora_bench.harness.execution.worker, nora_bench.envs.simpler.suite, nora_bench.envs.simpler.sim.upstream
new = [module for name, module in sys.modules.items() if name not in before]
ours = [module.__file__ for module in new if module.__name__.startswith("nora_bench") and module.__file__]
others = {module.__name__.partition(".")[0] for module in new if "site-packages" in (getattr(module, "__file__", None) or "")}
print(json.dumps([ours, sorted(others)]))
"""
NEWER = {"StrEnum", "UTC", "tomllib", "Self", "assert_never", "ExceptionGroup", "batched", "override"}
"""Names that came with Python 3.11 or later."""


@pytest.fixture(scope="module")
def loaded(bare_python, tmp_path_factory):
    env = {"PYTHONPATH": str(bridge(tmp_path_factory.mktemp("bridge")))}
    done = subprocess.run([bare_python, "-c", LOADED], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    result, others = json.loads(done.stdout)
    return [Path(path) for path in result], others


def test_foreign_worker_needs_only_numpy_and_msgpack(loaded):
    assert loaded[1] == ["msgpack", "numpy"]


def test_python_3_10_parses_every_module_of_a_worker(loaded):
    for path in loaded[0]:
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 10))


def test_worker_modules_import_nothing_newer_than_python_3_10(loaded):
    found = {}
    for path in loaded[0]:
        tops = [
            node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        found[path.name] = NEWER & {alias.name for node in tops for alias in node.names}
    assert {name for name, newer in found.items() if newer} == set()
