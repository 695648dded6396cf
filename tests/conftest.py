import os
import signal
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


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
        ours = Path(sysconfig.get_path("purelib"))
        for path in (path for name in ("numpy", "msgpack") for path in ours.glob(f"{name}*")):
            (site / path.name).symlink_to(path)
        return str(folder / "bin" / "python")

    return make


@pytest.fixture(scope="session")
def bare_python(new_python):
    """An interpreter that has not the original SimplerEnv."""
    return new_python("bare")
