"""Faults of remote policies: connections that break or stall, invalid answers."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
from contextlib import suppress
from dataclasses import replace

import numpy as np
from nora_bench.policies.remote import connection

from . import orders
from .bench import REMOTE, Bench
from .judge import ABSORBED, STOPPED, Strike
from .kinds import kind
from .kinds_around import _wait_for
from .serving import LIES, honest, lying, process, relay
from .tap import Tap

SEEING = ("cameras=primary", "state=false", "image_size=0")
"""Arguments of a server that receives only the toy's image."""


def _there() -> bool:
    return importlib.util.find_spec("websockets") is not None


WITH_WEBSOCKETS = {"possible": _there, "needs": "pip install 'nora-bench[remote]'"}


def _use_server(bench: Bench, port: int, *args: str) -> None:
    """Have the run query the policy at that port."""
    url = f"ws://127.0.0.1:{port}"
    bench.scenario = replace(bench.scenario, policy=url)
    bench.more = tuple(word for arg in args for word in ("--policy-arg", arg))
    bench.quiet = {key: replace(record, policy=url) for key, record in bench.quiet.items()}


def _impatient() -> None:
    """Short timeouts, so that the session with the fault gives a server up soon."""
    make = connection.Connection.__init__

    def made(self: connection.Connection, *args: object, **more: object) -> None:
        make(self, *args, **more)  # type: ignore[arg-type]
        self.request_timeout_s, self.connect_timeout_s = 1.0, 2.0

    connection.Connection.__init__, connection.OPEN_S = made, 1.0


def _behind_a_relay(bench: Bench, way: str, deed: str, at: int) -> None:
    port, _ = bench.cleanup.enter_context(process(honest, bench.folder))
    orders.Order(way, deed, at=at).write(bench.folder)
    port, _ = bench.cleanup.enter_context(process(relay(port), bench.folder))
    _use_server(bench, port)


WAYS = {
    "while connecting": ("answer", 0, 120),
    "in mid-question": ("question", 600, 6000),
    "in mid-answer": ("answer", 900, 4000),
}
"""Phase -> direction of the bytes, and the range of the count after which the connection breaks."""


@kind("server closes", *WAYS, scenarios=(REMOTE,), **WITH_WEBSOCKETS)
def _(bench, rng, phase):
    way, low, high = WAYS[phase]
    _behind_a_relay(bench, way, str(rng.choice(["close", "reset"])), int(rng.integers(low, high)))
    return Strike(bench.run_session())


@kind("server stalls", *WAYS, scenarios=(REMOTE,), **WITH_WEBSOCKETS)
def _(bench, rng, phase):
    way, low, high = WAYS[phase]
    _behind_a_relay(bench, way, "stall", int(rng.integers(low, high)))
    return Strike(bench.run_session(_impatient), "did not respond within 1 s|no server responds at", (STOPPED, ABSORBED))


@kind("server lies", *LIES, scenarios=(REMOTE,), **WITH_WEBSOCKETS)
def _(bench, rng, phase):
    orders.Order("answer", phase, at=int(rng.integers(1, 20))).write(bench.folder)
    port, _ = bench.cleanup.enter_context(process(lying, bench.folder))
    _use_server(bench, port, *SEEING)
    says = {
        "array larger than its bytes": "8 bytes for an array",
        "array smaller than its bytes": "32 bytes for an array",
        "message above the limit": "closed the connection 3 times|above the limit|too big",
        "half a message": "not a message",
        "text": "failed: out of memory",
        "no map": "responded with a list",
        "no actions": "responded without `actions`",
        "wrong width": r"not \[1, 5\]",
        "NaN": "actions must be finite",
        "nothing at all": "not a message",
    }
    return Strike(bench.run_session(), says[phase], (STOPPED, ABSORBED) if phase == "message above the limit" else (STOPPED,))


def _steady_port(rng: np.random.Generator) -> int:
    """A free port outside the range of automatically assigned ones."""
    while True:
        port = int(rng.integers(10_000, 30_000))
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@kind("server killed and started anew", "between episodes", scenarios=(REMOTE,), share=2, **WITH_WEBSOCKETS)
def _(bench, rng, phase):
    port, pid = bench.cleanup.enter_context(process(honest, bench.folder, _steady_port(rng)))
    _use_server(bench, port)
    killed, back = bench.folder / "killed", bench.folder / "back"

    def kill() -> None:
        os.kill(pid, signal.SIGKILL)
        killed.touch()
        _wait_for(back.exists)

    number = int(rng.integers(1, len(bench.scenario.scenes)))
    session = bench.start(lambda: Tap("line", "after", number, 0, kill))
    _wait_for(killed.exists)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # until then the port is its own
    bench.cleanup.enter_context(process(honest, bench.folder, port))
    back.touch()
    return Strike(session.wait(), ordered=False)


@kind("no server", "at all", scenarios=(REMOTE,), **WITH_WEBSOCKETS)
def _(bench, rng, phase):
    port, pid = bench.cleanup.enter_context(process(honest, bench.folder))
    _use_server(bench, port)
    os.kill(pid, signal.SIGSTOP)
    ended = bench.run_session(_impatient)
    os.kill(pid, signal.SIGCONT)
    return Strike(ended, "no server responds at|did not respond within", (STOPPED,), ordered=False)
