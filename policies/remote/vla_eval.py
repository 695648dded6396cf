"""Model servers of the PyPI package `vla-eval` (0.8, protocol version 1) as a policy.

Its server keeps one episode per connection: hello, then per episode a start, one observation and one action per message, and
an end. So each episode in play has a connection of its own; all are asked before the first answer is read, and the server
batches them as it was told to (`max_batch_size`). A server with a chunk buffer hands out one step per question.

Actions that are absolute poses become LIBERO's own where they are executed: one step per decision, from the pose that the hand
has reached by then (`poses.py`). The rest of a chunk waits here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ...envs.base import ObservationSpec
from ...envs.errors import PolicyError
from ...envs.specs import OPEN_NEGATIVE, ActionDim
from ..base import ActionChunk, Array, BasePolicy, EpisodeStateLost, Observation, PolicyContext
from . import codec, poses, server_requirements
from .connection import Link, LinkLost
from .latency import Meter
from .messages import STATE_SPEC, libero_state
from .openpi import UNKNOWN, actions_of, plain

VERSION = 1
"""Of vla-eval's protocol."""
CLIENT = "0.8.0"
"""The version of vla-eval whose protocol this is."""
ACTION_SIZE = 7
"""Of LIBERO's actions, the only ones that are taken here."""
PICTURE = 256
"""Pixels of the pictures that vla-eval's LIBERO shows."""
IMAGES = {"primary": "agentview", "wrist": "wrist"}


