"""A worker whose world costs next to nothing: every message is written before the episode begins, answers are not read.

For `bench_runner.py --saturate`: what is left is the runner's own price.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
from nora_bench.envs.base import EpisodeSpec
from nora_bench.harness.execution import wire
from nora_bench.harness.execution.rollout import EpisodeOutcome


def frames(spec: EpisodeSpec, budget: int) -> Iterator[bytes]:
    """One look per step, then the end."""
    empty = {"images": {}, "proprio": {}, "privileged": {}}
    of = {"key": spec.key}
    for step in range(budget):
        yield wire.encode({"type": "observation", **of, "step": step, "observation": empty})
    done = EpisodeOutcome(
        False, False, budget, np.zeros((budget, 1)), {}, (), "0" * 64, {"reset": 0.0, "step": 0.0, "render": 0.0}, {}, ""
    )
    yield wire.encode({"type": "done", "done": asdict(done), "peak_gib": 0.0, **of})


def main() -> None:
    """Serve the socket whose number is the last argument."""
    end = socket.socket(fileno=int(sys.argv[-1]))
    channel = wire.Channel(end)
    channel.receive(60)
    channel.send({"type": "hello", "version": wire.VERSION, "action_size": 1, "versions": {}})
    while True:
        message = channel.receive(3600)
        *looks, done = frames(EpisodeSpec(**message["spec"]), message["budget"])
        end.setblocking(True)
        for look in looks:
            end.sendall(look)
            end.recv(4096)  # a chunk of one action: a few dozen bytes, in one piece
        end.sendall(done)
        end.setblocking(False)


if __name__ == "__main__":
    with contextlib.suppress(wire.WorkerClosed):
        main()
