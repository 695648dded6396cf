"""A policy at a socket: `nora-bench serve`.

Speaks openpi's wire protocol (`policies.remote`). One thread per connection reads and writes; the policy lives in the thread
that calls `Desk.work` and is asked for everything that is waiting at once. Bound to this machine alone unless a token is set;
what comes in is limited in size, in number and in time.
"""

from __future__ import annotations

import hmac
import itertools
import json
import logging
import queue
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from ..envs.base import EpisodeSpec
from ..policies.base import ActionChunk, EpisodesLost, Observation, Policy, PolicyContext
from ..policies.remote import codec, messages
from ..policies.remote.meter import Meter
from . import provenance
from .decide import PolicySeat
from .errors import InputError, NotAble, PolicyFailed

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
IDLE_S = 3600.0
"""A client that says nothing for so long is hung up on."""
REST_S = 60.0
"""Seconds that the rest of a question, once begun, may take."""
CONNECTIONS = 1024
EPISODES = 4096
"""Episodes whose last answer is kept; above that the oldest is forgotten."""

Answer = dict[str, Any]


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


class Desk:
    """All questions that are waiting, answered together by whoever calls `work`. `ask` and `forget` serve any thread."""

    def __init__(self, seat: PolicySeat, max_batch: int) -> None:
        self.seat = seat
        self.max_batch = max_batch
        self.meter = Meter()
        self._waiting: queue.SimpleQueue[tuple[str, list[Observation], Future[list[Answer]]]] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._last: OrderedDict[str, tuple[str, int, Answer]] = OrderedDict()
        self._closed = False

    def ask(self, client: str, observations: list[Observation]) -> Future[list[Answer]]:
        """The answers of the policy, when it has come to them; PolicyFailed where it fails."""
        future: Future[list[Answer]] = Future()
        self._waiting.put((client, observations, future))
        if self._closed:
            self._refuse()
        return future

    def forget(self, client: str, keys: Sequence[str]) -> None:
        """These episodes of that client have ended."""
        for key in keys:
            self._ended.put((client, key))

    def owner(self, key: str) -> str:
        """The client that plays the episode; empty for one that is not known."""
        return self._last.get(key, ("",))[0]

    def work(self, stop: Callable[[], bool]) -> None:
        """Answer until `stop` says so; what is asked afterwards is refused."""
        try:
            while not stop():
                with suppress(queue.Empty):
                    first = self._waiting.get(timeout=0.1)
                    self._clear()
                    self._serve([first, *self._others(len(first[1]))])
        finally:
            self._closed = True
            self._refuse()

    def _refuse(self) -> None:
        for _, _, future in self._others(-sys.maxsize):
            future.set_exception(PolicyFailed("the server is stopping"))

    def _others(self, size: int) -> Iterator[tuple[str, list[Observation], Future[list[Answer]]]]:
        with suppress(queue.Empty):
            while size < self.max_batch:
                found = self._waiting.get_nowait()
                size += len(found[1])
                yield found

    def _clear(self) -> None:
        with suppress(queue.Empty):
            while True:
                client, key = self._ended.get_nowait()
                if self._last.get(key, ("",))[0] == client:
                    self._drop(key)
        while len(self._last) > EPISODES:
            self._drop(next(iter(self._last)))

    def _drop(self, key: str) -> None:
        if self._last.pop(key, None):
            self.seat.forget(key)

    def _serve(self, asked: Sequence[tuple[str, list[Observation], Future[list[Answer]]]]) -> None:
        try:
            due = {
                one.key: (client, one) for client, observations, _ in asked for one in observations if self._is_new(client, one)
            }
            todo = [*due.values()]
            for at in range(0, len(todo), self.max_batch):
                self._decide(todo[at : at + self.max_batch])
        except PolicyFailed as error:
            for _, _, future in asked:
                future.set_exception(error)
            return
        for client, observations, future in asked:
            future.set_result([self._answer(client, one) for one in observations])

    def _is_new(self, client: str, one: Observation) -> bool:
        """Whether the policy is to be asked: at the start of an episode, or at the decision after the last answer."""
        owner, decision, _ = self._last.get(one.key, (client, -1, {}))
        if one.decision == 0:
            return (owner, decision) != (client, 0)
        return owner == client and one.decision == decision + 1

    def _decide(self, todo: Sequence[tuple[str, Observation]]) -> None:
        started = time.perf_counter()
        try:
            chunks = self.seat.decide([one for _, one in todo])
        except EpisodesLost as lost:
            for key in lost.causes:
                self._last.pop(key, None)
            return
        seconds = time.perf_counter() - started
        self.meter.note(seconds, len(todo), seconds)
        timing = {"infer_ms": 1000 * seconds, "batch": len(todo)}
        for (client, one), chunk in zip(todo, chunks, strict=True):
            self._last[one.key] = (client, one.decision, _answer(chunk, timing))
            self._last.move_to_end(one.key)

    def _answer(self, client: str, one: Observation) -> Answer:
        owner, decision, answer = self._last.get(one.key, ("", -1, {}))
        if owner != client or decision != one.decision:
            return {"key": one.key, "lost": "the server does not know how this episode began"}
        return answer