class VlaEvalPolicy(BasePolicy):
    """The model of one vla-eval server. See `policies.base.Policy` for the contract."""

    stochastic = True  # the server does not say
    tags: tuple[str, ...] = ("undeclared",)
    action_spec = (*(ActionDim("") for _ in range(ACTION_SIZE - 1)), ActionDim("gripper", convention=OPEN_NEGATIVE))
    """LIBERO's gripper, to which the server's is converted."""

    def __init__(
        self, url: str, ignore: tuple[str, ...] = (), check: bool = True, deadline_s: float = 120.0, patience_s: float = 30.0
    ) -> None:
        """Connect.

        Args:
            url: `ws://host:port`.
            ignore: wishes of the server that are left unfulfilled; the run is marked `unchecked`.
            check: whether actions that are declared in a form which is not converted are refused. Otherwise the numbers are
                played as vla-eval's own LIBERO plays them, and the run is marked `unchecked`.
            deadline_s: seconds that an answer may take.
            patience_s: seconds of attempts to connect.
        """
        self._url, self._deadline_s, self._patience_s = url, deadline_s, patience_s
        self._check, self._ignore = check, ignore
        if ignore or not check:
            self.tags = (*self.tags, "unchecked")
        self._links: dict[str, Link] = {}
        self._idle: list[Link] = []
        self._every: list[Link] = []
        self._kept: dict[str, tuple[int, Array]] = {}
        self._poses: dict[str, list[Array]] = {}
        """Key -> absolute poses that are still to be executed."""
        self._meter = Meter()
        self._numbers = 0
        first = self._new_link()
        self.declared: dict[str, Any] = first.open()
        self._idle.append(first)
        self._wishes: dict[str, Any] = plain(self.declared.get("observation_params") or {})
        spec: dict[str, Any] = plain(self.declared.get("action_spec") or {})
        server_requirements.refuse_unmet(url, self._wishes, ignore)
        self._absolute = server_requirements.is_absolute(self._wishes, spec)
        if check:
            server_requirements.refuse_other_actions(url, spec, absolute=self._absolute)
        self._gripper = server_requirements.gripper_of(spec)
        self._state = bool(self._wishes.get("send_state"))
        self._shortest = not self._wishes.get("quat_no_antipodal")
        cameras = ("primary", "wrist") if self._wishes.get("send_wrist_image") else ("primary",)
        reads_state = self._state or self._absolute
        self.observation_spec = ObservationSpec(
            cameras=cameras, image_size=PICTURE, proprio=reads_state, proprio_spec=STATE_SPEC if reads_state else ()
        )

    def setup(self, context: PolicyContext) -> None:
        self.context = context
        protocol = context.protocol
        if protocol.family == "simpler":
            raise PolicyError("vla-eval servers are driven on LIBERO only: SimplerEnv would need vla-eval's own conversions")
        server_requirements.refuse_other_protocol(self._url, self._wishes, context)
        if self._absolute and (protocol.family != "libero" or protocol.success == "chunk_end"):
            raise PolicyError(
                f"the server at {self._url} answers absolute poses, which are played one step at a time on LIBERO; "
                f"{protocol.name} is not played so. Type: --protocol libero/openvla"
            )

    def act(self, observations: Sequence[Observation]) -> Sequence[ActionChunk]:
        started = time.perf_counter()
        asked, lost = [], {}
        for one in observations:
            if one.decision == 0:
                self._poses.pop(one.key, None)
            if self._poses.get(one.key) or self._kept.get(one.key, (None,))[0] == one.decision:
                continue  # still poses to execute; or answered before, in a batch of which another episode was lost
            try:
                asked.append((one, self._question(one)))
            except LinkLost as error:
                lost[one.key] = self._dropped(one.key, error)
        for one, number in asked:
            try:
                self._keep(one, self._answer(self._links[one.key], number))
            except LinkLost as error:
                lost[one.key] = self._dropped(one.key, error)
        if lost:
            raise EpisodeStateLost(lost)
        self._meter.note(time.perf_counter() - started, len(observations))
        return [self._chunk(one) for one in observations]

    def _keep(self, one: Observation, actions: Array) -> None:
        if self._absolute:
            self._poses[one.key] = [*actions[: self.context.protocol.replan_steps]]
        else:
            self._kept[one.key] = (one.decision, actions)

    def _chunk(self, one: Observation) -> ActionChunk:
        if not self._absolute:
            return ActionChunk(self._kept.pop(one.key)[1])
        action, cut = poses.delta_of(self._poses[one.key].pop(0), one.env_observation.proprio)
        return ActionChunk(action[None], "out_of_range" if cut else "ok")

    def _question(self, one: Observation) -> int:
        """Ask; the number that the answer will carry."""
        if one.key not in self._links:
            if one.decision:
                raise LinkLost("the server has lost the episode")
            self._links[one.key] = self._idle.pop() if self._idle else self._opened()
        link = self._links[one.key]
        if one.decision == 0:
            spec = one.spec
            task = {"name": one.instruction, "suite": spec.suite, "task_id": spec.task_id, "episode_idx": spec.init_state}
            self._start(link, {"task": task}, one.key)
        return self._send(link, "observation", self._shown(one))

    def _start(self, link: Link, payload: dict[str, Any], key: str) -> None:
        """Begin the episode; an idle connection that has broken meanwhile is made again first."""
        try:
            self._send(link, "episode_start", payload)
        except LinkLost:
            link.open()
            self._send(link, "episode_start", payload)
        self._links[key] = link

    def _shown(self, one: Observation) -> dict[str, Any]:
        images = {IMAGES[camera]: picture for camera, picture in one.env_observation.images.items()}
        shown = {"images": images, "task_description": one.instruction}
        if self._state:  # vla-eval's LIBERO shows both, and a model takes the one it was trained on
            shown["states"] = libero_state(one.env_observation.proprio, shortest=self._shortest)
            shown["controller_states"] = poses.controller_state(one.env_observation.proprio)
        return shown

    def _answer(self, link: Link, number: int) -> Array:
        """[steps, 7] with LIBERO's gripper."""
        kind, payload = self._receive(link, number)
        if kind != "action":
            raise PolicyError(f"the server at {self._url} answered an observation with a {kind} message")
        actions = actions_of(payload, self._url, ACTION_SIZE).copy()  # what arrives is read-only
        actions[:, -1] = self._gripper(actions[:, -1])
        return actions

    def _dropped(self, key: str, error: LinkLost) -> str:
        link = self._links.pop(key, None)
        if link:
            link.close()
            self._every.remove(link)
        return f"the connection to {self._url} broke: {error}"

    def end_episode(self, key: str) -> None:
        self._kept.pop(key, None)
        self._poses.pop(key, None)
        link = self._links.pop(key, None)
        if link is None:
            return
        with suppress(LinkLost):  # it is made again when it is next used
            self._send(link, "episode_end", {"metrics": {}})
        self._idle.append(link)

    def fingerprint(self) -> Mapping[str, Any]:
        said = plain(self.declared)
        known = {name: said.get(name, UNKNOWN) for name in ("model_server", "harness_version", "action_spec", "observation_spec")}
        played = {"absolute_action": self._absolute, "ignore": list(self._ignore), "check": self._check}
        return {
            "server": {"speaks": "vla-eval", **known, "weights": UNKNOWN, "chunk": UNKNOWN, "declared": said},
            "asked": played,
        }

    def metrics(self) -> Mapping[str, Any]:
        """JSON-able: latency, batch size, bytes and connections so far."""
        totals = {name: sum(getattr(link, name) for link in self._every) for name in ("sent", "received", "opened")}
        sizes = {"bytes_sent": totals["sent"], "bytes_received": totals["received"], "connections": totals["opened"]}
        return {**self._meter.summary(), **sizes}

    def close(self) -> None:
        for link in self._every:
            link.close()

    def _new_link(self) -> Link:
        link = Link(self._url, self._greet, deadline_s=self._deadline_s, patience_s=self._patience_s)
        self._every.append(link)
        return link

    def _opened(self) -> Link:
        link = self._new_link()
        link.open()
        return link

    def _greet(self, link: Link) -> dict[str, Any]:
        number = self._send(link, "hello", {"harness_version": CLIENT, "protocol_version": VERSION, "client": "nora-bench"})
        kind, payload = self._receive(link, number)
        if kind != "hello" or payload.get("protocol_version") != VERSION:
            raise PolicyError(
                f"the server at {self._url} speaks version {payload.get('protocol_version')} of the protocol, not {VERSION}"
            )
        for name in ("observation_params", "action_spec"):
            if not isinstance(payload.get(name) or {}, Mapping):
                raise PolicyError(f"the server at {self._url} greets with {name} that is no map")
        return payload

    def _send(self, link: Link, kind: str, payload: Mapping[str, Any]) -> int:
        self._numbers += 1
        message = {"type": kind, "payload": payload, "seq": self._numbers, "timestamp": time.time()}
        link.send(codec.pack(message, text_names=True))
        return self._numbers

    def _receive(self, link: Link, number: int) -> tuple[str, dict[str, Any]]:
        """Kind and contents of the answer to a message of ours."""
        try:
            message = codec.unpack(link.receive())
            kind, payload, answered = message["type"], message["payload"], message["seq"]
        except (codec.CodecError, KeyError, TypeError, IndexError) as error:
            raise PolicyError(f"the server at {self._url} does not speak vla-eval's protocol: {error}") from None
        if not isinstance(kind, str) or not isinstance(answered, int):
            raise PolicyError(f"the server at {self._url} does not speak vla-eval's protocol: its message has no type or number")
        if kind == "error":
            raise PolicyError(f"the server at {self._url} failed: {payload}")
        if answered != number or not isinstance(payload, dict):
            raise PolicyError(f"the server at {self._url} answered question {answered} where {number} was asked")
        return kind, payload
