"""Faults at every write: the runner is killed, the disk is full or broken."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from . import orders
from .bench import LIBERO, TOY, Bench
from .judge import ABSORBED, KILLED, STOPPED, Strike
from .kinds import kind
from .tap import FILES, MOMENTS, Tap

PLACES = tuple(f"{moment} {what}" for what in FILES for moment in (*MOMENTS, *(() if what == "line" else ("renaming",))))
RUN_WRITES = 3
"""Writes of run.json in one session: start, runtime facts, end."""


def _tamper(bench: Bench, rng: np.random.Generator, phase: str, act: Any) -> Any:
    """A function that sets up a tap at a random write."""
    moment, _, what = phase.rpartition(" ")
    number = int(rng.integers(1, 1 + (RUN_WRITES if what == "run.json" else len(bench.scenario.scenes))))
    cut = float(rng.uniform(0, 1))
    return lambda: Tap(what, moment, number, cut, act)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@kind("runner killed (kill -9)", *PLACES, scenarios=(TOY, LIBERO), share=4)
def _(bench, rng, phase):
    return Strike(bench.run_session(_tamper(bench, rng, phase, _die)), endings=(KILLED,), ordered=False)


@kind("runner killed again and again", "line", "actions", "run.json")
def _(bench, rng, phase):
    places = [place for place in PLACES if place.endswith(phase)]
    for _ in range(int(rng.integers(2, 5))):
        ended = bench.run_session(_tamper(bench, rng, str(rng.choice(places)), _die))
    return Strike(ended, endings=(KILLED, ABSORBED), ordered=False)


@kind("disk refuses a write (ENOSPC, EIO, EDQUOT)", *PLACES, share=2)
def _(bench, rng, phase):
    number = int(rng.choice([errno.ENOSPC, errno.EIO, errno.EDQUOT]))

    def refuse() -> None:
        raise OSError(number, os.strerror(number))

    says = rf"cannot be written: {os.strerror(number)}(.|\n)*df -h"
    return Strike(bench.run_session(_tamper(bench, rng, phase, refuse)), says, (STOPPED,), ordered=False)


@kind("file size limit reached (RLIMIT_FSIZE)", "anywhere", share=8)
def _(bench, rng, phase):
    limit = int(rng.integers(200, 6000))

    def tamper() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    return Strike(bench.run_session(tamper), "File too large(.|\n)*df -h", (STOPPED, ABSORBED), ordered=False)


@cache
def can_mount() -> bool:
    """Whether this process may mount a file system."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder), "64k"):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of that size on the folder."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@kind("disk full (tmpfs)", "anywhere", share=8, possible=can_mount, needs="file systems can be mounted by root only")
def _(bench, rng, phase):
    bench.run.mkdir()
    bench.cleanup.enter_context(small_disk(bench.run, f"{4 * int(rng.integers(1, 12))}k"))
    ended = bench.run_session()
    subprocess.run(["mount", "-o", "remount,size=4m", str(bench.run)], check=True)
    return Strike(ended, "No space left on device(.|\n)*df -h", (STOPPED, ABSORBED), ordered=False)


@kind("log cannot be written", "worker", "policy")
def _(bench, rng, phase):
    def tamper() -> None:
        (bench.run / "logs").mkdir(parents=True)
        (bench.run / "logs" / {"worker": "worker-0.log", "policy": "policy.log"}[phase]).mkdir()

    if phase == "policy":
        orders.Order("setup", "raise").write(bench.folder)
    ended = bench.run_session(tamper)
    shutil.rmtree(bench.run / "logs")
    return Strike(ended, "Is a directory|out of ideas", (STOPPED,), ordered=False)
