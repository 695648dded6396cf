"""The hypotheses of a diagnosis as data: a fault of conventions, the correction that undoes it, and what to type or change.

To add one, add an entry to `OBSERVATIONS`, `gripper_faults`, `MOTION` or `CHUNKS`, and a fault to
`tests/benchmarks/bench_diagnose.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import pi

import numpy as np

from ...envs.specs import CLOSE_CHANGE, OPEN_POSITIVE
from ...policies.adapters import GRIPPER, ROTATION
from . import corrections as to
from .corrections import TRANSLATION, Act, Observe

WORDS = "What action should the robot take to {}?"
"""OpenVLA's prompt around an instruction, and NORA's."""


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """A fault that a policy's setup may have."""

    name: str
    group: str
    """`image`, `camera`, `instruction`, `state`, `gripper`, `translation`, `rotation`, `statistics`, `chunk`."""
    fault: str
    """What is wrong, as the end of `It seems that ...`."""
    code: str
    """The change of the policy's own code, where no argument does it."""
    observe: Observe | None = None
    """Correction of the observation; None for none."""
    act: Act | None = None
    """Correction of the chunk; None for none."""
    touched: slice = field(default_factory=lambda: slice(None))
    """Numbers of an action that the correction changes."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Argument -> value that fixes it in a policy whose constructor has the argument."""
    shortens: bool = False
    """Whether the correction drops actions from the chunk's end, so that errors of other rows are compared."""


OBSERVATIONS: tuple[Hypothesis, ...] = (
    Hypothesis(
        "image-flip-vertical",
        "image",
        "images reach the model upside down (mirrored vertically)",
        "flip each image before the model: image = image[::-1]",
        to.images(lambda image: image[::-1]),
    ),
    Hypothesis(
        "image-flip-horizontal",
        "image",
        "images reach the model mirrored horizontally",
        "flip each image before the model: image = image[:, ::-1]",
        to.images(lambda image: image[:, ::-1]),
    ),
    Hypothesis(
        "image-rotation-180",
        "image",
        "images reach the model rotated by 180 degrees",
        "rotate each image before the model: image = image[::-1, ::-1]",
        to.images(lambda image: image[::-1, ::-1]),
    ),
    Hypothesis(
        "image-rotation-90",
        "image",
        "images reach the model rotated by 90 degrees clockwise",
        "rotate each image before the model: image = numpy.rot90(image)",
        to.images(lambda image: np.rot90(image)),
    ),
    Hypothesis(
        "image-rotation-270",
        "image",
        "images reach the model rotated by 90 degrees counter-clockwise",
        "rotate each image before the model: image = numpy.rot90(image, 3)",
        to.images(lambda image: np.rot90(image, 3)),
    ),
    Hypothesis(
        "image-channel-order",
        "image",
        "the model receives BGR images where it expects RGB, or the reverse",
        "reverse the channels before the model: image = image[..., ::-1]",
        to.images(lambda image: image[..., ::-1]),
    ),
    Hypothesis(
        "image-crop-missing",
        "image",
        "the model was trained on centre crops of 0.9 of the area and receives whole images",
        "crop before the model: nora_bench.policies.images.centre_crop(image, 0.9)",
        to.images(to.cropped),
        settings={"crop": "true", "center_crop": "true"},
    ),
    Hypothesis(
        "image-crop-unwanted",
        "image",
        "images are cropped (0.9 of the area) for a model that was trained on whole ones",
        "remove the centre crop before the model",
        to.images(to.surrounded),
        settings={"crop": "false", "center_crop": "false"},
    ),
    Hypothesis(
        "image-filter",
        "image",
        "images are resized without antialiasing (nearest neighbour, or plain bilinear)",
        "resize with antialiasing: nora_bench.policies.images.resize_lanczos3, or PIL.Image.LANCZOS",
        to.images(to.smoothed),
    ),
    Hypothesis(
        "camera-swap",
        "camera",
        "the images of the two cameras are exchanged",
        "pass the image of camera `primary` where `wrist` is passed, and the reverse",
        to.swap_cameras,
    ),
    Hypothesis(
        "instruction-lower-case",
        "instruction",
        "the instruction should be in lower case",
        "pass instruction.lower()",
        to.instruction(str.lower),
        settings={"lower_case": "true"},
    ),
    Hypothesis(
        "instruction-upper-case",
        "instruction",
        "the instruction should be in upper case",
        "pass instruction.upper()",
        to.instruction(str.upper),
    ),
    Hypothesis(
        "instruction-capital",
        "instruction",
        "the instruction should begin with a capital letter",
        "pass instruction[:1].upper() + instruction[1:]",
        to.instruction(lambda text: text[:1].upper() + text[1:]),
    ),
    Hypothesis(
        "instruction-full-stop",
        "instruction",
        "the instruction should end with a full stop",
        "pass instruction + '.'",
        to.instruction(lambda text: text.rstrip(".") + "."),
    ),
    Hypothesis(
        "instruction-underscores",
        "instruction",
        "the model was trained on task names with underscores",
        "pass instruction.replace(' ', '_')",
        to.instruction(lambda text: text.replace(" ", "_")),
    ),
    Hypothesis(
        "instruction-template",
        "instruction",
        f"the prompt template is missing ({WORDS.format('...')!r})",
        f"pass {WORDS!r}.format(instruction)",
        to.instruction(WORDS.format),
    ),
    Hypothesis(
        "instruction-template-twice",
        "instruction",
        "the prompt template is applied to an instruction that already has it",
        "pass the bare instruction",
        to.instruction(lambda text: re.sub(r"(?i)^what action should the robot take to (.*)\?$", r"\1", text)),
    ),
    Hypothesis(
        "state-quaternion-order",
        "state",
        "the state's quaternion should have w first",
        "pass numpy.roll(eef_quat, 1)",
        to.proprio("eef_quat", lambda quat: np.roll(quat, 1)),
    ),
    Hypothesis(
        "state-quaternion-sign",
        "state",
        "the state's quaternion should have the other sign (its rotation vector the complementary angle)",
        "pass -eef_quat",
        to.proprio("eef_quat", lambda quat: -quat),
    ),
    Hypothesis(
        "state-euler",
        "state",
        "the state's rotation should be Euler angles (x, y, z), not a rotation vector",
        "pass scipy.spatial.transform.Rotation.from_quat(eef_quat).as_euler('xyz')",
        to.proprio("eef_quat", to.euler_as_rotation),
    ),
    Hypothesis(
        "state-fingers",
        "state",
        "the state's finger positions have the wrong sign or order",
        "pass -gripper_qpos",
        to.proprio("gripper_qpos", lambda fingers: -fingers),
    ),
)

