"""Running `reproduce findings`: stage after stage, with the choices between them made by the pilot seed's episodes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from ...envs.safe_io import atomic_write
from .experiment_stages import StagePlan, plan_choice, plan_seeds
from .experiments import Choice, Experiments, Value
from .pipeline import PipelineStage, is_done, run_available

CHOICES = "choices.json"


@dataclass(frozen=True, slots=True)
class Progress:
    """Stages of all experiments, given the choices made so far."""

    stages: Sequence[PipelineStage]
    """All, with assumed options for the choices that are not made."""
    runnable: Sequence[PipelineStage]
    """Those up to the first choice that is not made."""
    made: Mapping[str, str]
    """Choice -> its option."""
    undecided: str | None
    """First choice that is not made."""
    deciding: Mapping[str, Sequence[Path]]
    """Option -> runs that decide it."""


def progress(settings: Experiments, out: Path, workers: int = 1) -> Progress:
    """The stages, and how far the choices are."""
    made = read_choices(out)
    variables: dict[str, Value] = {}
    for choice in settings.choices.values():
        variables |= choice.values[choice.assumed]
    plan = StagePlan(settings, out, variables, workers)
    undecided, runnable, deciding = None, None, {}
    for name, choice in settings.choices.items():
        runs = plan_choice(plan, name)
        if name not in made and undecided is None:
            undecided, deciding, runnable = name, runs, [*plan.stages.values()]
        plan.variables = {**plan.variables, **choice.values[made.get(name, choice.assumed)]}
    plan_seeds(plan)
    stages = [*plan.stages.values()]
    return Progress(stages, stages if runnable is None else runnable, made, undecided, deciding)


def run_experiments(settings: Experiments, out: Path, workers: int, log: Callable[[str], None]) -> None:
    """Run every stage that is not done, and make each choice as soon as its runs are."""
    while True:
        now = progress(settings, out, workers)
        run_available(now.runnable, out, log)
        if now.undecided is None:
            return
        choice = settings.choices[now.undecided]
        rates = {option: mean(_rate(run) for run in runs) for option, runs in now.deciding.items()}
        option = choose(choice, rates)
        log(f"choice {now.undecided}: {option} of " + ", ".join(f"{name} {100 * rate:.0f} %" for name, rate in rates.items()))
        write_choice(out, now.undecided, option, rates)


def choose(choice: Choice, rates: Mapping[str, float]) -> str:
    """The best option, or the one nearest to the wanted rate; the first of equals."""
    if choice.nearest is None:
        return max(rates, key=lambda option: rates[option])
    wanted = choice.nearest
    return min(rates, key=lambda option: abs(rates[option] - wanted))


def read_choices(out: Path) -> dict[str, str]:
    """Choice -> option, of the choices made in a folder."""
    path = out / CHOICES
    if not path.is_file():
        return {}
    return {name: entry["option"] for name, entry in json.loads(path.read_text(encoding="utf-8")).items()}


def write_choice(out: Path, name: str, option: str, rates: Mapping[str, float]) -> None:
    """Add a choice to the folder's file."""
    path = out / CHOICES
    stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    stored[name] = {"option": option, "rates": dict(rates)}
    with atomic_write(path) as scratch:
        scratch.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def _rate(run: Path) -> float:
    from ..evaluation import summary

    return summary(run)["score"]


def left(now: Progress, out: Path) -> list[PipelineStage]:
    """Stages that are not done."""
    return [found for found in now.stages if not is_done(out, found)]