def _answer(chunk: ActionChunk, timing: Mapping[str, Any]) -> Answer:
    return {"actions": chunk.actions, "status": chunk.status, "server_timing": dict(timing)}


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
        except (ValueError, PolicyFailed) as error:
            with suppress(ConnectionClosed):
                connection.send(str(error).partition("\n")[0])
                connection.close(1011 if isinstance(error, PolicyFailed) else 1007)
        finally:
            self._free.release()
            self._desk.forget(str(number), [key] if key else [])

    def _one(self, connection: Any, number: int, decision: int) -> str | None:
        """Read and answer one question; the key of an episode that ends with the connection."""
        message = codec.unpack(connection.recv(timeout=IDLE_S))
        if isinstance(message, Mapping) and messages.BLOCK in message:
            self._exact(connection, messages.read_exact(message))
            return None
        context = self._desk.seat.context
        assert context is not None
        one = messages.read_openpi(message, EpisodeSpec("remote", 0, number, 0, context.protocol.name), decision)
        (answer,) = self._desk.ask(str(number), [one]).result()
        connection.send(codec.pack(answer))
        return one.key

    def _exact(self, connection: Any, question: messages.Question) -> None:
        self._desk.forget(question.client, question.forget)
        observations = [question.observation] if question.observation else []
        for _ in range(question.more):
            following = messages.read_exact(codec.unpack(connection.recv(timeout=REST_S)))
            if following.observation is None or following.client != question.client:
                raise ValueError("not a question: its messages do not belong together")
            observations.append(following.observation)
        if observations:
            for answer in self._desk.ask(question.client, observations).result():
                connection.send(codec.pack(answer))


def greeting(name: str, args: Mapping[str, str], policy: Policy, seat: PolicySeat) -> dict[str, Any]:
    """What the server says about the policy when a client connects."""
    assert seat.context is not None
    needs = asdict(policy.needs)
    return {
        messages.BLOCK: {
            "policy": name,
            "args": dict(args),
            "needs": {**needs, "cameras": list(needs["cameras"])},
            "stochastic": policy.stochastic,
            "marks": list(policy.marks),
            "protocol": seat.context.protocol.name,
            "protocol_version": seat.context.protocol.version,
            "action_size": seat.context.action_size,
            "fingerprint": seat.fingerprint(),
            "versions": dict(provenance.versions()),
        }
    }


@contextmanager
def listening(desk: Desk, said: Mapping[str, Any], address: Address) -> Iterator[int]:
    """Accept connections in threads of their own; the port. Raises NotAble where the address cannot be had."""
    try:
        from websockets.sync.server import serve
    except ImportError:
        raise NotAble("serving needs the extra [remote]: pip install 'nora-bench[remote]'") from None
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
        raise NotAble(f"cannot listen on {address.host}:{address.port}: {error.strerror}; try another --port") from None
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
    """The policy, started, at its desk. Raises PolicyFailed."""
    seat.start(context)
    return Desk(seat, max_batch)
