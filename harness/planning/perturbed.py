"""Perturbed episodes of a plan: each episode of the benchmark as the control, followed by its perturbations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from ...envs import suites
from ...envs.base import EpisodeSpec, Suite
from ...envs.errors import InputError
from ...envs.perturbations import language
from ...envs.perturbations.axes import Kind, Perturbation, get


def with_perturbations(
    controls: Iterable[EpisodeSpec], names: Sequence[str], members: Mapping[str, Suite], elsewhere: Collection[str] = ()
) -> tuple[list[EpisodeSpec], dict[str, int]]:
    """The controls with their perturbed episodes, and the number of episodes that are not run, by cause.

    Args:
        controls: episodes without perturbation.
        names: perturbations, each applied alone.
        members: suites by name.
        elsewhere: keys of controls that another run has.

    Raises InputError for an axis that a suite does not have.
    """
    found = [get(name) for name in names]
    for suite in members.values():
        _require_axes(suite, found)
    episodes: list[EpisodeSpec] = []
    excluded: Counter[str] = Counter()
    for control in controls:
        if control.key not in elsewhere:
            episodes.append(control)
        for perturbation in found:
            spec = replace(control, perturbation=perturbation.name)
            suite = members[spec.suite]
            problem = language.problem(suite, spec) or suites.call_suite(suite, "perturbation_problem", spec)
            if problem:
                excluded[f"{perturbation.name}: {problem}"] += 1
            else:
                episodes.append(spec)
    return episodes, dict(excluded)


def has_axis(suite: Suite, axis: str, kind: Kind) -> bool:
    """Whether a suite's episodes can be run under an axis of that kind; images and language fit every suite."""
    if kind == "scene":
        return axis in suite.perturbations
    return bool(suite.control_hz) if kind == "latency" else True


def _require_axes(suite: Suite, perturbations: Iterable[Perturbation]) -> None:
    for perturbation in perturbations:
        if has_axis(suite, perturbation.axis, perturbation.kind):
            continue
        if perturbation.kind == "scene":
            known = f"its scenes have {', '.join(suite.perturbations)}" if suite.perturbations else "its scenes have none"
            message = f"{suite.name} has no axis {perturbation.axis}; {known}. Every suite has: noise, language, latency"
        else:
            message = f"{suite.name} declares no control rate (control_hz), which a latency needs"
        raise InputError(message, option="--perturb", value=perturbation.name)
