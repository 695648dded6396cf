"""The linters, so that `pytest` is the whole of CI."""

import importlib.util
import subprocess
import sys

import pytest
from test_layers import ROOT


def run(module, *args):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: pip install 'nora-bench[dev]'")
    return subprocess.run([sys.executable, "-m", module, *args], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("args", [("check", "."), ("format", "--check", ".")], ids=["check", "format"])
def test_ruff_is_content(args):
    done = run("ruff", *args)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_pyright_is_content():
    if missing := [name for name in ("libero", "torch", "transformers") if importlib.util.find_spec(name) is None]:
        pytest.skip(
            f"types of {', '.join(missing)} are missing: pip install 'nora-bench[libero,nora]' && nora-bench doctor --fix"
        )
    done = run("pyright")
    assert done.returncode == 0, done.stdout
