"""Model servers of the PyPI package `vla-eval` (0.8, protocol version 1) as a policy.

Its server keeps one episode per connection: hello, then per episode a start, one observation and one action per message, and
an end. So each running episode has its own connection; all requests are sent before the first response is read, and the server
batches them by its `max_batch_size`. A server with a chunk buffer returns one step per request.

Absolute poses are converted to LIBERO's actions when they are executed: one step per decision, from the pose that the end
effector has reached by then (`delta_of`). The rest of a chunk waits here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from ...envs.base import ObservationSpec
from ...envs.errors import PolicyError
from ...envs.specs import OPEN_NEGATIVE, ActionDim
from ..base import ActionChunk, Array, BasePolicy, EpisodeStateLost, Observation, PolicyContext
from ..scripted.geometry import exp, from_quaternion, log
from . import codec, server_requirements
from .connection import Connection, ConnectionLost
from .latency import LatencyStats
from .messages import STATE_SPEC, libero_state
from .openpi import UNKNOWN, actions_of, plain

VERSION = 1
"""Version of vla-eval's protocol."""
CLIENT = "0.8.0"
"""The version of vla-eval whose protocol this is."""
ACTION_SIZE = 7
"""Numbers of LIBERO's actions, the only ones supported."""
IMAGE_SIZE = 256
"""Side in pixels of the images of vla-eval's LIBERO."""
IMAGES = {"primary": "agentview", "wrist": "wrist"}


