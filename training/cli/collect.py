"""`nora-bench collect`: demonstrations of a perturbed expert."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ...envs.errors import InputError, Interrupted
from ...envs.suites import expand
from ...harness.config import init_states as parse_states, parse
from .options import single_command

if TYPE_CHECKING:
    from ..collection.collect import Collection
    from ..collection.demonstrator import Learner


def _collect(
    suite: Annotated[list[str], typer.Option("--suite", help="Suite or group; repeatable.")],
    episodes: Annotated[int, typer.Option("--episodes", min=1, help="Demonstrations per task.")] = 20,
    tasks: Annotated[str | None, typer.Option("--tasks", help="Task ids or names, like 0,3-5.", show_default="all")] = None,
    policy: Annotated[str, typer.Option("--policy", help="Expert: a policy that reads privileged state.")] = "scripted",
    noise_std: Annotated[
        float, typer.Option("--noise-std", min=0, max=1, help="Standard deviation of the action noise, in full actions.")
    ] = 0.03,
    push_probability: Annotated[
        float, typer.Option("--push-probability", min=0, max=1, help="Probability per step that a push starts.")
    ] = 0.03,
    init_states: Annotated[str, typer.Option("--init-states", help="Initial states, tried in order.")] = "0-34",
    held_out: Annotated[bool, typer.Option("--held-out", help="Allow initial states reserved for tests.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="First seed; sets that are used together need different ones.")] = 0,
    learner: Annotated[
        str | None,
        typer.Option(
            "--learner", help="Policy that acts first in each episode, until the expert takes over.", show_default="none"
        ),
    ] = None,
    learner_steps: Annotated[
        str, typer.Option("--learner-steps", help="Fewest and most control steps before the takeover.")
    ] = "10-80",
    workers: Annotated[str, typer.Option("--workers", help="Worker processes, or auto.")] = "auto",
    assets: Annotated[str, typer.Option("--assets", help="Assets recorded with the demonstrations.")] = "standin",
    out: Annotated[Path, typer.Option("--out", help="Folder; gets one folder per suite.")] = Path("demonstrations"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and its cost, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Collect successful episodes of a perturbed expert, with its unperturbed actions as labels.

    Example: `nora-bench collect --suite libero_object --episodes 20 --out demonstrations`

    The same command resumes; with more --episodes it collects more.
    """
    from ..collection.collect import CollectConfig, check_states, resolve
    from ..collection.demonstrator import PerturbationConfig

    states = _states(init_states)
    check_states(states, held_out=held_out)
    console = Console(stderr=as_json)
    config_values = {"tasks": tasks, "policy": policy, "workers": workers, "assets": assets}
    collections: list[dict[str, Any]] = []
    for name in dict.fromkeys(part for group in suite for part in expand(group)):
        config = parse({**config_values, "suite": name, "out": str(out / name)})
        perturbation = PerturbationConfig(noise_std=noise_std, push_probability=push_probability)
        collection = resolve(CollectConfig(config, episodes, perturbation, states, seed, _learner(learner, learner_steps)))
        show(collection, console)
        collections += [] if dry_run else [run(collection, console)]
    if as_json:
        print(json.dumps({"episodes_per_task": episodes, "collections": collections}))


collect = single_command(_collect, {"--smooth": "--noise-std", "--pushes": "--push-probability"})


def _states(text: str) -> tuple[int | str, ...]:
    try:
        return parse_states(text)
    except ValueError as error:
        raise InputError(f"--init-states {text!r}: {error}") from None


def _learner(name: str | None, steps: str) -> Learner | None:
    """Raises InputError, PolicyError."""
    from ...policies.registry import load
    from ..collection.demonstrator import Learner

    if name is None:
        return None
    fewest, _, most = steps.partition("-")
    if not (fewest.isdecimal() and most.isdecimal() and int(fewest) <= int(most)):
        raise InputError(f"--learner-steps {steps!r} is not like 10-80")
    return Learner(load(name, {}), (int(fewest), int(most)))


def show(collection: Collection, console: Console) -> None:
    """Print the plan: demonstrations requested and existing, and the cost of the rest. Raises MissingRequirementError (disk)."""
    from ...harness.planning.estimate import estimate, require_room

    prepared, plan = collection.prepared, collection.next_round()
    cost = estimate(plan, prepared.setup, prepared.policy, prepared.workers, None, collection.folder)
    written = collection.written(collection.records()).total()
    learner = collection.config.learner
    lines = [
        ("suite", collection.suite.name),
        ("demonstrations", f"{collection.config.episodes} for each of {len(collection.tasks)} tasks; {written} exist"),
        ("expert", f"{prepared.config.policy}, {collection.config.perturbation}"),
        *([("learner", f"acts first, for {learner.steps[0]} to {learner.steps[1]} steps")] if learner else []),
        *cost.lines(),
        ("folder", str(collection.folder)),
    ]
    for name, text in lines:
        console.print(f"{name:>15}  {text}", markup=False, highlight=False, soft_wrap=True)
    require_room(cost)


def run(collection: Collection, console: Console) -> dict[str, Any]:
    """Collect the missing demonstrations and print a summary."""
    from ...harness import lifecycle
    from ..collection.collect import collect

    prepared = collection.prepared
    started = time.monotonic()
    before = len(collection.records())
    store = lifecycle.reopen(prepared, collection.folder) if collection.exists() else lifecycle.create(prepared, {})
    with store:
        try:
            collect(collection, store, lifecycle.find_render_backend(prepared), console)
        except Interrupted:
            raise Interrupted("stopped; finished episodes are kept. The same command resumes") from None
    report = summary(collection, time.monotonic() - started, before)
    console.print(report.pop("text"), markup=False, highlight=False, soft_wrap=True)
    return report


def summary(collection: Collection, seconds: float, before: int) -> dict[str, Any]:
    """Counts of a session, and a line for the terminal."""
    records = collection.records()
    written = collection.written(records)
    missing = [task.name for task in collection.tasks if written[task.id] < collection.config.episodes]
    attempted = len(records) - before
    failed = sum(not record.success for record in records)
    before_takeover = len(records) - failed - written.total()
    pace = f", {seconds / attempted:.1f} s per episode" if attempted else ""
    missing_text = f"; too few for {', '.join(missing)}" if missing else ""
    takeover_text = f", {before_takeover} succeeded before the takeover" if before_takeover else ""
    counts = f"{written.total()} demonstrations, {failed} episodes failed and were not written{takeover_text}"
    text = f"{counts}{pace}{missing_text}: {collection.folder}"
    return {
        "folder": str(collection.folder),
        "demonstrations": written.total(),
        "failed": failed,
        "succeeded_before_takeover": before_takeover,
        "missing": missing,
        "episodes": attempted,
        "seconds": round(seconds, 1),
        "text": text,
    }
