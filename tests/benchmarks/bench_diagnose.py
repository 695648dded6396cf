"""Faults of conventions, planted one at a time in the shipped nano model: does `nora-bench diagnose` rank the right one first?

    python tests/benchmarks/bench_diagnose.py --out diagnose.json

Prints one row per fault. Healthy policies (nano, also on the official pack where there is one; the scripted expert) must get
none.
The model is deterministic, so its answers are computed once per input. Moments are recorded once and kept in the cache.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from nora_bench.envs.base import EnvObservation, ObservationSpec
from nora_bench.harness.conventions import corrections as to
from nora_bench.harness.conventions.diagnose import EPISODES, MOMENTS, prepare
from nora_bench.harness.conventions.diagnosis import Diagnosis, Examination
from nora_bench.harness.conventions.episodes import run_episodes
from nora_bench.harness.conventions.moments import Moment
from nora_bench.harness.conventions.querying import Queries
from nora_bench.harness.conventions.recording import Recording, answered_moments, recorded_moments
from nora_bench.harness.conventions.report import Request
from nora_bench.harness.conventions.selection import Subject
from nora_bench.harness.execution.policy_host import LocalPolicyHost
from nora_bench.harness.serving.server import Address, greeting, listening, start
from nora_bench.policies.adapters import unscaled
from nora_bench.policies.base import ActionChunk, BasePolicy, Observation, PolicyContext
from nora_bench.policies.nora.action_stats import Statistics, norm_stats, published
from nora_bench.policies.nora.nano_policy import BundledNano
from nora_bench.policies.registry import load

WORDS = "What action should the robot take to {}?"


@dataclass(frozen=True)
class Fault:
    """A fault, and the hypotheses that name it."""

    name: str
    right: tuple[str, ...]
    suite: str = "libero_object"
    observe: Callable[[Observation], Observation] | None = None
    act: Callable[[Any, Observation], Any] | None = None
    cameras: tuple[str, ...] = ("primary",)
    statistics: str = ""
    """Statistics that the policy declares; without them it declares none."""


def model_of(change: Callable[[str], str]) -> Callable[[Observation], Observation]:
    """A model that reads instructions through `change`: right for the inverse's output, nonsense for the plain text."""
    return to.instruction(change)


def unframed(actions: Any, observation: Observation) -> Any:
    """Motion in the end effector's axes, of motion in the world's."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_quat(observation.proprio["eef_quat"]).inv()
    out = actions.copy()
    out[:, :3], out[:, 3:6] = turn.apply(actions[:, :3]), turn.apply(actions[:, 3:6])
    return out


def nearest(image: Any) -> Any:
    """112 pixels by nearest neighbour, enlarged to the former size."""
    step = image.shape[0] / 112
    rows = (np.arange(112) * step).astype(int)
    small = image[rows][:, rows]
    return small.repeat(2, 0).repeat(2, 1)


def with_statistics(name: str) -> Callable[[Any, Observation], Any]:
    """Nano's actions un-normalised with the published statistics of another data set."""
    right = norm_stats("nano", BundledNano().statistics.known["libero_object"], scaled_gripper=False)
    return to.rescaled(right, norm_stats(name, published()[name]) if name else unscaled(7))


def shifted(by: int) -> Callable[[Any, Observation], Any]:
    """The chunk one step early (1, the first action dropped) or late (-1, the first one twice)."""
    return lambda actions, o: actions[1:] if by > 0 else np.concatenate([actions[:1], actions[:-1]])


def late_gripper(actions: Any, observation: Observation) -> Any:
    out = actions.copy()
    out[1:, 6] = actions[:-1, 6]
    return out


def scaled(part: slice, factor: float) -> Callable[[Any, Observation], Any]:
    return to.columns(part, lambda values: factor * values)