_GRIPPER = slice(GRIPPER, None)


def gripper_faults(convention: str) -> Iterator[Hypothesis]:
    """The gripper's hypotheses under a suite's convention; none where commands are changes, which single moments do not show."""
    if convention == CLOSE_CHANGE:
        return
    expected = convention or "-1 to 1"
    straight, turned = ("2 * gripper - 1", lambda g: 2 * g - 1), ("1 - 2 * gripper", lambda g: 1 - 2 * g)
    opening, closing = (straight, turned) if convention == OPEN_POSITIVE else (turned, straight)
    yield _gripper("sign", "is inverted: it closes where it should open", "-gripper", to.columns(GRIPPER, lambda g: -g))
    for name, ends, (code, change) in (
        ("opening", "0 (closed) to 1 (open)", opening),
        ("closing", "0 (open) to 1 (closed)", closing),
    ):
        fault = f"ranges from {ends}, and the environment expects {expected}"
        yield _gripper(f"0-1-{name}", fault, code, to.columns(GRIPPER, change))
    yield _gripper("late", "is commanded one step late", "each gripper command one step earlier", to.earlier(GRIPPER))
    yield _gripper("early", "is commanded one step early", "each gripper command one step later", to.later(GRIPPER))


def _gripper(name: str, fault: str, code: str, act: Act) -> Hypothesis:
    return Hypothesis(f"gripper-{name}", "gripper", f"the gripper {fault}", f"return {code}", act=act, touched=_GRIPPER)


def _at(index: int) -> slice:
    return slice(index, index + 1)


def _part(place: slice, fault: str, name: str, code: str, factor: float) -> Hypothesis:
    group = "translation" if place.start < 3 else "rotation"
    return Hypothesis(name, group, fault, code, act=to.columns(place, lambda part: factor * part), touched=place)


