"""Policies behind openpi's wire protocol: `nora-bench serve`, and the servers of π0, π0.5 and their like.

On connecting the server sends a map of metadata. Then every message is one observation and every response a map with
`actions`; a text instead of bytes is an error. Messages of one batch are sent before the first response is read, so that the
server can batch them.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

import numpy as np

from ...envs.base import ObservationSpec
from ...envs.errors import PolicyError
from ..base import ActionChunk, Array, BasePolicy, EpisodeStateLost, Observation, PolicyContext, PolicyRequestError
from . import codec, messages
from .connection import Connection, ConnectionLost
from .latency import LatencyStats

UNKNOWN = "unknown"
"""Recorded value of facts that a server does not declare."""
RESENDS = 3
"""Times in a row that one batch is sent again over a new connection."""


def connect(
    url: str,
    image_size: int = 224,
    cameras: tuple[Literal["primary", "wrist"], ...] = ("primary", "wrist"),
    state: bool = True,
    n_action_steps: int | None = None,
    request_timeout_s: float = 120.0,
    connect_timeout_s: float = 30.0,
) -> OpenpiPolicy:
    """The policy of the server at `url`. `nora-bench serve` declares its inputs; other servers take the arguments.

    Args:
        url: `ws://host:port` or `wss://...`.
        image_size: side in pixels; images are resized to it (Pillow, bilinear) and padded where not square, as
            openpi's client does. 0 sends them unchanged.
        cameras: the cameras whose images are sent.
        state: whether LIBERO's 8 numbers are sent.
        n_action_steps: actions of each chunk that are executed; None follows the protocol, else all. openpi's LIBERO script: 5.
        request_timeout_s: seconds that a response may take.
        connect_timeout_s: seconds of attempts to connect.
    """
    declared: dict[str, Any] = {}

    def greet(connection: Connection) -> None:
        declared.clear()
        declared.update(_metadata(connection))

    connection = Connection(url, greet, request_timeout_s=request_timeout_s, connect_timeout_s=connect_timeout_s)
    connection.open()
    if messages.BLOCK in declared:
        return ServedPolicy(connection, declared)
    return OpenpiPolicy(connection, declared, image_size=image_size, cameras=cameras, state=state, n_action_steps=n_action_steps)


def _metadata(connection: Connection) -> dict[str, Any]:
    try:
        found = codec.unpack(connection.receive())
    except codec.CodecError as error:
        raise PolicyError(f"the server at {connection.url} does not speak openpi's protocol: {error}") from None
    if not isinstance(found, dict):
        raise PolicyError(
            f"the server at {connection.url} does not speak openpi's protocol: it greets with a {type(found).__name__}"
        )
    return found


class OpenpiPolicy(BasePolicy):
    """A server known only by its metadata. See `policies.base.Policy` for the contract."""

    stochastic = True  # openpi's models draw noise of their own, which no episode's key decides
    tags: tuple[str, ...] = ("undeclared",)

    def __init__(
        self,
        connection: Connection,
        declared: Mapping[str, Any],
        *,
        image_size: int = 224,
        cameras: tuple[str, ...] = ("primary", "wrist"),
        state: bool = True,
        n_action_steps: int | None = None,
    ) -> None:
        if (n_action_steps is not None and n_action_steps < 1) or image_size < 0:
            raise PolicyRequestError(
                f"n_action_steps={n_action_steps}, image_size={image_size}: n_action_steps is at least 1, image_size 0 or more"
            )
        self.observation_spec = ObservationSpec(cameras=cameras, proprio=state, proprio_spec=messages.STATE_SPEC if state else ())
        self.declared = declared
        self._connection = connection
        self._image_size, self._state, self.n_action_steps = image_size, state, n_action_steps
        self._latency = LatencyStats()

    def setup(self, context: PolicyContext) -> None:
        self.context = context

    def act(self, observations: Sequence[Observation]) -> Sequence[ActionChunk]:
        responses = self._query([codec.pack(request) for request in self._requests(observations)])
        return [self._chunk(response) for response in responses]

    def end_episode(self, key: str) -> None:
        """No state is kept here; that of the server is unknown."""

    def fingerprint(self) -> Mapping[str, Any]:
        metadata = plain(self.declared)
        known = {name: metadata.get(name, UNKNOWN) for name in ("weights", "chunk", "needs", "versions")}
        asked = {
            "image_size": self._image_size,
            "cameras": list(self.observation_spec.cameras),
            "state": self._state,
            "steps": self.n_action_steps,
        }
        return {"server": {"speaks": "openpi", **known, "declared": metadata}, "asked": asked}

    def metrics(self) -> Mapping[str, Any]:
        """JSON-able: latency, batch size, bytes and connections so far."""
        connection = self._connection
        return {
            **self._latency.summary(),
            "bytes_sent": connection.sent,
            "bytes_received": connection.received,
            "connections": connection.opened,
        }

    def close(self) -> None:
        self._connection.close()

    def _requests(self, observations: Sequence[Observation]) -> list[dict[str, Any]]:
        return [
            messages.openpi(
                one, {name: self._resized(image) for name, image in one.env_observation.images.items()}, state=self._state
            )
            for one in observations
        ]

    def _resized(self, image: Array) -> Array:
        if not self._image_size or image.shape[:2] == (self._image_size, self._image_size):
            return image
        return messages.padded(image, self._image_size)

    def _query(self, requests: Sequence[bytes]) -> list[dict[str, Any]]:
        """The responses, over up to `RESENDS` connections."""
        cause = ""
        for _ in range(RESENDS):
            try:
                return self._exchange(requests)
            except ConnectionLost as error:
                cause = str(error)
                self._connection.open()
        raise PolicyError(
            f"the server at {self._connection.url} closed the connection {RESENDS} times in a row on the same request: {cause}"
        )

    def _exchange(self, requests: Sequence[bytes]) -> list[dict[str, Any]]:
        started = time.perf_counter()
        for request in requests:
            self._connection.send(request)
        responses = [self._response(self._connection.receive()) for _ in requests]
        seconds = time.perf_counter() - started
        timings = [_infer_ms(response) for response in responses]
        model_s = None if np.isnan(timings).any() else self._model_s(timings)
        self._latency.note(seconds, len(requests), model_s)
        return responses

    def _model_s(self, timings_ms: Sequence[float]) -> float:
        """Seconds the model took: openpi's servers process one observation after the other."""
        return sum(timings_ms) / 1000

    def _response(self, data: bytes | str) -> dict[str, Any]:
        if isinstance(data, str):
            reason = data.strip().splitlines()
            raise PolicyError(f"the server at {self._connection.url} failed: {reason[-1][:500] if reason else 'no reason given'}")
        try:
            response = codec.unpack(data)
        except codec.CodecError as error:
            raise PolicyError(f"the server at {self._connection.url} responded with {error}") from None
        if not isinstance(response, dict):
            raise PolicyError(f"the server at {self._connection.url} responded with a {type(response).__name__}, not with a map")
        return response

    def _chunk(self, response: Mapping[str, Any]) -> ActionChunk:
        return ActionChunk(
            actions_of(response, self._connection.url, self.context.action_size)[: self.n_action_steps],
            str(response.get("status", "ok")),
        )


