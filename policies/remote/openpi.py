"""Policies behind openpi's wire protocol: `nora-bench serve`, and the servers of π0, π0.5 and their like.

On connecting the server sends a map of what it wants to say about itself. Then every message is one observation and every
answer a map with `actions`; a text instead of bytes is an error. Messages of one batch are sent before the first answer is
read, so that a server which looks ahead can batch them.
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
from ..base import ActionChunk, Array, BasePolicy, EpisodeStateLost, Observation, PolicyContext
from . import codec, messages
from .connection import Link, LinkLost
from .latency import Meter

UNKNOWN = "unknown"
"""What stands in a run's record for what a server does not declare."""
RESENDS = 3
"""Times in a row that one batch is asked again over a new connection."""


def connect(
    url: str,
    image_size: int = 224,
    cameras: tuple[Literal["primary", "wrist"], ...] = ("primary", "wrist"),
    state: bool = True,
    steps: int | None = None,
    deadline_s: float = 120.0,
    patience_s: float = 30.0,
) -> OpenpiPolicy:
    """The policy of the server at `url`. A server of ours says itself what it is to be shown; others take the arguments.

    Args:
        url: `ws://host:port` or `wss://...`.
        image_size: side in pixels; pictures are resized to it (Pillow, bilinear) and those that are not square padded, as
            openpi's client does. 0 sends them as they are.
        cameras: which are sent.
        state: whether LIBERO's 8 numbers are sent.
        steps: how many of a chunk's steps are executed; None for what the protocol says, or all. openpi's LIBERO script: 5.
        deadline_s: seconds that an answer may take.
        patience_s: seconds of attempts to connect.
    """
    declared: dict[str, Any] = {}

    def greet(link: Link) -> None:
        declared.clear()
        declared.update(_metadata(link))

    link = Link(url, greet, deadline_s=deadline_s, patience_s=patience_s)
    link.open()
    if messages.BLOCK in declared:
        return ServedPolicy(link, declared)
    return OpenpiPolicy(link, declared, image_size=image_size, cameras=cameras, state=state, steps=steps)


def _metadata(link: Link) -> dict[str, Any]:
    try:
        found = codec.unpack(link.receive())
    except codec.CodecError as error:
        raise PolicyError(f"the server at {link.url} does not speak openpi's protocol: {error}") from None
    if not isinstance(found, dict):
        raise PolicyError(f"the server at {link.url} does not speak openpi's protocol: it greets with a {type(found).__name__}")
    return found