class VlaEvalPolicy(BasePolicy):
    """The model of one vla-eval server. See `policies.base.Policy` for the contract."""

    stochastic = True  # the server does not declare it
    tags: tuple[str, ...] = ("undeclared",)
    action_spec: tuple[ActionDim, ...] | None = (
        *(ActionDim("") for _ in range(ACTION_SIZE - 1)),
        ActionDim("gripper", convention=OPEN_NEGATIVE),
    )
    """LIBERO's gripper, to which the server's is converted."""

    def __init__(
        self,
        url: str,
        ignore: tuple[str, ...] = (),
        check: bool = True,
        request_timeout_s: float = 120.0,
        connect_timeout_s: float = 30.0,
    ) -> None:
        """Connect.

        Args:
            url: `ws://host:port`.
            ignore: requirements of the server that are not met; the run is tagged `unchecked`.
            check: whether actions declared in an unsupported form are refused. Otherwise the numbers are executed as
                vla-eval's own LIBERO does, and the run is tagged `unchecked`.
            request_timeout_s: seconds that a response may take.
            connect_timeout_s: seconds of attempts to connect.
        """
        self._url, self._request_timeout_s, self._connect_timeout_s = url, request_timeout_s, connect_timeout_s
        self._check, self._ignore = check, ignore
        if ignore or not check:
            self.tags = (*self.tags, "unchecked")
        self._connections: dict[str, Connection] = {}
        self._idle: list[Connection] = []
        self._every: list[Connection] = []
        self._received: dict[str, tuple[int, Array]] = {}
        self._poses: dict[str, list[Array]] = {}
        """Key -> absolute poses left to execute."""
        self._latency = LatencyStats()
        self._numbers = 0
        first = self._new_connection()
        self.declared: dict[str, Any] = first.open()
        self._idle.append(first)
        self._requirements: dict[str, Any] = plain(self.declared.get("observation_params") or {})
        spec: dict[str, Any] = plain(self.declared.get("action_spec") or {})
        server_requirements.refuse_unmet(url, self._requirements, ignore)
        self._absolute = server_requirements.is_absolute(self._requirements, spec)
        if check:
            server_requirements.refuse_other_actions(url, spec, absolute=self._absolute)
        self._gripper = server_requirements.gripper_of(spec)
        self._state = bool(self._requirements.get("send_state"))
        self._shortest = not self._requirements.get("quat_no_antipodal")
        cameras = ("primary", "wrist") if self._requirements.get("send_wrist_image") else ("primary",)
        reads_state = self._state or self._absolute
        self.observation_spec = ObservationSpec(
            cameras=cameras, image_size=IMAGE_SIZE, proprio=reads_state, proprio_spec=STATE_SPEC if reads_state else ()
        )

    def setup(self, context: PolicyContext) -> None:
        self.context = context
        protocol = context.protocol
        if protocol.family == "simpler":
            raise PolicyError("vla-eval servers are supported on LIBERO only: SimplerEnv would need vla-eval's own conversions")
        server_requirements.refuse_other_protocol(self._url, self._requirements, context)
        if self._absolute and (protocol.family != "libero" or protocol.success == "chunk_end"):
            raise PolicyError(
                f"the server at {self._url} returns absolute poses, which are executed one step at a time on LIBERO; "
                f"{protocol.name} does not allow that. Type: --protocol libero/openvla"
            )

    def act(self, observations: Sequence[Observation]) -> Sequence[ActionChunk]:
        started = time.perf_counter()
        pending, lost = [], {}
        for observation in observations:
            if observation.decision == 0:
                self._poses.pop(observation.key, None)
            if self._poses.get(observation.key) or self._received.get(observation.key, (None,))[0] == observation.decision:
                continue  # poses left; or received before, in a batch that lost another episode
            try:
                pending.append((observation, self._request(observation)))
            except ConnectionLost as error:
                lost[observation.key] = self._dropped(observation.key, error)
        for observation, number in pending:
            try:
                self._keep(observation, self._response(self._connections[observation.key], number))
            except ConnectionLost as error:
                lost[observation.key] = self._dropped(observation.key, error)
        if lost:
            raise EpisodeStateLost(lost)
        self._latency.note(time.perf_counter() - started, len(observations))
        return [self._chunk(observation) for observation in observations]

    def _keep(self, observation: Observation, actions: Array) -> None:
        if self._absolute:
            self._poses[observation.key] = [*actions[: self.context.protocol.replan_steps]]
        else:
            self._received[observation.key] = (observation.decision, actions)

    def _chunk(self, observation: Observation) -> ActionChunk:
        if not self._absolute:
            return ActionChunk(self._received.pop(observation.key)[1])
        action, cut = delta_of(self._poses[observation.key].pop(0), observation.env_observation.proprio)
        return ActionChunk(action[None], "out_of_range" if cut else "ok")

    def _request(self, observation: Observation) -> int:
        """Send the observation; returns the number of the response."""
        if observation.key not in self._connections:
            if observation.decision:
                raise ConnectionLost("the server has lost the episode")
            self._connections[observation.key] = self._idle.pop() if self._idle else self._opened()
        connection = self._connections[observation.key]
        if observation.decision == 0:
            spec = observation.spec
            task = {"name": observation.instruction, "suite": spec.suite, "task_id": spec.task_id, "episode_idx": spec.init_state}
            self._start(connection, {"task": task}, observation.key)
        return self._send(connection, "observation", self._payload(observation))

    def _start(self, connection: Connection, payload: dict[str, Any], key: str) -> None:
        """Begin the episode; a broken idle connection is opened again first."""
        try:
            self._send(connection, "episode_start", payload)
        except ConnectionLost:
            connection.open()
            self._send(connection, "episode_start", payload)
        self._connections[key] = connection

    def _payload(self, observation: Observation) -> dict[str, Any]:
        images = {IMAGES[camera]: image for camera, image in observation.env_observation.images.items()}
        payload = {"images": images, "task_description": observation.instruction}
        if self._state:  # vla-eval's LIBERO sends both, and a model takes the one it was trained on
            payload["states"] = libero_state(observation.env_observation.proprio, shortest=self._shortest)
            payload["controller_states"] = controller_state(observation.env_observation.proprio)
        return payload

    def _response(self, connection: Connection, number: int) -> Array:
        """[steps, 7] with LIBERO's gripper."""
        kind, payload = self._receive(connection, number)
        if kind != "action":
            raise PolicyError(f"the server at {self._url} responded to an observation with a {kind} message")
        actions = actions_of(payload, self._url, ACTION_SIZE).copy()  # received arrays are read-only
        actions[:, -1] = self._gripper(actions[:, -1])
        return actions

    def _dropped(self, key: str, error: ConnectionLost) -> str:
        connection = self._connections.pop(key, None)
        if connection:
            connection.close()
            self._every.remove(connection)
        return f"the connection to {self._url} broke: {error}"

    def end_episode(self, key: str) -> None:
        self._received.pop(key, None)
        self._poses.pop(key, None)
        connection = self._connections.pop(key, None)
        if connection is None:
            return
        with suppress(ConnectionLost):  # it is opened again at its next use
            self._send(connection, "episode_end", {"metrics": {}})
        self._idle.append(connection)

    def fingerprint(self) -> Mapping[str, Any]:
        declared = plain(self.declared)
        known = {
            name: declared.get(name, UNKNOWN) for name in ("model_server", "harness_version", "action_spec", "observation_spec")
        }
        conversion = {"absolute_action": self._absolute, "ignore": list(self._ignore), "check": self._check}
        return {
            "server": {"speaks": "vla-eval", **known, "weights": UNKNOWN, "chunk": UNKNOWN, "declared": declared},
            "asked": conversion,
        }

    def metrics(self) -> Mapping[str, Any]:
        """JSON-able: latency, batch size, bytes and connections so far."""
        totals = {name: sum(getattr(connection, name) for connection in self._every) for name in ("sent", "received", "opened")}
        sizes = {"bytes_sent": totals["sent"], "bytes_received": totals["received"], "connections": totals["opened"]}
        return {**self._latency.summary(), **sizes}

    def close(self) -> None:
        for connection in self._every:
            connection.close()

    def _new_connection(self) -> Connection:
        connection = Connection(
            self._url, self._greet, request_timeout_s=self._request_timeout_s, connect_timeout_s=self._connect_timeout_s
        )
        self._every.append(connection)
        return connection

    def _opened(self) -> Connection:
        connection = self._new_connection()
        connection.open()
        return connection

    def _greet(self, connection: Connection) -> dict[str, Any]:
        number = self._send(connection, "hello", {"harness_version": CLIENT, "protocol_version": VERSION, "client": "nora-bench"})
        kind, payload = self._receive(connection, number)
        if kind != "hello" or payload.get("protocol_version") != VERSION:
            raise PolicyError(
                f"the server at {self._url} speaks version {payload.get('protocol_version')} of the protocol, not {VERSION}"
            )
        for name in ("observation_params", "action_spec"):
            if not isinstance(payload.get(name) or {}, Mapping):
                raise PolicyError(f"the server at {self._url} greets with {name} that is no map")
        return payload

    def _send(self, connection: Connection, kind: str, payload: Mapping[str, Any]) -> int:
        self._numbers += 1
        message = {"type": kind, "payload": payload, "seq": self._numbers, "timestamp": time.time()}
        connection.send(codec.pack(message, text_names=True))
        return self._numbers

    def _receive(self, connection: Connection, number: int) -> tuple[str, dict[str, Any]]:
        """Kind and payload of the response to message `number`."""
        try:
            message = codec.unpack(connection.receive())
            kind, payload, answered = message["type"], message["payload"], message["seq"]
        except (codec.CodecError, KeyError, TypeError, IndexError) as error:
            raise PolicyError(f"the server at {self._url} does not speak vla-eval's protocol: {error}") from None
        if not isinstance(kind, str) or not isinstance(answered, int):
            raise PolicyError(f"the server at {self._url} does not speak vla-eval's protocol: its message has no type or number")
        if kind == "error":
            raise PolicyError(f"the server at {self._url} failed: {payload}")
        if answered != number or not isinstance(payload, dict):
            raise PolicyError(f"the server at {self._url} responded to request {answered} instead of {number}")
        return kind, payload


