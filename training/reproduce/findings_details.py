"""Descriptive tables of the findings' pages: learning curves, accuracy by phase, candidates and pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from .experiments import Experiments, Finding
from .findings import ACCURACY, rate, read_arm, read_json
from .markdown import markdown_table

PHASES = ("approach", "grasp", "carry", "release")
FACTS = "facts.json"
"""File of a measurement: spread of the candidates, states with a pair, accuracy of the pairs."""


def curve_runs(settings: Experiments, finding: Finding) -> dict[str, list[list[str]]]:
    """Evaluation -> for each checkpoint but the last, the runs of all seeds."""
    found = {}
    arms = [arm for one in finding.comparisons for arm in (one.a, one.b) if isinstance(arm, str)]
    for arm in dict.fromkeys([*arms, *finding.descriptive]):
        spec = settings.evaluations.get(arm)
        training = settings.trainings.get(spec.policy) if spec and spec.curve else None
        if training and training.checkpoints > 1:
            found[arm] = [[f"{arm}-seed{seed}-at{at}" for seed in settings.seeds] for at in range(1, training.checkpoints)]
    return found


def curve_lines(settings: Experiments, out: Path, finding: Finding) -> list[str]:
    """Success rates during training."""
    curves = curve_runs(settings, finding)
    if not curves:
        return []
    count = max(len(checkpoints) for checkpoints in curves.values()) + 1
    rows = []
    for arm, checkpoints in curves.items():
        rates = [f"{100 * _mean_rate(out, runs):.0f}" for runs in checkpoints]
        rows.append((arm, *rates, *(["-"] * (count - 1 - len(rates)))))
    head = ("arm", *(f"after {at}/{count}" for at in range(1, count)))
    return [
        *("", "## Learning curves", ""),
        "Mean success rate over the seeds, %, after that part of the updates, on initial",
        f"state {settings.curve_states} of each task. Not tested.",
        *("", *markdown_table(head, rows)),
    ]


def _mean_rate(out: Path, runs: Sequence[str]) -> float:
    return mean(rate(arm) for arm in read_arm({number: out / "runs" / run for number, run in enumerate(runs)}).values())


def measurements_of(settings: Experiments, finding: Finding) -> list[str]:
    """The measurements of a finding's rewards, and of the labels of its preference optimisations."""
    arms = [arm for one in finding.comparisons for arm in (one.a, one.b) if isinstance(arm, str)]
    policies = {settings.evaluations[arm].policy for arm in (*arms, *finding.descriptive) if arm in settings.evaluations}
    labels = {name for policy in policies if policy in settings.preferences for name in settings.preferences[policy].labels}
    measured = {arm.partition("/")[0] for arm in arms if "/" in arm}
    return [name for name, spec in settings.measurements.items() if name in measured or labels & {*spec.labels}]


def phase_lines(settings: Experiments, out: Path, finding: Finding) -> list[str]:
    """Accuracy of the finding's rewards by phase of the episode."""
    arms = [arm for one in finding.comparisons for arm in (one.a, one.b) if isinstance(arm, str) and "/" in arm]
    if not arms:
        return []
    rows = []
    for arm in dict.fromkeys(arms):
        measurement, labels, reward = arm.split("/", 2)
        by_seed = [
            read_json(_folder(out, measurement, seed) / ACCURACY)[f"{labels}-seed{seed}"][reward] for seed in settings.seeds
        ]
        rows.append((f"{labels}/{reward}", *(_pooled([counts.get(phase, (0, 0)) for counts in by_seed]) for phase in PHASES)))
    return [
        *("", "## By phase", ""),
        "Accuracy, % (pairs), all seeds together. Not tested.",
        *("", *markdown_table(("arm", *PHASES), rows)),
    ]


def candidate_lines(settings: Experiments, out: Path, finding: Finding) -> list[str]:
    """How much the sampled candidates differ, and the accuracy of the pairs made of them."""
    rows = []
    for measurement in measurements_of(settings, finding):
        facts = {seed: read_json(_folder(out, measurement, seed) / FACTS) for seed in settings.seeds}
        spread = mean(one["spread"] for one in facts.values())
        for labels in settings.measurements[measurement].labels:
            for reward in settings.labels[labels].rewards:
                pairs = [one["pairs"][f"{labels}-seed{seed}"][reward].get("all", (0, 0)) for seed, one in facts.items()]
                states = [one["states"][f"{labels}-seed{seed}"][reward] for seed, one in facts.items()]
                paired = 100 * sum(count for count, _ in states) / sum(count for _, count in states)
                rows.append((f"{labels}/{reward}", f"{spread:.2f}", f"{paired:.0f}", _pooled(pairs)))
    if not rows:
        return []
    return [
        *("", "## Candidates and pairs", ""),
        "Spread: mean distance of two candidates over their mean distance to the expert's",
        "chunk. Paired: states with a pair, %. True: pairs that the simulator orders",
        "likewise, % (pairs that it orders). All seeds together.",
        *("", *markdown_table(("labels/reward", "spread", "paired", "true"), rows)),
    ]


def _folder(out: Path, measurement: str, seed: int) -> Path:
    return out / "measurements" / f"{measurement}-seed{seed}"


def _pooled(counts: Sequence[Sequence[int]]) -> str:
    """Share of correct pairs over the seeds, with their number."""
    correct, pairs = (sum(numbers) for numbers in zip(*counts, strict=True))
    return f"{100 * correct / pairs:.0f} ({pairs})" if pairs else "- (0)"
