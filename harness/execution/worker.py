"""A worker: one process, one environment, one episode at a time, behind a socket.

    python -m nora_bench.harness.execution.worker FD

`FD` is an inherited socket (see `wire`). Runs in any interpreter that has numpy, msgpack and the suite: what this
module imports stays within Python 3.10. Standard output and error go to the worker's log.
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
from ...envs.base import Env, EnvObservation, EnvOptions, EpisodeSpec, EvalProtocol, ObservationSpec, SceneCheckError
from ...envs.errors import SuiteError
from ...policies.base import ActionChunk
from ..planning.latency import Delay
from . import wire
from .delay import DelayedAnswers
from .rollout import DecisionPoint, EpisodeOutcome, Rollout
from .signals import die_with_parent

IDLE_S = 3600.0
"""Seconds without a message after which the executor counts as gone, even if its socket is still open."""
KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (SceneCheckError, "scene_check"),
    (SuiteError, "suite"),
    (ImportError, "suite"),
)
"""Kinds of exceptions; all others are `env`: the environment is broken."""


def serve(channel: wire.Channel) -> None:
    """Build the environment that the executor names and run episodes until the executor closes the socket."""
    hello = channel.receive(IDLE_S)
    if hello["type"] != "hello" or hello.get("version") != wire.VERSION:
        channel.send(
            failure("start", wire.WireError(f"wire version {wire.VERSION} here, {hello.get('version')} in the executor"))
        )
        return
    try:
        env, greeting = build(hello)
    except Exception as error:
        channel.send(failure("start", error))
        raise
    stored = {**hello["protocol"], "settle_action": tuple(hello["protocol"]["settle_action"])}
    protocol = EvalProtocol(**EvalProtocol.renamed(stored))
    observation_spec = ObservationSpec.from_json(hello["observation_spec"])
    with contextlib.closing(env):
        channel.send(greeting)
        usable, message = True, None
        while usable:
            message = message or channel.receive(IDLE_S)
            spec, delay = EpisodeSpec(**message["spec"]), Delay.from_message(message.get("delay"))
            delayed, observe_last = DelayedAnswers(delay, spec) if delay else None, message.get("observe_last", False)
            rollout = Rollout(env, spec, protocol, observation_spec, message["budget"], delayed, observe_last=observe_last)
            usable, message = run_episode(channel, rollout)


def build(hello: Mapping[str, Any]) -> tuple[Env, dict[str, Any]]:
    """The environment, and the answer to `hello`."""
    suite = suites.get(hello["suite"])
    env = suite.make_env(EnvOptions(**hello["options"]))
    return env, {
        "type": "hello",
        "version": wire.VERSION,
        "action_size": env.action_size,
        "versions": {"python": sys.version.split()[0], **suite.versions()},
    }


def run_episode(channel: wire.Channel, rollout: Rollout) -> tuple[bool, dict[str, Any] | None]:
    """Run one episode. Whether the environment can run another, and the `reset` that abandoned this one, if any."""
    of = {"key": rollout.spec.key}
    try:
        event = rollout.start()
        while isinstance(event, DecisionPoint):
            content = {"observation": as_message(event.env_observation), "committed": event.committed}
            channel.send({"type": "observation", **of, "step": event.step, **content})
            message = channel.receive(IDLE_S)
            if message["type"] == "reset":
                return True, message
            event = rollout.execute(ActionChunk(message["actions"]))
    except wire.WireError:
        raise
    except Exception as error:
        traceback.print_exc()
        channel.send({**failure(rollout.phase, error), **of})
        return isinstance(error, SceneCheckError), None
    last = {"observation": as_message(rollout.env.observation())} if rollout.observe_last else {}
    channel.send({**result(event), **last, **of})
    return True, None


def as_message(observation: EnvObservation) -> dict[str, Any]:
    """The observation as plain maps; arrays are not copied."""
    return {
        "images": dict(observation.images),
        "proprio": dict(observation.proprio),
        "privileged": dict(observation.privileged),
        "instruction": observation.instruction,
    }


def result(outcome: EpisodeOutcome) -> dict[str, Any]:
    """The message for an episode that has ended."""
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"type": "done", "done": asdict(outcome), "peak_gib": peak_gib}


def failure(phase: str, error: BaseException) -> dict[str, Any]:
    """The message for an exception."""
    kind = next((name for cls, name in KINDS if isinstance(error, cls)), "env")
    return {"type": "error", "phase": phase, "kind": kind, "cause": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Serve the socket whose number is the only argument."""
    die_with_parent()  # other systems: the worker exits when its socket closes
    channel = wire.Channel(socket.socket(fileno=int(sys.argv[1])), send_deadline_s=IDLE_S)
    with contextlib.suppress(wire.WorkerClosed):
        serve(channel)
    sys.stdout.flush()
    os._exit(0)  # simulators and GL libraries can hang in their exit handlers


if __name__ == "__main__":
    try:
        main()
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
