"""WebSocket server for a policy: `nora-bench serve`.

Speaks openpi's wire protocol (`policies.remote`). One thread per connection reads and writes; requests are batched
(`batching.py`). Bound to this machine unless a token is set; messages are limited in size, number and time.
"""

from __future__ import annotations

import hmac
import itertools
import json
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

from ...envs import suites
from ...envs.base import EpisodeSpec
from ...envs.errors import InputError, MissingRequirementError, PolicyFailedError
from ...policies.base import Observation, Policy, PolicyContext
from ...policies.remote import codec, messages
from ..execution.policy_host import LocalPolicyHost
from ..planning import provenance
from .batching import RequestBatcher, ServerStopping

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
IDLE_S = 3600.0
"""Seconds without a message after which a connection is closed."""
REMAINDER_S = 60.0
"""Seconds that the remaining messages of a request may take."""
MAX_CONNECTIONS = 1024
ANONYMOUS_VARIANT = "remote"
"""Variant in the keys of episodes of openpi's client, which sends neither task nor initial state."""


@dataclass(frozen=True, slots=True)
class Address:
    """Address to listen on, and the token that clients must send."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0 for any free port."""
    token: str | None = None

    def __post_init__(self) -> None:
        if self.host not in LOOPBACK and not self.token:
            raise InputError(
                f"--host {self.host} is reachable from other machines, so a token is required: set NORA_BENCH_TOKEN here and "
                "for `nora-bench run`"
            )


class ClientConnections:
    """Connections of a server: reads requests, submits them to the batcher, sends the answers."""

    def __init__(self, batcher: RequestBatcher, greeting: Mapping[str, Any], address: Address) -> None:
        self._batcher = batcher
        self._greeting = codec.pack(dict(greeting))
        self._address = address
        self._numbers = itertools.count()
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def authorize(self, connection: Any, request: Any) -> Any:
        """The HTTP response to a request that opens no connection (health, wrong token); None for one that does."""
        if request.path in ("/healthz", "/health"):
            return connection.respond(HTTPStatus.OK, json.dumps({"status": "ok"}) + "\n")
        token = request.headers.get("Authorization", "").removeprefix("Api-Key ").removeprefix("Bearer ")
        if self._address.token and not hmac.compare_digest(token.encode(), self._address.token.encode()):
            return connection.respond(HTTPStatus.UNAUTHORIZED, "a token is required (Authorization: Api-Key TOKEN)\n")
        return None

    def serve(self, connection: Any) -> None:
        """Answer one client until it disconnects."""
        from websockets.exceptions import ConnectionClosed

        if not self._free.acquire(blocking=False):
            connection.close(1013, "too many connections")
            return
        number = next(self._numbers)
        key = ""
        try:
            connection.send(self._greeting)
            for decision in itertools.count():
                key = self._answer_next(connection, number, decision) or key
        except (ConnectionClosed, TimeoutError):
            pass
        except ServerStopping as error:  # close without an answer: clients reconnect to the next server at this address
            connection.close(1001, str(error))
        except (ValueError, PolicyFailedError) as error:
            with suppress(ConnectionClosed):
                connection.send(str(error).partition("\n")[0])
                connection.close(1011 if isinstance(error, PolicyFailedError) else 1007)
        finally:
            self._free.release()
            self._batcher.end_episodes(str(number), [key] if key else [])

    def _answer_next(self, connection: Any, number: int, decision: int) -> str | None:
        """Read and answer one request; the key of an episode that ends with the connection."""
        message = codec.unpack(connection.recv(timeout=IDLE_S))
        if isinstance(message, Mapping) and messages.BLOCK in message:
            self._exact(connection, messages.read_exact(message))
            return None
        observation = self._openpi(message, number, decision)
        (answer,) = self._batcher.submit(str(number), [observation]).result()
        connection.send(codec.pack(answer))
        return observation.key

    def _openpi(self, message: Any, number: int, decision: int) -> Observation:
        policy_host = self._batcher.policy_host
        assert policy_host.context is not None
        view, instruction = messages.read_openpi(message, policy_host.policy.observation_spec)
        suite = suite_of(message, instruction, policy_host.context.suites)
        spec = EpisodeSpec(suite, 0, number, 0, policy_host.context.protocol.name, variant=ANONYMOUS_VARIANT)
        return Observation(spec, decision, decision, instruction, view)

    def _exact(self, connection: Any, request: messages.PolicyRequest) -> None:
        self._batcher.end_episodes(request.client, request.ended)
        observations = [request.observation] if request.observation else []
        for _ in range(request.more):
            following = messages.read_exact(codec.unpack(connection.recv(timeout=REMAINDER_S)))
            if following.observation is None or following.client != request.client:
                raise ValueError("not a request: its messages do not belong together")
            observations.append(following.observation)
        if observations:
            for answer in self._batcher.submit(request.client, observations).result():
                connection.send(codec.pack(answer))


