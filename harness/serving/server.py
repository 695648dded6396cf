"""A policy at a socket: `nora-bench serve`.

Speaks openpi's wire protocol (`policies.remote`). One thread per connection reads and writes; what is asked waits at the policy's
desk (`desk.py`). Bound to this machine alone unless a token is set; what comes in is limited in size, in number and in time.
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
from ...policies.base import Observation, Policy, PolicyContext
from ...policies.remote import codec, messages
from ..errors import InputError, MissingRequirementError, PolicyFailedError
from ..execution.policy_host import PolicySeat
from ..planning import provenance
from .batching import Desk, Stopping

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
IDLE_S = 3600.0
"""A client that says nothing for so long is hung up on."""
REST_S = 60.0
"""Seconds that the rest of a question, once begun, may take."""
CONNECTIONS = 1024
STRANGER = "remote"
"""Variant in the keys of episodes that openpi's client plays: it says neither task nor initial state."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen, and who may ask."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0 for any that is free."""
    token: str | None = None

    def __post_init__(self) -> None:
        if self.host not in LOOPBACK and not self.token:
            raise InputError(
                f"--host {self.host} can be reached from other machines, so a token is required: set NORA_BENCH_TOKEN here and "
                "where `nora-bench run` is started"
            )


class Counter:
    """The connections of a server: reads questions, hands them to the desk, sends the answers."""

    def __init__(self, desk: Desk, greeting: Mapping[str, Any], address: Address) -> None:
        self._desk = desk
        self._greeting = codec.pack(dict(greeting))
        self._address = address
        self._numbers = itertools.count()
        self._free = threading.BoundedSemaphore(CONNECTIONS)

    def admit(self, connection: Any, request: Any) -> Any:
        """The HTTP answer to a request that opens no connection: health, a wrong token; None for one that does."""
        if request.path in ("/healthz", "/health"):
            return connection.respond(HTTPStatus.OK, json.dumps({"status": "ok"}) + "\n")
        said = request.headers.get("Authorization", "").removeprefix("Api-Key ").removeprefix("Bearer ")
        if self._address.token and not hmac.compare_digest(said.encode(), self._address.token.encode()):
            return connection.respond(HTTPStatus.UNAUTHORIZED, "a token is required (Authorization: Api-Key TOKEN)\n")
        return None

    def serve(self, connection: Any) -> None:
        """Everything that one client asks, until it hangs up."""
        from websockets.exceptions import ConnectionClosed

        if not self._free.acquire(blocking=False):
            connection.close(1013, "too many connections")
            return
        number = next(self._numbers)
        key = ""
        try:
            connection.send(self._greeting)
            for decision in itertools.count():
                key = self._one(connection, number, decision) or key
        except (ConnectionClosed, TimeoutError):
            pass
        except Stopping as error:  # no answer but a hang-up: clients then ask whoever listens here next
            connection.close(1001, str(error))
        except (ValueError, PolicyFailedError) as error:
            with suppress(ConnectionClosed):
                connection.send(str(error).partition("\n")[0])
                connection.close(1011 if isinstance(error, PolicyFailedError) else 1007)
        finally:
            self._free.release()
            self._desk.end_episodes(str(number), [key] if key else [])

    def _one(self, connection: Any, number: int, decision: int) -> str | None:
        """Read and answer one question; the key of an episode that ends with the connection."""
        message = codec.unpack(connection.recv(timeout=IDLE_S))
        if isinstance(message, Mapping) and messages.BLOCK in message:
            self._exact(connection, messages.read_exact(message))
            return None
        one = self._openpi(message, number, decision)
        (answer,) = self._desk.ask(str(number), [one]).result()
        connection.send(codec.pack(answer))
        return one.key

    def _openpi(self, message: Any, number: int, decision: int) -> Observation:
        seat = self._desk.seat
        assert seat.context is not None
        view, instruction = messages.read_openpi(message, seat.policy.observation_spec)
        suite = suite_of(message, instruction, seat.context.suites)
        spec = EpisodeSpec(suite, 0, number, 0, seat.context.protocol.name, variant=STRANGER)
        return Observation(spec, decision, decision, instruction, view)

    def _exact(self, connection: Any, question: messages.PolicyRequest) -> None:
        self._desk.end_episodes(question.client, question.ended)
        observations = [question.observation] if question.observation else []
        for _ in range(question.more):
            following = messages.read_exact(codec.unpack(connection.recv(timeout=REST_S)))
            if following.observation is None or following.client != question.client:
                raise ValueError("not a question: its messages do not belong together")
            observations.append(following.observation)
        if observations:
            for answer in self._desk.ask(question.client, observations).result():
                connection.send(codec.pack(answer))