class ServedPolicy(OpenpiPolicy):
    """A policy of `nora-bench serve`: the same chunks, bit for bit, as with the policy in this process.

    The server keeps its last response to each episode, so that a request whose response was lost with the connection can be
    sent again; a restarted server reports the loss, and the episodes are run again from their start.
    """

    def __init__(self, connection: Connection, declared: Mapping[str, Any]) -> None:
        super().__init__(connection, declared)
        try:
            metadata = declared[messages.BLOCK]
            self.observation_spec = ObservationSpec.from_json(metadata["needs"])
            self.stochastic, self.tags = bool(metadata["stochastic"]), tuple(map(str, metadata["marks"]))
            self._serves = (str(metadata["protocol"]), int(metadata["protocol_version"]), int(metadata["action_size"]))
            self._suites = tuple(map(str, metadata["suites"]))
            self._fingerprint = dict(metadata["fingerprint"])
        except (KeyError, TypeError, ValueError) as error:
            raise PolicyError(f"the server at {connection.url} is of another version of nora-bench: {error!r}") from None
        self._client = uuid.uuid4().hex
        self._ended: list[str] = []

    def setup(self, context: PolicyContext) -> None:
        super().setup(context)
        name, version, size = self._serves
        wanted = (context.protocol.name, context.protocol.version, context.action_size)
        if wanted != self._serves:
            raise PolicyError(
                f"the server at {self._connection.url} serves {name} v{version} ({size} numbers per action), and this run is of "
                f"{wanted[0]} v{wanted[1]} ({wanted[2]}); start it with --protocol {wanted[0]} and the run's --suite"
            )
        if other := sorted(set(context.suites) - set(self._suites)):
            raise PolicyError(
                f"the server at {self._connection.url} serves {', '.join(self._suites)}, and this run is of {', '.join(other)}; "
                f"start it with {' '.join(f'--suite {suite}' for suite in context.suites)}"
            )

    def act(self, observations: Sequence[Observation]) -> Sequence[ActionChunk]:
        size = messages.LARGEST_BATCH
        parts = [observations[at : at + size] for at in range(0, len(observations), size)]
        return [chunk for part in parts for chunk in super(ServedPolicy, self).act(part)]

    def end_episode(self, key: str) -> None:
        self._ended.append(key)

    def fingerprint(self) -> Mapping[str, Any]:
        metadata = plain(self.declared[messages.BLOCK])
        known = {name: self._fingerprint.get(name, UNKNOWN) for name in ("weights", "chunk")}
        return {"server": {"speaks": "nora-bench", **known, "declared": metadata}}

    def close(self) -> None:
        if self._ended and self._connection.opened:
            with suppress(ConnectionLost):  # a server that has stopped keeps no state
                self._connection.send(codec.pack(messages.exact(None, client=self._client, ended=tuple(self._ended))))
        super().close()

    def _requests(self, observations: Sequence[Observation]) -> list[dict[str, Any]]:
        ended, self._ended = tuple(self._ended), []
        last = len(observations) - 1
        return [
            messages.exact(one, client=self._client, more=last - at, ended=() if at else ended)
            for at, one in enumerate(observations)
        ]

    def _query(self, requests: Sequence[bytes]) -> list[dict[str, Any]]:
        responses = super()._query(requests)
        lost = {str(response.get("key")): str(response["lost"]) for response in responses if "lost" in response}
        if lost:
            raise EpisodeStateLost(lost)
        return responses

    def _model_s(self, timings_ms: Sequence[float]) -> float:
        return max(timings_ms) / 1000  # sent as one batch


