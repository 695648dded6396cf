"""Running `reproduce findings`: stage after stage, with the choices between them made by the pilot seed's episodes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from ...envs.safe_io import atomic_write
from ..engine.config import TrainingError
from .experiment_stages import StagePlan, plan_choice, plan_seeds
from .experiments import Choice, Experiments, Value
from .pipeline import PipelineStage, run_available

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
    made = read_choices(settings, out)
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
    """Run every stage that is not done, and make each choice as soon as its runs are. Raises TrainingError, Interrupted."""
    while True:
        now = progress(settings, out, workers)
        run_available(now.runnable, out, log, f" before choice {now.undecided}" if now.undecided else "")
        if now.undecided is None:
            return
        choice = settings.choices[now.undecided]
        rates = {option: mean(_rate(run) for run in runs) for option, runs in now.deciding.items()}
        option = choose(choice, rates)
        require_near(now.undecided, choice, option, rates)
        log(choice_line(now.undecided, option, rates))
        write_choice(out, now.undecided, option, rates)


def choose(choice: Choice, rates: Mapping[str, float]) -> str:
    """The best option, or the one nearest to the wanted rate; the first of equals."""
    return min(rates, key=lambda option: _distance(choice, rates[option]))


def _distance(choice: Choice, rate: float) -> float:
    """From the wanted rate, to a millionth, so that equal distances above and below it are equal."""
    return round(1.0 - rate if choice.nearest is None else abs(rate - choice.nearest), 6)


def require_near(name: str, choice: Choice, option: str, rates: Mapping[str, float]) -> None:
    """Raise TrainingError for an option whose rate is too far from the wanted one: the recipe needs other options."""
    if choice.nearest is None or choice.within is None or _distance(choice, rates[option]) <= choice.within:
        return
    wanted = f"{100 * choice.nearest:.0f} % within {100 * choice.within:.0f} points"
    raise TrainingError(
        f"choice {name}: no option gives {wanted} ({_rates(rates)}). Add options to choices.{name}.values in a copy of the "
        "recipe, and type the same command with --recipe FILE: what is done stays",
        option=f"choices.{name}",
        value=option,
    )


def choice_line(name: str, option: str, rates: Mapping[str, float]) -> str:
    """What was chosen, by which success rates."""
    equal = "; all are equal, the first counts" if all_equal(rates) else ""
    return f"choice {name}: option {option}, by success rates {_rates(rates)}{equal}"


def all_equal(rates: Mapping[str, float]) -> bool:
    """Whether the rates of several options do not distinguish them."""
    return len(rates) > 1 and len(set(rates.values())) == 1


def _rates(rates: Mapping[str, float]) -> str:
    return ", ".join(f"{option}: {100 * rate:.0f} %" for option, rate in rates.items())


def read_choices(settings: Experiments, out: Path) -> dict[str, str]:
    """Choice -> option, of the choices made in a folder. Raises TrainingError for a damaged file and another recipe's choices."""
    path = out / CHOICES
    made = {name: str(entry.get("option")) for name, entry in _stored(path).items()}
    for name, option in made.items():
        if name not in settings.choices or option not in settings.choices[name].values:
            raise TrainingError(
                f"{path} has the choice {name}: {option}, which this recipe lacks. Give another --out, or its own --recipe",
                option="--out",
                value=str(out),
            )
    return made


def _stored(path: Path) -> dict[str, dict[str, Any]]:
    """Entries of the file of choices; none where there is no file. Raises TrainingError."""
    try:
        stored = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:
        stored = None
    if not isinstance(stored, dict) or not all(isinstance(entry, dict) for entry in stored.values()):
        raise TrainingError(f"{path} is damaged. It is written anew: rm {path}, and type the same command")
    return stored


def write_choice(out: Path, name: str, option: str, rates: Mapping[str, float]) -> None:
    """Add a choice to the folder's file."""
    path = out / CHOICES
    stored = _stored(path)
    stored[name] = {"option": option, "rates": dict(rates), "all_equal": all_equal(rates)}
    with atomic_write(path) as scratch:
        scratch.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def _rate(run: Path) -> float:
    from ..evaluation import summary

    return summary(run)["score"]