def suite_of(message: Mapping[Any, Any], instruction: str, served: Sequence[str]) -> str:
    """The suite that an observation of openpi's client is of: a policy may have statistics for each.

    The message says so under `suite`; or the server answers for one suite alone; or one suite alone has a task with that
    instruction. Raises ValueError where none of that tells, or another suite is named.
    """
    named = message.get(messages.SUITE)
    if named is not None and (not isinstance(named, str) or named not in served):
        raise ValueError(f"this server does not answer for the suite {str(named)[:40]!r} but for {', '.join(served)}")
    if isinstance(named, str) or len(served) == 1:
        return named if isinstance(named, str) else served[0]
    having = [suite for suite in served if instruction in _instructions(suite)]
    if len(having) != 1:
        raise ValueError(
            f"this server answers for {', '.join(served)}, and {'several of them have' if having else 'none of them has'} a task "
            f"called {instruction[:80]!r}: add `{messages.SUITE}` to the observation, or start the server with --suite NAME"
        )
    return having[0]


@cache
def _instructions(suite: str) -> frozenset[str]:
    """Of the suite's tasks; none for a suite that is known by its module alone."""
    try:
        return frozenset(task.instruction for task in suites.get(suite).tasks)
    except KeyError:
        return frozenset()


def greeting(name: str, args: Mapping[str, str], policy: Policy, seat: PolicySeat) -> dict[str, Any]:
    """What the server says about the policy when a client connects."""
    assert seat.context is not None
    return {
        messages.BLOCK: {
            "policy": name,
            "args": dict(args),
            "needs": policy.observation_spec.to_json(),
            "stochastic": policy.stochastic,
            "marks": list(policy.tags),
            "protocol": seat.context.protocol.name,
            "protocol_version": seat.context.protocol.version,
            "suites": list(seat.context.suites),
            "action_size": seat.context.action_size,
            "fingerprint": seat.fingerprint(),
            "versions": dict(provenance.versions()),
        }
    }


@contextmanager
def listening(desk: Desk, said: Mapping[str, Any], address: Address) -> Iterator[int]:
    """Accept connections in threads of their own; the port. Raises MissingRequirementError where the address cannot be had."""
    try:
        from websockets.sync.server import serve
    except ImportError:
        raise MissingRequirementError("serving needs the extra [remote]: pip install 'nora-bench[remote]'") from None
    counter = Counter(desk, said, address)
    try:
        server = serve(
            counter.serve,
            address.host,
            address.port,
            process_request=counter.admit,
            origins=[None],  # no web page may ask
            compression=None,
            max_size=codec.MAX_MESSAGE,
            ping_interval=None,  # a policy that computes may hold this process for long; reads have their own deadline
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
    """Scanners and broken clients are no news."""
    logger = logging.getLogger("nora_bench.serve")
    logger.setLevel(logging.CRITICAL)
    return logger


def start(policy: Policy, context: PolicyContext, seat: PolicySeat, max_batch: int) -> Desk:
    """The policy, started, at its desk. Raises PolicyFailedError."""
    seat.setup(context)
    return Desk(seat, max_batch)
