"""Does a backend of SimplerEnv give the original's success rates? Paired episodes of two backends, driven by scripted controllers.

    python tests/benchmarks/bench_simpler_fidelity.py --store FOLDER [--assets FOLDER] [--keys 60] [--half reported]

Every controller runs on the same keys in both backends, from privileged state, without images. FOLDER keeps one line per finished
episode, so a stopped run continues, and `--report` only prints; a changed controller or backend runs again. The keys of a group are halved:
settings of a backend may be chosen on `chosen` only and are reported on `reported`; `all` prints both. CPU: about 8 s per pair.

`--reference` is the original (`sapien2`, which needs its interpreter: nora-bench doctor --fix --simpler), `--backend` the backend in question.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
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
TARGET, TARGET_INTERVAL = 0.05, 0.08


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
"""Group -> its controllers. `slide`, `lift`, `squeeze` are the expert's styles without second attempts, `perturbed` is `squeeze` with an
error of the grasp, `push` moves the source with closed fingers, `plain` is the expert, `disturbed` the expert with noise."""
MEASURES = {
    "slip": ("slip per control step in the gripper, mm", 1e3),
    "held": ("control steps held by both fingers", 1.0),
    "lift": ("highest lift, mm", 1e3),
    "moved": ("distance of the object at the end, mm", 1e3),
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


def run_episode(env: Any, controller: str, key: Key) -> dict[str, Any]:
    """Outcome and measures of one episode."""
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
    return {"success": success, "any": ever, **measures(views)}


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
    from nora_bench.envs.simpler.rules import SIDES

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


# Store


def code_of(backend: str) -> str:
    """Digest of what decides an episode: the expert's sources and the backend's."""
    import nora_bench.envs as envs
    import nora_bench.policies as policies

    physics = Path(next(iter(envs.__path__))) / "simpler" / "sim"
    expert = Path(next(iter(policies.__path__))) / "scripted"
    own = physics / backend if (physics / backend).is_dir() else physics
    sources = [*sorted(expert.glob("google_robot/*.py")), expert / "steps.py", *sorted(own.glob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def read_rows(store: Path, backend: str, *, any_code: bool) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(group, controller, key) -> finished episode of a backend; the newest where there are several."""
    path, code = store / f"{backend}.jsonl", code_of(backend)
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    rows = [json.loads(line) for line in lines if line.endswith("}")]
    return {(row["group"], row["controller"], row["key"]): row for row in rows if any_code or row["code"] == code}


def wanted(options: argparse.Namespace) -> Iterator[tuple[str, str, Key]]:
    """Episodes in an order in which a stopped run has about equally many keys in every cell."""
    halves = ("reported",) if options.half == "reported" else ("chosen",) if options.half == "chosen" else ("chosen", "reported")
    cells = [(g, c) for g, own in GROUPS.items() if g in options.groups for c in own if c in options.controllers]
    of = {cell: [keys_of(*cell)[half] for half in halves] for cell in cells}
    for index in range(options.keys):
        for group, controller in cells:
            half, place = index % len(halves), index // len(halves)
            if place < len(of[group, controller][half]):
                yield group, controller, of[group, controller][half][place]


def play(options: argparse.Namespace) -> None:
    """Run the missing episodes of both backends, pair by pair."""
    from nora_bench.envs import suites
    from nora_bench.envs.base import EnvOptions
    from nora_bench.envs.simpler.assets.packs import resolve

    pack = resolve(options.assets)
    backends = tuple(dict.fromkeys((options.reference, options.backend)))
    known = {backend: read_rows(options.store, backend, any_code=options.any_code) for backend in backends}
    code, envs = {backend: code_of(backend) for backend in backends}, {}
    cache = str(options.store / "cache")
    for group, controller, key in wanted(options):
        for backend in backends:
            if (group, controller, key.name) in known[backend]:
                continue
            if backend not in envs:
                envs[backend] = suites.get("simpler-vm").make_env(EnvOptions(pack.path, "none", cache, backend))
            began = cpu_seconds()
            row = {"group": group, "controller": controller, "key": key.name, "code": code[backend], "pack": pack.fingerprint}
            row |= run_episode(envs[backend], controller, key)
            row["cpu_s"] = round(cpu_seconds() - began, 2)
            with (options.store / f"{backend}.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{backend:8} {group}, {controller}: {key.name} {'success' if row['success'] else 'failure'}", file=sys.stderr)
    for env in envs.values():
        env.close()


def cpu_seconds() -> float:
    """CPU of this process and its descendants, living ones too (Linux; elsewhere without them)."""
    total, tick = sum(os.times()[:4]), os.sysconf("SC_CLK_TCK")
    pending = [os.getpid()]
    while pending:
        tasks = Path(f"/proc/{pending.pop()}/task")
        children = [pid for path in tasks.glob("*/children") for pid in path.read_text().split()]
        pending += map(int, children)
        total += sum(
            sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:15])) / tick for pid in children
        )
    return total


