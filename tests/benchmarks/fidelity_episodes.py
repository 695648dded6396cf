"""Keys, controllers, episodes and measures of bench_simpler_fidelity.py. World frame, metres, radians."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

PROTOCOL = "simpler/nora-1.5"
SEEN = (0, 12, 16, 19, 26, 36, 53)
"""Layouts of move near on which the present settings were chosen; never reported."""
HELD_STEPS = 3
"""First steps of a hold that do not count as slip: the object settles between the fingers."""
GRASP_ERROR = (0.012, 0.008, 0.006, 0.25)
"""Largest errors of perturbed grasps: along and across the pads, upwards (m), turned (rad)."""
NOISE = 0.1
"""Standard deviation of the disturbance of the drawers' second controller, as a share of a full action."""


@dataclass(frozen=True, slots=True)
class Key:
    """One episode of a group: where it starts, and the number of its disturbance."""

    suite: str
    task_id: int
    variant: str
    init_state: int
    seed: int = 0

    @property
    def name(self) -> str:
        """Unique name."""
        return f"{self.suite}/{self.task_id}/{self.variant}/{self.init_state}/{self.seed}"


GROUPS: dict[str, tuple[str, ...]] = {
    "pick coke can": ("slide", "lift", "squeeze", "perturbed"),
    "move near": ("slide", "lift", "squeeze", "perturbed", "push"),
    "open drawer": ("plain", "disturbed"),
    "close drawer": ("plain", "disturbed"),
}
"""Group -> its controllers. `slide`, `lift`, `squeeze` are the expert's styles without second attempts, `perturbed` is `squeeze`
with an error of the grasp, `push` moves the source with closed fingers, `plain` is the expert, `disturbed` it with noise."""
GRASPING = ("lift", "squeeze", "perturbed")
"""Controllers that carry what they hold: slip and hold are measured of them."""
MEASURES = {
    "slip": ("slip per control step in the gripper, mm", 1e3),
    "held": ("control steps held by both fingers", 1.0),
    "lift": ("highest lift, mm", 1e3),
    "moved": ("way of the object at the end, mm", 1e3),
    "travel": ("travel of the drawer at the end, mm", 1e3),
}
"""Continuous measure of an episode -> its name and unit, and the factor from SI."""


