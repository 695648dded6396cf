import os

# Before any numerical library is loaded: parallel test processes share the cores instead of each taking all of them.
if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
    threads = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, str(threads))

import contextlib
import importlib.util
import signal
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

LONGEST_FIRST = (
    "training/reproduce/test_nora.py",
    "harness/test_selfcheck.py",
    "envs/simpler/parity/test_physics.py",
    "envs/libero/sim/test_env.py",
    "harness/cluster/test_actors.py",
    "training/test_slurm.py",
    "harness/cluster/test_slurm.py",
    "envs/libero/test_standin_physics.py",
    "training/data/test_images.py",
    "harness/replay/test_video.py",
    "test_style.py",
    "training/collection/test_collect.py",
    "policies/nora/model/test_engine.py",
    "training/preference/test_labelling.py",
)
"""Files that take minutes (`pytest --durations=25`), started first so that no process is left alone with one at the end."""
GIB_PER_PROCESS = 3.0
"""Memory of a test process with a simulator or a nano model and its workers."""


MARKERS = {
    "envs/simpler/": "simpler",
    "harness/test_simpler_runs.py": "simpler",
    "policies/test_scripted_simpler_worlds.py": "simpler",
    "policies/nora/": "train",
    "training/": "train",
    "harness/cluster/": "ray",
}
"""Start of a test file's path -> marker: tests are selected by marker, never by what happens to be installed."""


def pytest_collection_modifyitems(items):
    """Mark tests by MARKERS, order files by LONGEST_FIRST; the order within a file stays."""
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    folder = Path(__file__).parent
    for item in items:
        path = item.path.relative_to(folder).as_posix()
        for start, marker in MARKERS.items():
            if path.startswith(start):
                item.add_marker(marker)
    items.sort(key=lambda item: place.get(item.path.relative_to(folder).as_posix(), len(place)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """`-n auto`: as many processes as there are cores and memory for."""
    return max(1, min(os.cpu_count() or 1, int(psutil.virtual_memory().available / 2**30 / GIB_PER_PROCESS)))


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session", autouse=True)
def libero_that_renders():
    """MuJoCo and robosuite bind OpenGL when a process first imports them: with rendering, whichever test comes first.

    Without this, a test that steps without images (a replay, selfcheck) would leave a process in which none can be rendered.
    So would a test file that imports MuJoCo at its top: files are read before this runs.
    """
    assert "mujoco" not in sys.modules, "import MuJoCo within the tests or fixtures, not at the top of a test file"
    if importlib.util.find_spec("libero") is None or importlib.util.find_spec("robosuite") is None:
        return
    from nora_bench.envs.errors import MissingRequirementError
    from nora_bench.envs.libero.sim.install import import_libero
    from nora_bench.envs.paths import ensure_cache_home
    from nora_bench.harness.rendering.gl import find_gl

    with contextlib.suppress(MissingRequirementError):
        import_libero(Path(), ensure_cache_home(), gl=os.environ.get("MUJOCO_GL") or find_gl().name)


@pytest.fixture(scope="session", autouse=True)
def signals_that_count():
    """A shell's background jobs ignore Ctrl-C, under `nohup` also the hang-up; what stops a run is tested all the same."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture
def cli(capsys):
    """Runs the command line in this process: `cli("list", "suites").out`."""
    from nora_bench.harness.cli import main

    def run(*args):
        with pytest.raises(SystemExit) as caught:
            main([str(arg) for arg in args])
        captured = capsys.readouterr()
        return Ended(int(caught.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def repository():
    """The checkout's root."""
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def golden(repository):
    """The folder of reference recordings, with libero/ and others in it."""
    folder = Path(os.environ.get("NORA_BENCH_GOLDEN") or repository.parent / "shared" / "golden")
    if not folder.is_dir():
        pytest.skip("no reference recordings: set NORA_BENCH_GOLDEN to the folder that holds libero/")
    return folder


@pytest.fixture(scope="session")
def new_python(tmp_path_factory):
    """Makes interpreters with numpy and msgpack and nothing else: what a foreign worker may count on."""

    def make(name):
        folder = tmp_path_factory.mktemp(name)
        venv.create(folder, with_pip=False, symlinks=True)
        (site,) = folder.glob("lib/python*/site-packages")
        result = Path(sysconfig.get_path("purelib"))
        for path in (path for name in ("numpy", "msgpack") for path in result.glob(f"{name}*")):
            (site / path.name).symlink_to(path)
        return str(folder / "bin" / "python")

    return make


@pytest.fixture(scope="session")
def bare_python(new_python):
    """An interpreter that has not the original SimplerEnv."""
    return new_python("bare")