# Report


def report(options: argparse.Namespace) -> None:
    """Print paired differences, measures and cost of the stored pairs of the chosen half."""
    from nora_bench.results.statistics.exact import State
    from nora_bench.results.statistics.paired_test import TaskDifferences, difference, p_text

    a, b = (read_rows(options.store, name, any_code=options.any_code) for name in (options.reference, options.backend))
    chosen = [(group, controller, key.name) for group, controller, key in wanted(options)]
    pairs = [(cell, a[cell], b[cell]) for cell in chosen if cell in a and cell in b]
    print(
        f"A {options.reference}, B {options.backend}; keys: {options.half}, {len(pairs)} pairs; B - A in points [95 % interval]"
    )

    def line(name: str, own: Sequence[tuple[Any, Any, Any]]) -> None:
        states: dict[str, list[tuple[int, int, int, int]]] = {}
        for (_, _, key), ra, rb in own:
            states.setdefault(key, []).append((int(ra["success"]), 1, int(rb["success"]), 1))
        found = difference([TaskDifferences(1.0, [State(tuple(s)) for s in states.values()])])
        wins = sum(rb["success"] > ra["success"] for _, ra, rb in own), sum(ra["success"] > rb["success"] for _, ra, rb in own)
        rates = [sum(row[k]["success"] for row in own) for k in (1, 2)]
        print(
            f"| {name} | {rates[0]}/{len(own)} | {rates[1]}/{len(own)} | {100 * found.mean:+.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}] "
            f"| {wins[1]}, {wins[0]} | {p_text(found.p)} |"
        )

    print("| group, controller | A | B | B - A | only A, only B | exact p |\n| --- | --- | --- | --- | --- | --- |")
    for group, controllers in GROUPS.items():
        own = [pair for pair in pairs if pair[0][0] == group]
        for controller in controllers:
            if part := [pair for pair in own if pair[0][1] == controller]:
                line(f"{group}, {controller}", part)
        if own:
            line(f"**{group}**, all controllers, by key", own)
    report_measures(pairs)
    for name, rows in ((options.reference, [p[1] for p in pairs]), (options.backend, [p[2] for p in pairs])):
        if rows:
            print(f"CPU per episode, {name}: median {statistics.median(row['cpu_s'] for row in rows):.1f} s")


def report_measures(pairs: Sequence[tuple[Any, Any, Any]]) -> None:
    """Print medians of both backends and the median paired difference with a distribution-free interval."""
    print("\n| group | measure | n | A | B | median of B - A |\n| --- | --- | --- | --- | --- | --- |")
    for group in GROUPS:
        for name, (text, factor) in MEASURES.items():
            both = [
                (ra[name] * factor, rb[name] * factor) for cell, ra, rb in pairs if cell[0] == group and name in ra and name in rb
            ]
            if len(both) > 5:
                values = [y - x for x, y in both]
                low, high = median_interval(values)
                medians = [statistics.median(column) for column in zip(*both, strict=True)]
                print(
                    f"| {group} | {text} | {len(both)} | {medians[0]:.2f} | {medians[1]:.2f} "
                    f"| {statistics.median(values):+.2f} [{low:+.2f}, {high:+.2f}] |"
                )


def median_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a median from order statistics (the sign test's); needs six values for 95 %."""
    import math

    n, ordered = len(values), sorted(values)
    tail, k = 0.0, 0
    while tail + math.comb(n, k) / 2**n <= (1 - level) / 2:
        tail += math.comb(n, k) / 2**n
        k += 1
    return ordered[max(k - 1, 0)], ordered[min(n - k, n - 1)]


def main() -> None:
    """Run what is missing and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True, help="folder of finished episodes")
    parser.add_argument("--assets", default="auto", help="pack, as nora-bench run --assets")
    parser.add_argument("--reference", default="sapien2")
    parser.add_argument("--backend", default="sapien3")
    parser.add_argument("--keys", type=int, default=60, help="keys per group and controller")
    parser.add_argument("--half", choices=("chosen", "reported", "all"), default="all")
    parser.add_argument("--groups", nargs="+", choices=list(GROUPS), default=list(GROUPS))
    controllers = sorted({controller for own in GROUPS.values() for controller in own})
    parser.add_argument("--controllers", nargs="+", choices=controllers, default=controllers)
    parser.add_argument("--any-code", action="store_true", help="take stored episodes whatever code made them")
    parser.add_argument("--report", action="store_true", help="run nothing")
    options = parser.parse_args()
    options.store.mkdir(parents=True, exist_ok=True)
    if not options.report:
        play(options)
    report(options)


if __name__ == "__main__":
    main()