class OpenpiPolicy(BasePolicy):
    """A server of which nothing is known but what it says. See `policies.base.Policy` for the contract."""

    stochastic = True  # openpi's models draw noise of their own, which no episode's key decides
    tags: tuple[str, ...] = ("undeclared",)

    def __init__(
        self,
        link: Link,
        declared: Mapping[str, Any],
        *,
        image_size: int = 224,
        cameras: tuple[str, ...] = ("primary", "wrist"),
        state: bool = True,
        steps: int | None = None,
    ) -> None:
        if (steps is not None and steps < 1) or image_size < 0:
            raise PolicyError(f"steps={steps}, image_size={image_size}: steps is at least 1, and image_size 0 or more")
        self.observation_spec = ObservationSpec(cameras=cameras, proprio=state, proprio_spec=messages.STATE_SPEC if state else ())
        self.declared = declared
        self._link = link
        self._image_size, self._state, self._steps = image_size, state, steps
        self._meter = Meter()

    def setup(self, context: PolicyContext) -> None:
        self.context = context

    def act(self, observations: Sequence[Observation]) -> Sequence[ActionChunk]:
        answers = self._ask([codec.pack(question) for question in self._questions(observations)])
        return [self._chunk(answer) for answer in answers]

    def end_episode(self, key: str) -> None:
        """Nothing is kept, here or, as far as is known, there."""

    def fingerprint(self) -> Mapping[str, Any]:
        said = plain(self.declared)
        known = {name: said.get(name, UNKNOWN) for name in ("weights", "chunk", "needs", "versions")}
        asked = {
            "image_size": self._image_size,
            "cameras": list(self.observation_spec.cameras),
            "state": self._state,
            "steps": self._steps,
        }
        return {"server": {"speaks": "openpi", **known, "declared": said}, "asked": asked}

    def metrics(self) -> Mapping[str, Any]:
        """JSON-able: latency, batch size, bytes and connections so far."""
        link = self._link
        return {**self._meter.summary(), "bytes_sent": link.sent, "bytes_received": link.received, "connections": link.opened}

    def close(self) -> None:
        self._link.close()

    def _questions(self, observations: Sequence[Observation]) -> list[dict[str, Any]]:
        return [
            messages.openpi(
                one, {name: self._resized(picture) for name, picture in one.env_observation.images.items()}, state=self._state
            )
            for one in observations
        ]

    def _resized(self, picture: Array) -> Array:
        if not self._image_size or picture.shape[:2] == (self._image_size, self._image_size):
            return picture
        return messages.padded(picture, self._image_size)

    def _ask(self, questions: Sequence[bytes]) -> list[dict[str, Any]]:
        """The answers, over as many connections as it takes."""
        cause = ""
        for _ in range(RESENDS):
            try:
                return self._exchange(questions)
            except LinkLost as error:
                cause = str(error)
                self._link.open()
        raise PolicyError(f"the server at {self._link.url} hung up {RESENDS} times in a row on the same question: {cause}")

    def _exchange(self, questions: Sequence[bytes]) -> list[dict[str, Any]]:
        started = time.perf_counter()
        for question in questions:
            self._link.send(question)
        answers = [self._answer(self._link.receive()) for _ in questions]
        seconds = time.perf_counter() - started
        timings = [_infer_ms(answer) for answer in answers]
        model_s = None if np.isnan(timings).any() else self._model_s(timings)
        self._meter.note(seconds, len(questions), model_s)
        return answers

    def _model_s(self, timings_ms: Sequence[float]) -> float:
        """Seconds the model took: servers of openpi's own answer one observation after the other."""
        return sum(timings_ms) / 1000

    def _answer(self, data: bytes | str) -> dict[str, Any]:
        if isinstance(data, str):
            said = data.strip().splitlines()
            raise PolicyError(f"the server at {self._link.url} failed: {said[-1][:500] if said else 'it does not say why'}")
        try:
            answer = codec.unpack(data)
        except codec.CodecError as error:
            raise PolicyError(f"the server at {self._link.url} answered with {error}") from None
        if not isinstance(answer, dict):
            raise PolicyError(f"the server at {self._link.url} answered with a {type(answer).__name__}, not with a map")
        return answer

    def _chunk(self, answer: Mapping[str, Any]) -> ActionChunk:
        return ActionChunk(
            actions_of(answer, self._link.url, self.context.action_size)[: self._steps], str(answer.get("status", "ok"))
        )