def _signs() -> Iterator[Hypothesis]:
    for index, axis in enumerate(("x", "y", "z")):
        yield _part(
            _at(index), f"the translation along {axis} has the wrong sign", f"translation-sign-{axis}",
            f"return -action[{index}]", -1,
        )  # fmt: skip
    yield _part(TRANSLATION, "all translations have the wrong sign", "translation-sign", "return -action[:3]", -1)
    for index, axis in enumerate(("roll", "pitch", "yaw"), start=3):
        yield _part(_at(index), f"{axis} has the wrong sign", f"rotation-sign-{axis}", f"return -action[{index}]", -1)
    yield _part(ROTATION, "all rotations have the wrong sign", "rotation-sign", "return -action[3:6]", -1)


def _scales() -> Iterator[Hypothesis]:
    for place, name, numbers in ((TRANSLATION, "translation", ":3"), (ROTATION, "rotation", "3:6")):
        for factor in (2.0, 10.0, 20.0):
            yield _part(place, f"{name}s are {factor:g} times too small", f"{name}-scale-{factor:g}",
                        f"return {factor:g} * action[{numbers}]", factor)  # fmt: skip
            yield _part(place, f"{name}s are {factor:g} times too large", f"{name}-scale-1/{factor:g}",
                        f"return action[{numbers}] / {factor:g}", 1 / factor)  # fmt: skip
    yield _part(ROTATION, "rotations are in degrees", "rotation-degrees", "return numpy.radians(action[3:6])", pi / 180)
    yield _part(ROTATION, "rotations should be in degrees", "rotation-radians", "return numpy.degrees(action[3:6])", 180 / pi)


MOTION: tuple[Hypothesis, ...] = (
    *_signs(),
    *_scales(),
    Hypothesis(
        "translation-swap-xy",
        "translation",
        "x and y are exchanged",
        "return action[[1, 0, 2, 3, 4, 5, 6]]",
        act=to.columns((0, 1), lambda part: part[:, ::-1]),
        touched=slice(0, 2),
    ),
    Hypothesis(
        "rotation-order",
        "rotation",
        "roll and yaw are exchanged (rotations in the order z, y, x)",
        "return action[[0, 1, 2, 5, 4, 3, 6]]",
        act=to.columns(ROTATION, lambda part: part[:, ::-1]),
        touched=ROTATION,
    ),
)

CHUNKS: tuple[Hypothesis, ...] = (
    Hypothesis(
        "chunk-reversed", "chunk", "the chunk is in reverse order", "return actions[::-1]", act=to.reversed_chunk
    ),
    Hypothesis(
        "chunk-first-dropped",
        "chunk",
        "the first action of each chunk is dropped: every action comes one step early",
        "return the chunk from its first action on",
        act=to.later(slice(None)),
    ),
    Hypothesis(
        "chunk-late",
        "chunk",
        "the chunk begins with an action of the step before: every action comes one step late",
        "return actions[1:]",
        act=to.earlier(slice(None)),
    ),
)  # fmt: skip


def euler(unit: float) -> Hypothesis:
    """Euler angles in place of a rotation vector; `unit`: radians of an action of 1."""
    return Hypothesis(
        "rotation-euler",
        "rotation",
        "rotations are Euler angles (x, y, z), and the environment expects rotation vectors",
        "return scipy.spatial.transform.Rotation.from_euler('xyz', action[3:6]).as_rotvec()",
        act=to.rotation_from_euler(unit),
        touched=ROTATION,
    )


FRAME = Hypothesis(
    "motion-frame",
    "translation",
    "motion is in the end effector's axes, and the environment expects the world's",
    "rotate action[:3] and action[3:6] by the end effector's orientation",
    act=to.from_end_effector,
    touched=slice(0, 6),
)


def longer_than_trained(rows: int) -> Hypothesis:
    """A chunk of which only the first actions were trained."""
    return Hypothesis(
        f"chunk-longer-than-{rows}",
        "chunk",
        f"actions of a chunk after the first {rows} have nothing to do with the expert's: the chunk is longer than trained",
        f"return actions[:{rows}]",
        act=to.first_rows(rows),
        settings={"n_action_steps": str(rows)},
        shortens=True,
    )
