"""Agreement of the failure classes with labels that people gave from strips of images, and the cost of the features.

nora-bench failures RUN --sheet sheet --count 40         # then fill in the column `class` of sheet/labels.csv
python tests/benchmarks/bench_failure_classes.py agreement RUN sheet/labels.csv
python tests/benchmarks/bench_failure_classes.py cost
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from nora_bench.results.failures.classify import failure_classes
from nora_bench.results.failures.rules import rule_set
from nora_bench.results.statistics.intervals import clopper_pearson
from nora_bench.results.store.reader import read_run

TASKS = (("libero_goal", 3), ("libero_goal", 1), ("libero_10", 9), ("simpler-widowx", 0), ("simpler-vm", 0), ("simpler-vm", 2))
"""Suites and tasks whose cost is measured; the first also with images."""


def read_labels(path: Path) -> dict[str, str]:
    """Key -> class from a sheet's labels.csv; rows without a label are omitted. Raises SystemExit for an unknown class."""
    known = set(rule_set().classes)
    with path.open(encoding="utf-8", newline="") as handle:
        rows = [(row["key"], row["class"].strip()) for row in csv.DictReader(handle)]
    if unknown := {label for _, label in rows if label} - known:
        raise SystemExit(f"{path}: unknown class {min(unknown)!r}; classes: {', '.join(known)}")
    return {key: label for key, label in rows if label}


def confusion(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Rows of a Markdown table: labels down, rules across."""
    names = [name for name in (*rule_set().classes, "unknown") if any(name in pair for pair in pairs)]
    counts = Counter(pairs)
    head = ["| label \\ rules | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    return head + [f"| {label} | " + " | ".join(str(counts[label, name] or "") for name in names) + " |" for label in names]


def agreement(runs: Sequence[Path], labels: Path) -> None:
    """Print how many labels the rules agree with, the confusion matrix and each difference."""
    given = read_labels(labels)
    found = {key: name for run in runs for key, name in failure_classes(read_run(run)).items()}
    if missing := given.keys() - found.keys():
        raise SystemExit(f"{len(missing)} labelled episodes are no failures of these runs, e.g. {min(missing)}")
    pairs = [(given[key], found[key]) for key in given]
    same = sum(label == name for label, name in pairs)
    low, high = clopper_pearson(same, len(pairs))
    print(
        f"rules version {rule_set().version}: agreement {same}/{len(pairs)} = {same / len(pairs):.0%} [{low:.0%}, {high:.0%}]\n"
    )
    print("\n".join(confusion(pairs)))
    for key in given:
        if given[key] != found[key]:
            print(f"{key}: label {given[key]}, rules {found[key]}")


def cost() -> None:
    """CPU time of the moments of an episode per suite, as a share of its control steps; the first also with images."""
    for suite, task in TASKS:
        _cost(suite, task, cameras=())
    _cost(*TASKS[0], cameras=("primary", "wrist"))


def _cost(name: str, task: int, cameras: tuple[str, ...]) -> None:
    """The gripper goes to the first object and closes there, half of the steps each; images every fifth step."""
    from nora_bench.envs import protocols, suites
    from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec
    from nora_bench.envs.moments import features
    from nora_bench.envs.paths import ensure_cache_home
    from nora_bench.harness.rendering.backend import find_driver

    suite = suites.get(name)
    protocol, variant = protocols.get(suite.default_protocol), next(iter(suite.tasks[task].variants), "")
    libero = suite.family == "libero"
    gl = find_driver(suite).name if libero else "none"  # MuJoCo takes one driver per process
    env = suite.make_env(EnvOptions(suites.resolve_assets(suite, "standin").path, gl, str(ensure_cache_home())))
    env.reset(EpisodeSpec(name, task, 0, 0, protocol.name, variant), protocol, ObservationSpec(cameras=cameras))
    steps, most, close = (200, 0.05, 1.0) if libero else (40, 0.02, 1.0 if name != "simpler-widowx" else -1.0)
    moments, steps_s, moments_s = [env.moment()], 0.0, 0.0
    for step in range(steps):
        away = moments[-1].poses[0, :3] - moments[-1].gripper if len(moments[-1].poses) else np.zeros(3)
        move = np.clip(away, -most, most) / (0.05 if libero else 1.0)
        action = np.array([*move, 0, 0, 0, close if step >= steps / 2 else -close])
        started = time.process_time()
        env.step(action, observe=bool(cameras) and step % 5 == 0)
        between = time.process_time()
        moments.append(env.moment())
        steps_s, moments_s = steps_s + between - started, moments_s + time.process_time() - between
    started = time.process_time()
    features(env.roles(), moments)
    moments_s += time.process_time() - started
    touched = sum(bool(moment.touched.any()) for moment in moments)
    env.close()
    print(
        f"{name} task {task}, {len(cameras)} cameras: {1e3 * steps_s / steps:.1f} ms per step, moments {moments_s / steps_s:.2%} "
        f"of it, an object touched in {touched} of {steps} steps"
    )


def main() -> None:
    """Run one of the two measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    compared = parts.add_parser("agreement")
    compared.add_argument("paths", nargs="+", type=Path, metavar="RUN... LABELS")
    parts.add_parser("cost")
    given = parser.parse_args()
    if given.part == "cost":
        cost()
    else:
        agreement(given.paths[:-1], given.paths[-1])


if __name__ == "__main__":
    main()