class ServedPolicy(OpenpiPolicy):
    """A policy of `nora-bench serve`: the same answers, bit for bit, as with the policy in this process.

    The server remembers for each episode what it answered last, so that a question whose answer was lost with the connection
    can be put again; a server that was started anew says so, and the episodes are played again from their start.
    """

    def __init__(self, link: Link, declared: Mapping[str, Any]) -> None:
        super().__init__(link, declared)
        try:
            said = declared[messages.BLOCK]
            self.observation_spec = ObservationSpec.from_json(said["needs"])
            self.stochastic, self.tags = bool(said["stochastic"]), tuple(map(str, said["marks"]))
            self._serves = (str(said["protocol"]), int(said["protocol_version"]), int(said["action_size"]))
            self._suites = tuple(map(str, said["suites"]))
            self._fingerprint = dict(said["fingerprint"])
        except (KeyError, TypeError, ValueError) as error:
            raise PolicyError(f"the server at {link.url} is of another version of nora-bench: {error!r}") from None
        self._client = uuid.uuid4().hex
        self._ended: list[str] = []

    def setup(self, context: PolicyContext) -> None:
        super().setup(context)
        name, version, size = self._serves
        wanted = (context.protocol.name, context.protocol.version, context.action_size)
        if wanted != self._serves:
            raise PolicyError(
                f"the server at {self._link.url} answers for {name} v{version} ({size} numbers per action), and this run plays "
                f"{wanted[0]} v{wanted[1]} ({wanted[2]}); start it with --protocol {wanted[0]} and the run's --suite"
            )
        if other := sorted(set(context.suites) - set(self._suites)):
            raise PolicyError(
                f"the server at {self._link.url} answers for {', '.join(self._suites)}, and this run plays {', '.join(other)}; "
                f"start it with {' '.join(f'--suite {suite}' for suite in context.suites)}"
            )

    def act(self, observations: Sequence[Observation]) -> Sequence[ActionChunk]:
        size = messages.LARGEST_BATCH
        parts = [observations[at : at + size] for at in range(0, len(observations), size)]
        return [chunk for part in parts for chunk in super(ServedPolicy, self).act(part)]

    def end_episode(self, key: str) -> None:
        self._ended.append(key)

    def fingerprint(self) -> Mapping[str, Any]:
        said = plain(self.declared[messages.BLOCK])
        known = {name: self._fingerprint.get(name, UNKNOWN) for name in ("weights", "chunk")}
        return {"server": {"speaks": "nora-bench", **known, "declared": said}}

    def close(self) -> None:
        if self._ended and self._link.opened:
            with suppress(LinkLost):  # a server that is gone has forgotten
                self._link.send(codec.pack(messages.exact(None, client=self._client, forget=tuple(self._ended))))
        super().close()

    def _questions(self, observations: Sequence[Observation]) -> list[dict[str, Any]]:
        ended, self._ended = tuple(self._ended), []
        last = len(observations) - 1
        return [
            messages.exact(one, client=self._client, more=last - at, forget=() if at else ended)
            for at, one in enumerate(observations)
        ]

    def _ask(self, questions: Sequence[bytes]) -> list[dict[str, Any]]:
        answers = super()._ask(questions)
        lost = {str(answer.get("key")): str(answer["lost"]) for answer in answers if "lost" in answer}
        if lost:
            raise EpisodeStateLost(lost)
        return answers

    def _model_s(self, timings_ms: Sequence[float]) -> float:
        return max(timings_ms) / 1000  # asked as one batch


def actions_of(answer: Mapping[str, Any], url: str, size: int) -> Array:
    """[steps, size] finite float64 in an answer; one action counts as a chunk of one step. Raises PolicyError for others."""
    actions = answer.get("actions")
    if not isinstance(actions, np.ndarray | list):
        raise PolicyError(f"the server at {url} answered without `actions` (it has {', '.join(map(str, answer)) or 'nothing'})")
    try:
        found = np.atleast_2d(np.asarray(actions, np.float64))
    except (ValueError, TypeError):
        raise PolicyError(f"the server at {url} answered with actions that are no array of numbers") from None
    if found.ndim != 2 or not found.size or found.shape[1] != size:
        why = "its model was made for another robot, or its output is not converted to that of this one"
        raise PolicyError(
            f"the server at {url} answered with actions that do not fit: actions must be [steps, {size}], not "
            f"{list(np.shape(actions))}" + (f"; {why}" if found.ndim == 2 and found.size else "")
        )
    if not np.isfinite(found).all():
        raise PolicyError(f"the server at {url} answered with NaN or infinity: actions must be finite")
    return found


def _infer_ms(answer: Mapping[str, Any]) -> float:
    """Milliseconds that the server says its model took; NaN where it does not say."""
    timing = answer.get("server_timing")
    said = timing.get("infer_ms") if isinstance(timing, Mapping) else None
    return float(said) if isinstance(said, int | float) else float("nan")


def plain(value: Any) -> Any:
    """What a server said as JSON; what JSON cannot hold as its text."""
    return json.loads(json.dumps(_named(value), default=lambda one: one.tolist() if isinstance(one, np.ndarray) else str(one)))


def _named(value: Any) -> Any:
    """The same with a text for the name of every part."""
    if isinstance(value, Mapping):
        return {str(name): _named(part) for name, part in value.items()}
    return [_named(part) for part in value] if isinstance(value, list) else value