def keys_of(group: str, controller: str) -> dict[str, list[Key]]:
    """Keys of a group in a fixed random order, by half; the disturbed controller has several seeds."""
    both = ("simpler-vm", "urdf_base"), ("simpler-va", "base")
    if group == "pick coke can":
        every = [
            Key("simpler-vm", 0, f"urdf_base/{turn}", i) for turn in ("horizontal", "vertical", "standing") for i in range(25)
        ]
    elif group == "move near":
        every = [Key("simpler-vm", 1, "urdf_base", i) for i in range(60)]
    else:
        seeds = range(3) if controller == "disturbed" else range(1)
        task, drawers = 2 if group == "open drawer" else 3, ("top", "middle", "bottom")
        every = [Key(s, task, f"{v}/{d}", i, seed) for seed in seeds for s, v in both for d in drawers for i in range(9)]
    seen = [key for key in every if group == "move near" and key.init_state in SEEN]
    rest = [key for key in every if key not in seen]
    order = [rest[i] for i in np.random.default_rng(2022).permutation(len(rest))]
    reported = order[: len(every) // 2]
    return {"chosen": seen + order[len(every) // 2 :], "reported": reported}


# Controllers


def plan_of(controller: str, scene: Any, key: Key) -> Iterator[Any]:
    """Targets of a controller for an episode."""
    from nora_bench.policies.scripted.google_robot import plans
    from nora_bench.policies.scripted.google_robot.styles import Style

    if controller == "push":
        return push(scene)
    error = np.random.default_rng(zlib.crc32(key.name.encode())).uniform(-1, 1, 4) * GRASP_ERROR
    along, across, up, turn = error.tolist()
    styles = {
        "lift": Style(lifts=True, retries=False),
        "squeeze": Style(lifts=True, squeezes=True, retries=False),
        "perturbed": Style(lifts=True, squeezes=True, retries=False, grasp_error=(along, across, abs(up), turn)),
    }
    return plans.solve(scene, styles.get(controller, Style(retries=False)))


def push(scene: Any) -> Iterator[Any]:
    """Sweep the source to its place at the target with closed fingers, low over the table."""
    from nora_bench.policies.scripted.geometry import LEVEL, UP, Pose, flat
    from nora_bench.policies.scripted.google_robot import carrying
    from nora_bench.policies.scripted.google_robot.grasps import with_lean
    from nora_bench.policies.scripted.steps import CLOSED, follow, hold, reach

    spot, table = carrying.spot_near(scene), scene.bottom(scene.source)
    way = flat(spot - scene.center(scene.source))
    behind = (scene.center(scene.source) - 0.11 * way) * LEVEL + (table + 0.03) * UP
    low = with_lean(Pose(behind, scene.gripper.rotation), table, scene.base)
    yield from reach(scene, low.moved(0.15 * UP), CLOSED, near=0.03, turned=0.3, through=True, patience=4)
    yield from reach(scene, low, CLOSED, near=0.01, turned=0.2, speed=0.7, patience=4)

    def ahead() -> Pose:
        missing = (spot - scene.center(scene.source)) * LEVEL
        return Pose((scene.gripper.position + missing) * LEVEL + low.position * UP, low.rotation)

    def arrived() -> bool:
        return float((spot - scene.center(scene.source)) @ way) < 0.01

    yield from follow(scene, ahead, CLOSED, arrived, speed=0.4, patience=6)
    while True:
        yield from hold(scene, CLOSED, 1000)


# Episodes


def run_episode(env: Any, controller: str, key: Key, *, outcomes: bool = False) -> dict[str, Any]:
    """Outcome and measures of one episode; `outcomes` ends it once its success is final, and then it has no measures."""
    from nora_bench.envs.base import EpisodeSpec, ObservationSpec
    from nora_bench.envs.protocols import get
    from nora_bench.policies.scripted.google_robot import motion
    from nora_bench.policies.scripted.google_robot.scene import GoogleRobotScene
    from nora_bench.policies.scripted.policy import Episode

    protocol = get(PROTOCOL)
    spec = EpisodeSpec(key.suite, key.task_id, key.init_state, 0, PROTOCOL, key.variant)
    env.reset(spec, protocol, ObservationSpec(privileged=True))
    views = [env.observation().privileged]
    scene = GoogleRobotScene(views[0])
    expert = Episode((scene, motion.Controller(scene.base), plan_of(controller, scene, key)))
    rng, success, ever = np.random.default_rng(zlib.crc32(key.name.encode())), False, False
    for _ in range(protocol.steps(key.suite, scene.task)):
        action = expert.decide(views[-1])
        action = expert.disturbed(NOISE, rng) if controller == "disturbed" else action
        success = bool(env.step(action, observe=True))
        ever |= success
        views.append(env.observation().privileged)
        if outcomes and is_final(env.physics.rule):
            return {"success": success, "any": ever, "outcome_only": True}
    return {"success": success, "any": ever, **measures(views)}


def is_final(rule: Any) -> bool:
    """Whether no later step can change the success: a can lifted by 2 cm for some steps counts for good (`PickRule`)."""
    from nora_bench.envs.simpler.rules import SIGNIFICANT_STEPS

    return int(rule.statistics().get("n_lift_significant", 0)) >= SIGNIFICANT_STEPS


def measures(views: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Continuous measures of an episode from its privileged states (m, control steps); those that exist."""
    facts = views[0]["scene"]
    if facts["source"] is None:
        drawer = ("top", "middle", "bottom").index(facts["subtask"])
        return {"travel": float(views[-1]["drawers"][drawer])}
    name, index = facts["objects"][facts["source"]], facts["source"]
    poses = np.array([np.asarray(view["objects"]).reshape(-1, 7)[index] for view in views])
    held = np.array([is_held(name, view["contacts"]) for view in views])
    out = {"held": float(held.sum()), "lift": float((poses[:, 2] - poses[0, 2]).max())}
    out["moved"] = float(np.linalg.norm(poses[-1, :2] - poses[0, :2]))
    return {**out, **slip(views, poses, held)}


def is_held(name: str, contacts: Sequence[Sequence[str]]) -> bool:
    """Whether both fingers touch an object."""
    from nora_bench.envs.simpler.contacts import SIDES

    touching = {other for pair in contacts if name in pair for other in pair}
    return all(touching & set(links) for links in SIDES.values())


def slip(views: Sequence[Mapping[str, Any]], poses: np.ndarray, held: np.ndarray) -> dict[str, float]:
    """Mean motion of the object in the gripper's frame per control step (m) over the longest hold."""
    from nora_bench.envs.rotations import rotate

    start, length = longest(held)
    if length < HELD_STEPS + 2:
        return {}
    inside = []
    for view, pose in zip(views[start + HELD_STEPS : start + length], poses[start + HELD_STEPS : start + length], strict=True):
        tcp = np.asarray(view["tcp"], float)
        inside.append(rotate(tcp[3:] * [1, -1, -1, -1], pose[:3] - tcp[:3]))
    return {"slip": float(np.linalg.norm(np.diff(np.array(inside), axis=0), axis=1).mean())}


def longest(held: np.ndarray) -> tuple[int, int]:
    """Start and length of the longest run of true values."""
    best = start = 0
    length = 0
    for i, value in enumerate([*held.tolist(), False]):
        if value:
            continue
        if i - start > length:
            best, length = start, i - start
        start = i + 1
    return best, length