# Absolute poses as actions of LIBERO. Its controller (robosuite 1.4 OSC_POSE) follows the grip site. Its actions are changes of
# that site's pose in the world frame, and what is beyond [-1, 1] is cut. A model of absolute poses gives the target pose of the
# site, which robosuite executes with `use_delta = False`. The observation's `eef_quat` is not that orientation: it is the hand
# body's, and the site is turned against it by 90 degrees about their common axis.

POSITION_SCALE, ROTATION_SCALE = 0.05, 0.5
"""Metres along an axis, and radians of a rotation vector, of an action of 1."""
SITE_IN_HAND = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
"""Axes of the grip site in the hand's body, as columns."""
LEAST_TURN = 1e-9
"""In place of no rotation at all, for which the controller keeps the goal of the step before."""


def site_rotation(proprio: Mapping[str, Array]) -> Array:
    """[3, 3] axes of the grip site in the world, as robosuite's `controller.ee_ori_mat`."""
    x, y, z, w = proprio["eef_quat"]
    return from_quaternion(np.array([w, x, y, z])) @ SITE_IN_HAND


def controller_state(proprio: Mapping[str, Array]) -> Array:
    """[8] float64: grip site x y z (m), its rotation vector (rad, at most half a turn), two finger positions (m)."""
    return np.concatenate([proprio["eef_pos"], log(site_rotation(proprio)), proprio["gripper_qpos"]])


def delta_of(pose: Array, proprio: Mapping[str, Array]) -> tuple[Array, bool]:
    """The action that sets the controller's goal to a pose, and whether the pose is too far away for one action.

    Args:
        pose: [7] grip site x y z (m) and rotation vector (rad), in the world; the gripper, which passes.
        proprio: LIBERO's, of the moment at which the action begins.
    """
    way = (pose[:3] - proprio["eef_pos"]) / POSITION_SCALE
    turn = log(exp(pose[3:6]) @ site_rotation(proprio).T) / ROTATION_SCALE
    if not turn.any():
        turn[2] = LEAST_TURN
    wanted = np.concatenate([way, turn])
    return np.append(np.clip(wanted, -1.0, 1.0), pose[6]), bool(np.abs(wanted).max() > 1.0)
