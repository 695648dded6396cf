"""Faults of workers: death, hangs, invalid messages, no memory."""

from __future__ import annotations

import numpy as np

from . import orders
from .bench import LIBERO, TOY, Bench
from .breaking_suites import LAST
from .judge import MARKED, STOPPED, Strike
from .kinds import kind

PHASES = {
    "booting": "boot",
    "greeting": "greet",
    "resetting": "reset",
    "stepping": "step",
    "drawing": "draw",
    "sending a look": "send",
    "sending the end": "send",
}
"""A worker's activity -> the order's phase."""
BOTH = (TOY, LIBERO)


def order(bench: Bench, rng: np.random.Generator, phase: str, deed: str, times: int = 1) -> orders.Order:
    """An order at a random place of the run."""
    where = PHASES[phase]
    scene = "" if where in ("boot", "greet") else str(rng.choice(bench.scenario.scenes))
    places = {
        "reset": (0, 1),
        "step": bench.scenario.steps,
        "draw": bench.scenario.observed,
        "send": range(len(bench.scenario.observed)),
    }
    at = LAST if phase == "sending the end" else int(rng.choice([*places.get(where, (0,))]))
    return orders.Order(where, deed, scene, at, times, cut=float(rng.uniform(0, 0.99)))


def strike(bench: Bench, rng: np.random.Generator, phase: str, deed: str, says: str) -> Strike:
    """Break a worker once or twice; the run must continue by itself and print the cause."""
    given = order(bench, rng, phase, deed, times=int(rng.integers(1, 3)))
    given.write(bench.folder)
    return Strike(bench.run_session(), says)


@kind("worker killed (kill -9)", *PHASES, scenarios=BOTH)
def _(bench, rng, phase):
    return strike(bench, rng, phase, "kill", r"killed by signal 9 \(Killed\)")


@kind("worker stopped (SIGSTOP)", *PHASES, scenarios=BOTH)
def _(bench, rng, phase):
    return strike(bench, rng, phase, "stop", "no answer within 300 s")


@kind("worker hangs", *PHASES)
def _(bench, rng, phase):
    return strike(bench, rng, phase, "hang", "no answer within 300 s")


@kind("worker segfaults", *PHASES)
def _(bench, rng, phase):
    return strike(bench, rng, phase, "segfault", "killed by signal 11")


@kind("worker leaves", *PHASES)
def _(bench, rng, phase):
    return strike(bench, rng, phase, "exit", "exit code 3")


@kind("worker hits its memory limit", "booting", "resetting", "stepping", "drawing", scenarios=BOTH)
def _(bench, rng, phase):
    return strike(bench, rng, phase, "memory", "MemoryError")


@kind("world raises", "booting", "resetting", "stepping", "drawing")
def _(bench, rng, phase):
    return strike(bench, rng, phase, "raise", "RuntimeError: the world broke")


@kind("state is NaN", "resetting", "stepping")
def _(bench, rng, phase):
    return strike(bench, rng, phase, "nan", "the simulator's state is not finite")


@kind("GL context fails in a worker", "booting", "drawing", scenarios=BOTH)
def _(bench, rng, phase):
    return strike(bench, rng, phase, "gl", orders.GL_FAILS)


@kind("worker lies on the wire", "garbage", "oversize", "stranger", "hollow", "close", "twice", share=2)
def _(bench, rng, phase):
    says = {
        "garbage": "not a message|no answer within",
        "oversize": "a frame of 4294967295 bytes",
        "stranger": "a chunk message out of turn",
        "hollow": "not a message: KeyError|of another episode, None",
        "close": "the connection is closed",
        "twice": "",  # if it is the last frame, nothing reads it
    }
    return strike(bench, rng, str(rng.choice(["greeting", "sending a look", "sending the end"])), phase, says[phase])


@kind("worker fails again and again", "resetting", "stepping", "drawing", "sending a look", "sending the end")
def _(bench, rng, phase):
    given = order(bench, rng, phase, str(rng.choice(["kill", "stop", "exit"])), times=3)
    given.write(bench.folder)
    says = "killed by signal 9|no answer within|exit code 3"
    return Strike(bench.run_session(), says, (MARKED,), errors=(given.scene,))


@kind("no worker starts", "kill", "exit", "raise", "gl")
def _(bench, rng, phase):
    orders.Order("boot", phase, times=99).write(bench.folder)
    return Strike(bench.run_session(), "3 workers in a row did not start(.|\n)*nora-bench doctor", (STOPPED,))