def actions_of(response: Mapping[str, Any], url: str, size: int) -> Array:
    """[steps, size] finite float64 in a response; one action counts as a chunk of one step. Raises PolicyError for others."""
    actions = response.get("actions")
    if not isinstance(actions, np.ndarray | list):
        raise PolicyError(
            f"the server at {url} responded without `actions` (it has {', '.join(map(str, response)) or 'nothing'})"
        )
    try:
        found = np.atleast_2d(np.asarray(actions, np.float64))
    except (ValueError, TypeError):
        raise PolicyError(f"the server at {url} responded with actions that are no array of numbers") from None
    if found.ndim != 2 or not found.size or found.shape[1] != size:
        why = "its model was made for another robot, or its output is not converted to that of this one"
        raise PolicyError(
            f"the server at {url} responded with actions that do not fit: actions must be [steps, {size}], not "
            f"{list(np.shape(actions))}" + (f"; {why}" if found.ndim == 2 and found.size else "")
        )
    if not np.isfinite(found).all():
        raise PolicyError(f"the server at {url} responded with NaN or infinity: actions must be finite")
    return found


def _infer_ms(response: Mapping[str, Any]) -> float:
    """Milliseconds of the model, as the server reports; NaN where it does not."""
    timing = response.get("server_timing")
    metadata = timing.get("infer_ms") if isinstance(timing, Mapping) else None
    return float(metadata) if isinstance(metadata, int | float) else float("nan")


def plain(value: Any) -> Any:
    """Metadata of a server as JSON; other values as their text."""
    return json.loads(json.dumps(_named(value), default=lambda one: one.tolist() if isinstance(one, np.ndarray) else str(one)))


def _named(value: Any) -> Any:
    """The same with texts as names."""
    if isinstance(value, Mapping):
        return {str(name): _named(part) for name, part in value.items()}
    return [_named(part) for part in value] if isinstance(value, list) else value
