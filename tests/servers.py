"""Servers for tests, on this machine and on ports that are free."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fakes
from nora_bench.envs.base import EnvObservation, EpisodeSpec
from nora_bench.harness.execution.policy_host import LocalPolicyHost
from nora_bench.harness.serving.batching import RequestBatcher
from nora_bench.harness.serving.server import Address, greeting, listening
from nora_bench.policies.base import Observation, Policy, PolicyContext
from nora_bench.policies.remote import codec

TOY = PolicyContext(fakes.protocol(), ("toy",), 1)


@contextmanager
def served(
    policy: Policy,
    folder: Path,
    *,
    context: PolicyContext = TOY,
    max_batch: int = 64,
    token: str | None = None,
    port: int = 0,
    over: threading.Event | None = None,
) -> Iterator[tuple[str, RequestBatcher]]:
    """Our server with that policy; its address and its desk. `over` is set when it stops."""
    policy_host = LocalPolicyHost(policy, folder / "serve.log")
    policy_host.setup(context)
    batcher, over = RequestBatcher(policy_host, max_batch), over or threading.Event()
    worker = threading.Thread(target=batcher.serve_forever, args=[over.is_set])
    with listening(batcher, greeting("it", {}, policy, policy_host), Address(port=port, token=token)) as bound:
        worker.start()
        try:
            yield f"ws://127.0.0.1:{bound}", batcher
        finally:
            over.set()
            worker.join()


@contextmanager
def openpi_like(answer: Callable[[dict], Any], metadata: Mapping[str, Any] | None = None, port: int = 0) -> Iterator[str]:
    """A server that greets and answers as openpi's own does; `answer` may raise to hang up."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.server import serve

    def handle(connection: Any) -> None:
        try:
            connection.send(codec.pack(dict(metadata or {})))
            while True:
                said = answer(codec.unpack(connection.recv(timeout=20)))
                connection.send(said if isinstance(said, str | bytes) else codec.pack(said))
        except (ConnectionClosed, ConnectionError):
            connection.close()

    with serve(handle, "127.0.0.1", port, compression=None, max_size=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"


@contextmanager
def vla_eval_like(answer: Callable[[dict], Any], greeting: Mapping[str, Any] | None = None) -> Iterator[str]:
    """A server of vla-eval's protocol; `answer` takes what an observation shows and gives what goes back as `actions`."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.server import serve

    def reply(kind: str, payload: dict) -> Mapping[str, Any] | None:
        if kind == "hello":
            return {"protocol_version": 1, "model_server": "Fake", "harness_version": "0.8.0", **(greeting or {})}
        return {"actions": answer(payload)} if kind == "observation" else None

    def handle(connection: Any) -> None:
        with suppress(ConnectionClosed):
            while True:
                asked = codec.unpack(connection.recv(timeout=20))
                said = reply(asked["type"], asked["payload"])
                kind = "hello" if asked["type"] == "hello" else "action"
                if said is not None:
                    message = {"type": kind, "payload": said, "seq": asked["seq"], "timestamp": 0.0}
                    connection.send(codec.pack(message, text_names=True))

    with serve(handle, "127.0.0.1", 0, compression=None, max_size=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"vla-eval://127.0.0.1:{server.socket.getsockname()[1]}"


@contextmanager
def process(code: str, log: Path, *args: str) -> Iterator[str]:
    """A Python process that listens on the port in its last argument; its `host:port` once it does."""
    port = free_port()
    with log.open("wb") as output:
        started = subprocess.Popen([sys.executable, "-c", code, *args, str(port)], stdout=output, stderr=output)
        try:
            yield f"127.0.0.1:{port}"
        finally:
            started.kill()
            started.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def observation(number: int = 0, decision: int = 0, **shown: Any) -> Observation:
    """An observation of a toy episode."""
    spec = EpisodeSpec("toy", 0, number, 0, "toy/plain")
    return Observation(spec, decision, decision, "go home", EnvObservation(**shown))