T, R = slice(0, 3), slice(3, 6)
FAULTS = (
    Fault("images upside down", ("image-flip-vertical",), observe=to.images(lambda i: i[::-1])),
    Fault("images mirrored", ("image-flip-horizontal",), observe=to.images(lambda i: i[:, ::-1])),
    Fault("images not rotated by 180 degrees", ("image-rotation-180",), observe=to.images(lambda i: i[::-1, ::-1])),
    Fault("images rotated by 90 degrees", ("image-rotation-90",), observe=to.images(lambda i: np.rot90(i, 3))),
    Fault("images rotated by 270 degrees", ("image-rotation-270",), observe=to.images(lambda i: np.rot90(i))),
    Fault("BGR", ("image-channel-order",), observe=to.images(lambda i: i[..., ::-1])),
    Fault("centre crop of a model without", ("image-crop-unwanted",), observe=to.images(to.cropped)),
    Fault("no centre crop of a model with", ("image-crop-missing",), observe=to.images(to.surrounded)),
    Fault("nearest-neighbour resize", ("image-filter",), observe=to.images(nearest)),
    Fault("cameras exchanged", ("camera-swap",), observe=to.swap_cameras, cameras=("primary", "wrist")),
    Fault("instruction in the wrong case", ("instruction-upper-case",), observe=model_of(str.swapcase)),
    Fault("no prompt template", ("instruction-template",), observe=model_of(lambda t: t[len(WORDS) - 3 : -1])),
    Fault("task name expected", ("instruction-underscores",), observe=model_of(lambda t: t.translate({32: "_", 95: " "}))),
    Fault("gripper inverted", ("gripper-sign",), act=to.columns(-1, lambda g: -g)),
    Fault("gripper 0..1, 1 open", ("gripper-0-1-opening",), act=to.columns(-1, lambda g: (1 - g) / 2)),
    Fault("gripper 0..1, 1 closed", ("gripper-0-1-closing",), act=to.columns(-1, lambda g: (1 + g) / 2)),
    Fault("gripper one step late", ("gripper-late",), act=late_gripper),
    Fault("x inverted", ("translation-sign-x",), act=scaled(slice(0, 1), -1)),
    Fault("y inverted", ("translation-sign-y",), act=scaled(slice(1, 2), -1)),
    Fault("z inverted", ("translation-sign-z",), act=scaled(slice(2, 3), -1)),
    Fault("x and y exchanged", ("translation-swap-xy",), act=to.columns((0, 1), lambda a: a[:, ::-1])),
    Fault("translation in metres", ("translation-scale-20",), act=scaled(T, 1 / 20)),
    Fault("translation twice too large", ("translation-scale-1/2",), act=scaled(T, 2.0)),
    Fault("rotation inverted", ("rotation-sign",), act=scaled(R, -1)),
    Fault("rotation in degrees", ("rotation-degrees",), act=scaled(R, 180 / np.pi)),
    Fault("roll and yaw exchanged", ("rotation-order",), act=to.columns(R, lambda a: a[:, ::-1])),
    Fault("motion in the end effector's axes", ("motion-frame",), act=unframed),
    Fault("statistics of bridge_orig", ("statistics-bridge_orig",), act=with_statistics("bridge_orig")),
    Fault(
        "declared statistics of bridge_orig",
        ("statistics-libero_object",),
        act=with_statistics("bridge_orig"),
        statistics="bridge_orig",
    ),
    Fault("chunk of 20, trained 10", ("chunk-longer-than-10",), act=lambda a, o: np.concatenate([a, a])),
    Fault("chunk reversed", ("chunk-reversed",), act=lambda a, o: a[::-1]),
    Fault("first action dropped", ("chunk-first-dropped",), act=shifted(1)),
    Fault("chunk one step late", ("chunk-late",), act=shifted(-1)),
)


class Faulty(BasePolicy):
    """Nano with a fault; answers are kept by their input."""

    kept: ClassVar[dict[str, dict[bytes, Any]]] = {}

    def __init__(self, fault: Fault) -> None:
        self.model, self.fault = BundledNano(), fault
        self.observation_spec = ObservationSpec(cameras=fault.cameras, proprio=fault.act is unframed)
        if fault.statistics:
            self.statistics = Statistics(self.model.statistics.known, fault.statistics)
        self.queries = 0

    def setup(self, context: Any) -> None:
        super().setup(context)
        self.model.setup(context)

    def act_one(self, observation: Observation) -> ActionChunk:
        self.queries += 1
        seen = self.fault.observe(observation) if self.fault.observe else observation
        seen = replace(seen, env_observation=EnvObservation({"primary": np.ascontiguousarray(seen.images["primary"])}))
        content = seen.images["primary"].tobytes() + seen.instruction.encode() + seen.spec.suite.encode()
        kept = self.kept.setdefault(seen.spec.suite, {})
        digest = hashlib.sha256(content).digest()
        if digest not in kept:
            kept[digest] = self.model.act([seen])[0].actions
            self.model.end_episode(seen.key)
        actions = kept[digest].copy()
        return ActionChunk(self.fault.act(actions, observation) if self.fault.act else actions)


REMOTE = ("images upside down", "BGR", "gripper inverted", "translation in metres", "no prompt template")
"""Faults that are planted once more in a policy behind `nora-bench serve`."""
BOTH = ObservationSpec(cameras=("primary", "wrist"))


