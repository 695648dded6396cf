"""Faults around a run: signals, clocks, a second runner, moved files, changed assets, no file descriptors."""

from __future__ import annotations

import datetime
import errno
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
from nora_bench.harness import run_sessions
from nora_bench.harness.execution import local, worker_pool, worker_process

from . import breaking_suites
from .bench import LIBERO, TOY, Bench
from .judge import ABSORBED, STOPPED, Strike
from .kinds import kind
from .tap import MOMENTS, Tap

SIGNALS = {"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM, "SIGHUP": signal.SIGHUP}


def _place(bench: Bench, rng: np.random.Generator, act: Callable[[], None], *, middle: bool = True) -> Callable[[], None]:
    """A tamper function that calls `act` at a random write after the first episode."""
    moment = str(rng.choice(MOMENTS if middle else ("before", "after")))
    what, number, cut = (
        str(rng.choice(["line", "actions"])),
        int(rng.integers(1, len(bench.scenario.scenes))),
        float(rng.uniform()),
    )
    return lambda: Tap(what, moment, number, cut, act)


def _wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.005)


@kind("runner asked to stop", *SIGNALS, "Ctrl-C twice", scenarios=(TOY, LIBERO), share=2)
def _(bench, rng, phase):
    def ask() -> None:
        os.kill(os.getpid(), SIGNALS.get(phase, signal.SIGINT))
        if phase not in SIGNALS:
            os.kill(os.getpid(), signal.SIGINT)

    ended = bench.run_session(_place(bench, rng, ask, middle=False))
    return Strike(ended, "stopped(.|\n)*nora-bench run --resume", (STOPPED, ABSORBED), ordered=False)


@kind("runner stopped and continued (SIGSTOP, SIGCONT)", "at a write", share=4)
def _(bench, rng, phase):
    session = bench.start(_place(bench, rng, lambda: os.kill(os.getpid(), signal.SIGSTOP), middle=False))
    _wait_for(lambda: session.has_stopped())
    os.kill(session.pid, signal.SIGCONT)
    return Strike(session.wait(), ordered=False)


@kind("wall clock jumps", "back a year", "ahead a year")
def _(bench, rng, phase):
    jump = datetime.timedelta(days=365 if phase.startswith("ahead") else -365)

    class Jumped(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime.now(tz) + jump

    def leap() -> None:
        run_sessions.datetime = Jumped

    return Strike(bench.run_session(_place(bench, rng, leap, middle=False)), ordered=False)


@kind("monotonic clock leaps an hour (machine slept)", "while workers play", share=3)
def _(bench, rng, phase):
    class Leaped:
        def __init__(self, by: float) -> None:
            self._by = by

        def __getattr__(self, name: str) -> object:
            return getattr(time, name)

        def monotonic(self) -> float:
            return time.monotonic() + self._by

    def leap() -> None:
        worker_pool.time = Leaped(3600.0)

    return Strike(bench.run_session(_place(bench, rng, leap, middle=False)), ordered=False)


@kind("second runner on the folder", "while one plays", "both at once")
def _(bench, rng, phase):
    if phase == "both at once":
        first, second = bench.start(), bench.start()
        ended = {one.code: one for one in (first.wait(), second.wait())}
        assert sorted(ended) == [0, 2], ended
        return Strike(ended[2], "being written by another process|already contains a run", (STOPPED,), ordered=False)
    gate = bench.folder / "gate"
    first = bench.start(_place(bench, rng, lambda: _wait_for(gate.exists), middle=False))
    _wait_for(lambda: bench.records() or (bench.run / "actions").exists())
    second = bench.run_session()
    gate.touch()
    assert first.wait().code == 0
    return Strike(second, "is being written by another process", (STOPPED,), ordered=False)


@kind("episodes.jsonl taken away while it is written", "removed", "replaced by a copy", share=2)
def _(bench, rng, phase):
    kept = bench.folder / "kept.jsonl"

    def take() -> None:
        shutil.copy(bench.episodes, kept)
        bench.episodes.unlink()
        if phase != "removed":
            shutil.copy(kept, bench.episodes)

    ended = bench.run_session(_place(bench, rng, take, middle=False))
    shutil.copy(kept, bench.episodes)
    return Strike(ended, "removed or replaced(.|\n)*Restore it", (STOPPED,), ordered=False)


@kind("run's folder taken away", "while workers play")
def _(bench, rng, phase):
    ended = bench.run_session(_place(bench, rng, lambda: shutil.move(bench.run, bench.folder / "gone"), middle=False))
    shutil.rmtree(bench.run, ignore_errors=True)
    shutil.move(bench.folder / "gone", bench.run)
    return Strike(ended, "No such file or directory|removed or replaced", (STOPPED,), ordered=False)


@kind("assets changed while they are drawn with", "altered", "removed", "touched", "one more", share=2)
def _(bench, rng, phase):
    pack = bench.folder / "pack"
    mesh = pack / breaking_suites.MESH

    def change() -> None:
        if phase == "removed":
            mesh.unlink()
        elif phase == "touched":
            os.utime(mesh, (1, 1))
        else:
            (pack / "more.txt" if phase == "one more" else mesh).write_text("0.75")

    ended = bench.run_session(_place(bench, rng, change, middle=False))
    (pack / "more.txt").unlink(missing_ok=True)
    mesh.write_text("0.25")
    endings = (ABSORBED,) if phase == "touched" else (STOPPED,)
    says = "" if phase == "touched" else f"assets changed(.|\n)*{'more.txt' if phase == 'one more' else breaking_suites.MESH}"
    return Strike(ended, says, endings, ordered=False)


@kind("no more files can be opened (EMFILE)", "starting a worker", "writing")
def _(bench, rng, phase):
    def close_the_door() -> None:
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    if phase == "writing":
        number = int(rng.integers(1, len(bench.scenario.scenes)))
        tamper = lambda: Tap("line", "after", number, 0, close_the_door)  # noqa: E731
    else:
        launch = local.LocalExecutor._launch

        def tamper() -> None:
            local.LocalExecutor._launch = lambda self, slot: (close_the_door(), launch(self, slot))

    return Strike(bench.run_session(tamper), "Too many open files", (STOPPED,), ordered=False)


@kind("no process can be started (EAGAIN)", "first worker", "replacement")
def _(bench, rng, phase):
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def tamper() -> None:
        allowed = [None] * (bench.workers if phase == "replacement" else 0)
        popen = subprocess.Popen
        worker_process.subprocess = SimpleNamespace(
            Popen=lambda *args, **more: popen(*args, **more) if allowed and not allowed.pop() else refuse(),
            DEVNULL=subprocess.DEVNULL,
            TimeoutExpired=subprocess.TimeoutExpired,
        )

    if phase == "replacement":
        from .kinds_workers import order

        order(bench, rng, "stepping", "kill").write(bench.folder)
    return Strike(bench.run_session(tamper), os.strerror(errno.EAGAIN), (STOPPED,), ordered=False)