def suite_of(message: Mapping[Any, Any], instruction: str, served: Sequence[str]) -> str:
    """The suite of an observation of openpi's client; a policy may have statistics for each suite.

    In order: the message's `suite`; the server's only suite; the only suite that has a task with that instruction.
    Raises ValueError where the suite is ambiguous or not served.
    """
    named = message.get(messages.SUITE)
    if named is not None and (not isinstance(named, str) or named not in served):
        raise ValueError(f"this server does not serve the suite {str(named)[:40]!r} but {', '.join(served)}")
    if isinstance(named, str) or len(served) == 1:
        return named if isinstance(named, str) else served[0]
    having = [suite for suite in served if instruction in _instructions(suite)]
    if len(having) != 1:
        raise ValueError(
            f"this server serves {', '.join(served)}, and {'several of them have' if having else 'none of them has'} a task "
            f"called {instruction[:80]!r}: add `{messages.SUITE}` to the observation, or start the server with --suite NAME"
        )
    return having[0]


@cache
def _instructions(suite: str) -> frozenset[str]:
    """Instructions of the suite's tasks; none for a suite that is not registered."""
    try:
        return frozenset(task.instruction for task in suites.get(suite).tasks)
    except KeyError:
        return frozenset()


def greeting(name: str, args: Mapping[str, str], policy: Policy, policy_host: LocalPolicyHost) -> dict[str, Any]:
    """The first message to a client: the policy's declarations."""
    assert policy_host.context is not None
    return {
        messages.BLOCK: {
            "policy": name,
            "args": dict(args),
            "needs": policy.observation_spec.to_json(),
            "stochastic": policy.stochastic,
            "marks": list(policy.tags),
            "protocol": policy_host.context.protocol.name,
            "protocol_version": policy_host.context.protocol.version,
            "suites": list(policy_host.context.suites),
            "action_size": policy_host.context.action_size,
            "fingerprint": policy_host.fingerprint(),
            "versions": dict(provenance.versions()),
        }
    }


@contextmanager
def listening(batcher: RequestBatcher, first_message: Mapping[str, Any], address: Address) -> Iterator[int]:
    """Accept connections in threads of their own; yields the port. Raises MissingRequirementError."""
    try:
        from websockets.sync.server import serve
    except ImportError:
        raise MissingRequirementError("serving needs the extra [remote]: pip install 'nora-bench[remote]'") from None
    connections = ClientConnections(batcher, first_message, address)
    try:
        server = serve(
            connections.serve,
            address.host,
            address.port,
            process_request=connections.authorize,
            origins=[None],  # no requests from web pages
            compression=None,
            max_size=codec.MAX_MESSAGE,
            ping_interval=None,  # inference may block this process for long; reads have their own deadline
            close_timeout=1,
            logger=_silent(),
        )
    except OSError as error:
        raise MissingRequirementError(
            f"cannot listen on {address.host}:{address.port}: {error.strerror}; try another --port"
        ) from None
    with server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.socket.getsockname()[1]


def _silent() -> logging.Logger:
    """A logger for websockets that omits scanners and broken clients."""
    logger = logging.getLogger("nora_bench.serve")
    logger.setLevel(logging.CRITICAL)
    return logger


def start(policy: Policy, context: PolicyContext, policy_host: LocalPolicyHost, max_batch: int) -> RequestBatcher:
    """Set the policy up and return its batcher. Raises PolicyFailedError."""
    policy_host.setup(context)
    return RequestBatcher(policy_host, max_batch)
