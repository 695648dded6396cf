"""LIBERO is imported without a trace outside of our own cache."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.libero

IMPORT = """
import sys
from pathlib import Path
written = []
def watch(event, about):
    if event == "open" and isinstance(about[0], str) and isinstance(about[2], int) and about[2] & 3:
        written.append(about[0])
sys.addaudithook(watch)
from nora_bench.envs.libero.sim.install import import_libero, libero_root
here = Path(sys.argv[1])
import_libero(here / "assets", here / "cache", gl="none")
import logging, robosuite
from libero.libero import get_libero_path
print(sum(isinstance(one, logging.FileHandler) for one in logging.getLogger("robosuite_logs").handlers))
print(any("robosuite.log" in name or "libero-config" in name or ".libero" in name for name in written))
print(get_libero_path("bddl_files") == str(libero_root() / "bddl_files"), get_libero_path("assets") == str(here / "assets"))
print(robosuite.macros.CACHE_NUMBA)
"""


@pytest.fixture
def imported(tmp_path):
    """What the import says, in a process of its own and with a cache that can or cannot be written."""
    pytest.importorskip("libero", reason="pip install 'nora-bench[libero]', then nora-bench doctor --fix")
    from unprivileged import run_unprivileged

    def run(mode):
        (tmp_path / "cache").mkdir(mode=mode)
        variables = {"HOME": str(tmp_path / "cache"), "NUMBA_CACHE_DIR": str(tmp_path / "cache" / "numba")}
        done = run_unprivileged([sys.executable, "-c", IMPORT, str(tmp_path)], **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def test_robosuite_opens_no_shared_log_file(imported):
    assert imported(0o755) == ["0", "False", "True True", "True"]


def test_unwritable_cache_disables_only_compiled_helpers(imported):
    assert imported(0o555) == ["0", "False", "True True", "False"]


def test_import_keeps_the_users_libero_configuration(tmp_path):
    pytest.importorskip("libero", reason="pip install 'nora-bench[libero]', then nora-bench doctor --fix")
    code = (
        "import os; from pathlib import Path; from nora_bench.envs.libero.sim.install import import_libero;"
        f"import_libero(Path('a'), Path({str(tmp_path)!r}), gl='none'); print(os.environ['LIBERO_CONFIG_PATH'])"
    )
    command, env = [sys.executable, "-c", code], {**os.environ, "LIBERO_CONFIG_PATH": str(tmp_path / "theirs")}
    assert subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.strip() == str(tmp_path / "theirs")
    assert not (tmp_path / "theirs").exists()
