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

STEPS = 200


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
    """CPU time of the moments of a libero_goal episode, as a share of its control steps without and with images."""
    from nora_bench.envs import protocols, suites
    from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec
    from nora_bench.envs.moments import features
    from nora_bench.envs.paths import ensure_cache_home
    from nora_bench.harness.rendering.backend import find_driver

    suite, protocol = suites.get("libero_goal"), protocols.get("libero/openvla")
    options = EnvOptions(suites.resolve_assets(suite, "standin").path, find_driver(suite).name, str(ensure_cache_home()))
    env = suite.make_env(options)
    for cameras, every in (((), 1), (("primary", "wrist"), 5)):
        env.reset(EpisodeSpec("libero_goal", 3, 0, 0, protocol.name), protocol, ObservationSpec(cameras=cameras))
        moments, steps_s, moments_s = [env.moment()], 0.0, 0.0
        for step in range(STEPS):
            action = np.array([0.3 * np.sin(step / 20), 0.2, -0.3 if step < 40 else 0.1, 0, 0, 0, -1.0])
            started = time.process_time()
            env.step(action, observe=bool(cameras) and step % every == 0)
            between = time.process_time()
            moments.append(env.moment())
            steps_s, moments_s = steps_s + between - started, moments_s + time.process_time() - between
        started = time.process_time()
        features(env.roles(), moments)
        moments_s += time.process_time() - started
        print(f"{len(cameras)} cameras: {1e3 * steps_s / STEPS:.2f} ms per step, moments {moments_s / steps_s:.2%} of it")
    env.close()


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
