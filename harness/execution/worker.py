"""A worker: one process, one world, one episode at a time, at the other end of a socket.

    python -m nora_bench.harness.execution.worker FD

`FD` is an inherited socket (see `wire`). Runs in any interpreter that has numpy, msgpack and the suite: what this
module imports stays within Python 3.10. Whatever is printed here goes to the worker's log, never to the runner.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import sys
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ...envs import suites
from ...envs.base import Env, EnvOptions, EpisodeSpec, EvalProtocol, ObservationSpec, SceneCheckError
from ...envs.errors import PolicyError, SuiteError
from ...policies.base import ActionChunk
from . import wire
from .rollout import DecisionPoint, EpisodeOutcome, Rollout
from .signals import die_with_parent

IDLE_S = 3600.0
"""A runner that says nothing for so long is gone, even if its socket is still open."""
KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (SceneCheckError, "premise"),
    (PolicyError, "policy"),
    (SuiteError, "suite"),
    (ImportError, "suite"),
)
"""Which exceptions say something other than `world`: that this world is broken."""


def serve(channel: wire.Channel) -> None:
    """Build the world that the runner asks for and play episodes until the runner hangs up."""
    hello = channel.receive(IDLE_S)
    if hello["type"] != "hello" or hello.get("version") != wire.VERSION:
        channel.send(failure("start", wire.WireError(f"wire version {wire.VERSION} here, {hello.get('version')} at the runner")))
        return
    try:
        world, greeting = build(hello)
    except Exception as error:
        channel.send(failure("start", error))
        raise
    stored = {**hello["protocol"], "settle_action": tuple(hello["protocol"]["settle_action"])}
    protocol = EvalProtocol(**EvalProtocol.renamed(stored))
    observation_spec = ObservationSpec.from_json(hello["needs"])
    with contextlib.closing(world):
        channel.send(greeting)
        usable = True
        while usable:
            message = channel.receive(IDLE_S)
            usable = play(channel, Rollout(world, EpisodeSpec(**message["spec"]), protocol, observation_spec, message["budget"]))


def build(hello: Mapping[str, Any]) -> tuple[Env, dict[str, Any]]:
    """The world, and what the runner is told about it."""
    suite = suites.get(hello["suite"])
    world = suite.make_env(EnvOptions(**hello["options"]))
    return world, {
        "type": "hello",
        "version": wire.VERSION,
        "action_size": world.action_size,
        "versions": {"python": sys.version.split()[0], **suite.versions()},
    }


def play(channel: wire.Channel, episode: Rollout) -> bool:
    """One episode. Whether its world can be trusted with another."""
    of = {"key": episode.spec.key}
    try:
        event = episode.start()
        while isinstance(event, DecisionPoint):
            channel.send({"type": "look", **of, "step": event.step, "view": asdict_view(event)})
            event = episode.play(ActionChunk(channel.receive(IDLE_S)["actions"]))
    except wire.WireError:
        raise
    except Exception as error:
        traceback.print_exc()
        channel.send({**failure(episode.phase, error), **of})
        return isinstance(error, SceneCheckError | PolicyError)
    channel.send({**result(event), **of})
    return True


def asdict_view(look: DecisionPoint) -> dict[str, Any]:
    """The view as a message; arrays are not copied."""
    return {
        "images": dict(look.env_observation.images),
        "proprio": dict(look.env_observation.proprio),
        "privileged": dict(look.env_observation.privileged),
    }


def result(done: EpisodeOutcome) -> dict[str, Any]:
    """The message for an episode that has ended."""
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"type": "done", "done": asdict(done), "peak_gib": peak_gib}


def failure(phase: str, error: BaseException) -> dict[str, Any]:
    """The message for an exception."""
    kind = next((name for cls, name in KINDS if isinstance(error, cls)), "world")
    return {"type": "error", "phase": phase, "kind": kind, "cause": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Serve the socket whose number is the only argument."""
    die_with_parent()  # where the system cannot do that, the closed socket has to
    channel = wire.Channel(socket.socket(fileno=int(sys.argv[1])), send_deadline_s=IDLE_S)
    with contextlib.suppress(wire.WorkerClosed):
        serve(channel)
    sys.stdout.flush()
    os._exit(0)  # simulators and GL libraries are not always able to leave in order


if __name__ == "__main__":
    try:
        main()
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
