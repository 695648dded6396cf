"""Observations as messages, both ways: openpi's LIBERO names, and nora-bench's exact form.

openpi's LIBERO servers take `observation/image`, `observation/wrist_image` (uint8), `observation/state` (8 numbers) and
`prompt`. These omit episode and decision, so a server that declares `nora_bench` receives the whole observation under that
name; arrays arrive bit for bit, and its response depends on the episode's key alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from ...envs.base import EnvObservation, EpisodeSpec, ObservationSpec
from ...envs.errors import PolicyError
from ...envs.specs import ProprioSpec
from ..base import Array, Observation

BLOCK = "nora_bench"
IMAGES = {"primary": "observation/image", "wrist": "observation/wrist_image"}
"""Camera -> openpi's name, as its LIBERO example has it."""
STATE, PROMPT = "observation/state", "prompt"
SUITE = "suite"
"""Name that an openpi client may add: the suite of the observation, for a server of several suites."""
STATE_SPEC = (
    ProprioSpec("eef_pos", 3, "m"),
    ProprioSpec("eef_quat", 4, convention="quaternion_xyzw"),
    ProprioSpec("gripper_qpos", 2, "m"),
)
"""The vectors that `libero_state` reads."""
LARGEST_BATCH = 256
"""Observations of one request."""


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """One message of a nora-bench client."""

    client: str
    """Random name of the client; only the client that began an episode may continue it."""
    observation: Observation | None
    more: int
    """Messages of the same batch that follow."""
    ended: tuple[str, ...]
    """Keys of episodes that have ended."""


def exact(observation: Observation | None, *, client: str, more: int = 0, ended: tuple[str, ...] = ()) -> dict[str, Any]:
    """The message for a server that declares `nora_bench`."""
    content = {}
    if observation:
        env_observation = observation.env_observation
        content = {
            "spec": asdict(observation.spec),
            "decision": observation.decision,
            "step": observation.step,
            "instruction": observation.instruction,
            **({} if observation.committed is None else {"committed": observation.committed}),
            "view": {
                "images": dict(env_observation.images),
                "proprio": dict(env_observation.proprio),
                "privileged": dict(env_observation.privileged),
            },
        }
    return {BLOCK: {"client": client, "more": more, "forget": list(ended), "observation": content}}


def read_exact(message: Mapping[str, Any]) -> PolicyRequest:
    """The request in a nora-bench client's message. Raises ValueError for anything else."""
    import msgspec

    try:
        block = message[BLOCK]
        content, more, ended = block["observation"], int(block["more"]), tuple(map(str, block["forget"]))
        observation = (
            Observation(
                msgspec.convert(content["spec"], EpisodeSpec),
                int(content["decision"]),
                int(content["step"]),
                str(content["instruction"]),
                EnvObservation(
                    _images(content["view"]["images"]), _vectors(content["view"]["proprio"]), dict(content["view"]["privileged"])
                ),
                _actions(content.get("committed")),
            )
            if content
            else None
        )
        client = str(block["client"])
    except (KeyError, TypeError, AttributeError, OverflowError, msgspec.ValidationError) as error:
        raise ValueError(f"not a request: {type(error).__name__}: {error}") from None
    if not 0 <= more < LARGEST_BATCH or (more and observation is None) or (observation and observation.decision < 0):
        raise ValueError("not a request: its counts are out of range")
    return PolicyRequest(client, observation, more, ended)


def openpi(observation: Observation, images: Mapping[str, Array], *, state: bool) -> dict[str, Any]:
    """The message for a server of openpi's LIBERO models, with images already resized."""
    content = {IMAGES[camera]: image for camera, image in images.items()}
    if state:
        content[STATE] = libero_state(observation.env_observation.proprio)
    return {**content, PROMPT: observation.instruction}


def padded(image: Array, side: int) -> Array:
    """[side, side, 3] uint8: the image as openpi's client sends it, aspect ratio kept, centred on black.

    Pillow's bilinear filter; lengths and margins are cut to whole pixels.
    """
    from PIL import Image

    scale = max(image.shape[:2]) / side
    height, width = (int(length / scale) for length in image.shape[:2])
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    top, left = (side - height) // 2, (side - width) // 2
    out = np.zeros((side, side, 3), np.uint8)
    out[top : top + height, left : left + width] = np.asarray(resized)
    return out