class Bench:
    """Diagnoses faulty policies at the same moments."""

    def __init__(self, assets: str) -> None:
        self.assets = assets
        self._moments: dict[str, list[Moment]] = {}

    def moments(self, suite: str) -> list[Moment]:
        """The suite's moments, with both cameras."""
        if suite not in self._moments:
            prepared = self.prepared(suite, "nora-1.5-nano")
            recording = Recording(prepared.recording.expert, BOTH, EPISODES, MOMENTS)
            self._moments[suite], _ = recorded_moments(recording, run_episodes)
        return self._moments[suite]

    def prepared(self, suite: str, policy: str) -> Any:
        return prepare(Request(policy, {}, suite, assets=self.assets))

    def local(self, fault: Fault, scratch: Path) -> Diagnosis:
        """A faulty policy in this process."""
        return self._diagnose(fault.suite, Faulty(fault), "bench_diagnose:Faulty", scratch)

    def served(self, fault: Fault, scratch: Path) -> Diagnosis:
        """A faulty policy behind a server."""
        policy, suite = Faulty(fault), fault.suite
        protocol = self.prepared(suite, "nora-1.5-nano").subject.protocol
        host = LocalPolicyHost(policy, scratch / "served.log")
        batcher = start(policy, PolicyContext(protocol, (suite,), 7), host, 64)
        with listening(batcher, greeting("bench_diagnose:Faulty", {}, policy, host), Address(port=0)) as port:
            stopped = threading.Event()
            answers: list[Diagnosis] = []
            address = f"ws://127.0.0.1:{port}"

            def client() -> None:
                try:
                    answers.append(self._diagnose(suite, load(address, {}), address, scratch))
                finally:
                    stopped.set()

            thread = threading.Thread(target=client, daemon=True)
            thread.start()
            batcher.serve_forever(stopped.is_set)
            thread.join()
        return answers[0]

    def _diagnose(self, suite: str, policy: Any, name: str, scratch: Path) -> Diagnosis:
        prepared = self.prepared(suite, "nora-1.5-nano")
        subject = Subject(name, {}, policy, prepared.subject.suite, prepared.subject.protocol)
        host = LocalPolicyHost(policy, scratch / "policy.log")
        host.setup(PolicyContext(subject.protocol, (suite,), 7))
        return Examination(subject, self.moments(suite)).diagnose(Queries(host, policy.observation_spec))

    def scripted(self, suite: str) -> Diagnosis:
        """The scripted expert, which reads the simulator's state."""
        prepared = self.prepared(suite, "scripted")
        moments, chunks = answered_moments(prepared.recording, run_episodes, prepared.subject.policy)
        return Examination(prepared.subject, moments).diagnose_answers(chunks)


def row(kind: str, name: str, right: Sequence[str], found: Diagnosis, seconds: float) -> dict[str, Any]:
    """One line of the table."""
    first = found.best.hypothesis.name if found.best else found.verdict
    best = found.ranked[0].improvement
    return {
        "kind": kind,
        "fault": name,
        "first": first,
        "correct": first in right,
        "error": round(found.error, 3),
        "after": round(best.after, 3) if found.best else None,
        "before": round(best.before, 3) if found.best else None,
        "equally_good": list(found.equally_good),
        "queries": found.passes,
        "seconds": round(seconds, 1),
        "ranked": [(one.hypothesis.name, round(one.improvement.share, 3)) for one in found.ranked[:4]],
    }


def rows(only: Sequence[str], scratch: Path) -> Iterator[dict[str, Any]]:
    """All cases of the benchmark, or those whose name contains one of `only`."""
    bench = Bench("standin")
    nothing = ("nothing found",)
    healthy = [Fault("none", nothing)]
    cases: list[tuple[str, str, tuple[str, ...], Callable[[], Diagnosis]]] = [
        *((f"healthy {f.suite}", f.name, f.right, lambda f=f: bench.local(f, scratch)) for f in healthy),
        ("healthy scripted", "none", nothing, lambda: bench.scripted("libero_object")),
        *(("local", f.name, f.right, lambda f=f: bench.local(f, scratch)) for f in FAULTS),
        *(("served", f.name, f.right, lambda f=f: bench.served(f, scratch)) for f in FAULTS if f.name in REMOTE),
    ]
    if os.environ.get("NORA_BENCH_LIBERO_ASSETS"):
        official = Bench("official")
        cases.append(("healthy official", "none", nothing, lambda: official.local(healthy[0], scratch)))
    for kind, name, right, diagnose in cases:
        if not only or any(text in f"{kind} {name}" for text in only):
            started = time.process_time()
            yield row(kind, name, right, diagnose(), time.process_time() - started)


def load_kept(path: Path) -> None:
    """Answers of the model from an earlier run of this benchmark."""
    if path.is_file():
        with np.load(path) as stored:
            for name in stored.files:
                suite, digest = name.split(".")
                Faulty.kept.setdefault(suite, {})[bytes.fromhex(digest)] = stored[name]


def save_kept(path: Path) -> None:
    arrays = {f"{suite}.{digest.hex()}": chunk for suite, kept in Faulty.kept.items() for digest, chunk in kept.items()}
    np.savez(path, **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file for the rows")
    parser.add_argument("--answers", type=Path, help=".npz file in which the model's answers are kept between runs")
    parser.add_argument("only", nargs="*", help="parts of the names of the cases to run")
    given = parser.parse_args()
    if given.answers:
        load_kept(given.answers)
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for one in rows(given.only, Path(scratch)):
            found.append(one)
            text = f"{one['before']:.2f} -> {one['after']:.2f}" if one["after"] is not None else f"{one['error']:.2f}"
            mark = "ok  " if one["correct"] else "MISS"
            print(f"{mark} {one['kind']:<22} {one['fault']:<36} {one['first']:<24} {text}", flush=True)
            if not one["correct"]:
                print(f"     {one['ranked']}", flush=True)
            if given.answers:
                save_kept(given.answers)
    for kind in ("local", "served", "healthy"):
        part = [one for one in found if one["kind"].startswith(kind)]
        print(f"{kind}: {sum(one['correct'] for one in part)} of {len(part)}")
    if given.out:
        given.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