def read_openpi(message: Any, observation_spec: ObservationSpec) -> tuple[EnvObservation, str]:
    """The observation in a message of openpi's LIBERO client, and its instruction.

    Raises ValueError for other messages, and for one that lacks an input of the policy.
    """
    if not isinstance(message, Mapping):
        raise ValueError(f"not an observation: it must be a map, not {type(message).__name__}")
    if observation_spec.privileged:
        raise ValueError("this policy reads the simulator's state, which an observation of openpi's client does not hold")
    needed = [*(IMAGES[camera] for camera in observation_spec.cameras), *([STATE] if observation_spec.proprio else []), PROMPT]
    missing = [name for name in needed if name not in message]
    if missing:
        raise ValueError(
            f"not an observation: it lacks {_listed(missing)}. This policy needs {_listed(needed)}, and the message has "
            f"{_listed(message) or 'nothing'}"
        )
    if not isinstance(message[PROMPT], str):
        raise ValueError(f"not an observation: `{PROMPT}` is not a text")
    images = _images({camera: message[name] for camera, name in IMAGES.items() if name in message})
    proprio = libero_proprio(message[STATE]) if STATE in message else {}
    return EnvObservation(images=images, proprio=proprio), message[PROMPT]


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(f"`{str(name)[:40]}`" for name in islice(names, 20))


def _images(images: Mapping[str, Any]) -> dict[str, Array]:
    for name, image in images.items():
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"not an observation: {name} is not a height x width x 3 uint8 image")
    return dict(images)


def _vectors(proprio: Mapping[str, Any]) -> dict[str, Array]:
    for name, vector in proprio.items():
        if not isinstance(vector, np.ndarray) or vector.ndim != 1:
            raise ValueError(f"not an observation: {name} is not a vector")
    return dict(proprio)


def _actions(actions: Any) -> Array | None:
    if actions is not None and (not isinstance(actions, np.ndarray) or actions.ndim != 2):
        raise ValueError("not an observation: the committed actions are no list of actions")
    return actions


def libero_state(proprio: Mapping[str, Array], *, shortest: bool = False) -> Array:
    """[8] float64: end effector x y z (m), axis times angle (rad), two finger positions (m), as LIBERO's data sets hold them.

    Args:
        proprio: LIBERO's, see docs/reference/libero.md.
        shortest: angles up to half a turn (vla-eval's default) instead of robosuite's up to a whole one.
    """
    missing = {"eef_pos", "eef_quat", "gripper_qpos"} - proprio.keys()
    if missing:
        raise PolicyError(
            f"the server's state is LIBERO's, and this suite observes no {', '.join(sorted(missing))}; try state=false "
            "if its model takes no state"
        )
    quat = -proprio["eef_quat"] if shortest and proprio["eef_quat"][3] < 0 else proprio["eef_quat"]
    return np.concatenate([proprio["eef_pos"], axis_angle(quat), proprio["gripper_qpos"]])


def libero_proprio(state: Any) -> dict[str, Array]:
    """LIBERO's proprioception in an [8] state; `joint_pos` is not in it."""
    if not isinstance(state, np.ndarray) or state.shape != (8,):
        raise ValueError(f"not an observation: {STATE} is not a vector of 8 numbers")
    state = state.astype(np.float64)
    return {"eef_pos": state[:3], "eef_quat": quaternion(state[3:6]), "gripper_qpos": state[6:]}


def axis_angle(quat: Array) -> Array:
    """[3] axis times angle (rad) of a quaternion x y z w, from 0 to a whole turn as robosuite's `quat2axisangle`."""
    w = float(np.clip(quat[3], -1.0, 1.0))
    sine = math.sqrt(1.0 - w * w)
    return quat[:3] * 2.0 * math.acos(w) / sine if sine else np.zeros(3)


def quaternion(vector: Array) -> Array:
    """[4] quaternion x y z w of axis times angle (rad)."""
    angle = float(np.linalg.norm(vector))
    axis = vector / angle if angle else np.zeros(3)
    return np.array([*(axis * np.sin(angle / 2)), np.cos(angle / 2)])
