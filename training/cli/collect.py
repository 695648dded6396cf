"""`nora-bench collect`: an expert's episodes, disturbed, written down as demonstrations."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ...envs.suites import expand
from ...harness.config import integers, parse
from ...harness.errors import InputError, Interrupted

if TYPE_CHECKING:
    from ..collection.collect import Collection
    from ..collection.demonstrator import Learner


def collect(
    suite: Annotated[list[str], typer.Option("--suite", help="Suite or group; can be given again.")],
    episodes: Annotated[int, typer.Option("--episodes", min=1, help="Demonstrations per task.")] = 20,
    tasks: Annotated[str | None, typer.Option("--tasks", help="Task ids or names, like 0,3-5.", show_default="all")] = None,
    policy: Annotated[str, typer.Option("--policy", help="The expert: a policy that sees privileged state.")] = "scripted",
    smooth: Annotated[float, typer.Option("--smooth", min=0, max=1, help="Smooth noise, in full actions.")] = 0.03,
    pushes: Annotated[float, typer.Option("--pushes", min=0, max=1, help="Chance of a push to begin at a step.")] = 0.03,
    init_states: Annotated[str, typer.Option("--init-states", help="Initial states, tried in order.")] = "0-34",
    held_out: Annotated[bool, typer.Option("--held-out", help="Allow initial states that are kept for tests.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="First seed; sets that lie side by side take different ones.")] = 0,
    learner: Annotated[
        str | None,
        typer.Option("--learner", help="Policy that begins each episode; the expert takes over.", show_default="none"),
    ] = None,
    learner_steps: Annotated[
        str, typer.Option("--learner-steps", help="Fewest and most control steps before it does.")
    ] = "10-80",
    workers: Annotated[str, typer.Option("--workers", help="Worker processes, or auto.")] = "auto",
    assets: Annotated[str, typer.Option("--assets", help="Pack that the demonstrations name.")] = "standin",
    out: Annotated[Path, typer.Option("--out", help="Folder; gets one folder per suite.")] = Path("demonstrations"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and its cost, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Collect demonstrations: an expert's successful episodes, disturbed, with its own actions as labels.

    Example: `nora-bench collect --suite libero_object --episodes 20 --out demonstrations`

    The same command goes on where it was stopped, and with more --episodes collects more.
    """
    from ..collection.collect import Wanted, check_states, look_up
    from ..collection.perturbation import Noise

    states = _states(init_states)
    check_states(states, held_out=held_out)
    console = Console(stderr=as_json)
    wanted = {"tasks": tasks, "policy": policy, "workers": workers, "assets": assets}
    done: list[dict[str, Any]] = []
    for name in dict.fromkeys(part for group in suite for part in expand(group)):
        config = parse({**wanted, "suite": name, "out": str(out / name)})
        noise = Noise(smooth=smooth, push_chance=pushes)
        collection = look_up(Wanted(config, episodes, noise, states, seed, _learner(learner, learner_steps)))
        show(collection, console)
        done += [] if dry_run else [play(collection, console)]
    if as_json:
        print(json.dumps({"episodes_per_task": episodes, "collections": done}))


def _states(text: str) -> tuple[int, ...]:
    try:
        return integers(text)
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
    """Print what is asked for, what is there, and what the rest costs at most. Raises MissingRequirementError for a full disk."""
    from ...harness.planning.estimate import estimate, require_room

    prepared, plan = collection.prepared, collection.next_round()
    found = estimate(plan, prepared.setup, prepared.policy, prepared.workers, None, collection.folder)
    written = collection.written(collection.over()).total()
    learner = collection.wanted.learner
    lines = [
        ("suite", collection.suite.name),
        ("demonstrations", f"{collection.wanted.episodes} for each of {len(collection.tasks)} tasks; {written} are there"),
        ("expert", f"{prepared.config.policy}, {collection.wanted.noise}"),
        *([("learner", f"begins, for {learner.steps[0]} to {learner.steps[1]} steps")] if learner else []),
        *found.lines(),
        ("folder", str(collection.folder)),
    ]
    for name, text in lines:
        console.print(f"{name:>15}  {text}", markup=False, highlight=False, soft_wrap=True)
    require_room(found)


def play(collection: Collection, console: Console) -> dict[str, Any]:
    """Collect what is missing and print how it went."""
    from ...harness import lifecycle
    from ..collection.collect import collect as run

    prepared = collection.prepared
    started = time.monotonic()
    before = len(collection.over())
    store = lifecycle.reopen(prepared, collection.folder) if collection.begun() else lifecycle.create(prepared, {})
    with store:
        try:
            run(collection, store, lifecycle.find_render_backend(prepared), console)
        except Interrupted:
            raise Interrupted("stopped; nothing that had finished is lost, and the same command goes on") from None
    report = summary(collection, time.monotonic() - started, before)
    console.print(report.pop("text"), markup=False, highlight=False, soft_wrap=True)
    return report


def summary(collection: Collection, seconds: float, before: int) -> dict[str, Any]:
    """What a session came to."""
    records = collection.over()
    written = collection.written(records)
    lacking = [task.name for task in collection.tasks if written[task.id] < collection.wanted.episodes]
    played = len(records) - before
    failed = sum(not record["success"] for record in records)
    alone = len(records) - failed - written.total()
    pace = f", {seconds / played:.1f} s per episode" if played else ""
    lacks = f"; not enough of {', '.join(lacking)}" if lacking else ""
    begun = f", {alone} were won before the expert's turn" if alone else ""
    counts = f"{written.total()} demonstrations, {failed} episodes failed and were not written{begun}"
    text = f"{counts}{pace}{lacks}: {collection.folder}"
    return {
        "folder": str(collection.folder),
        "demonstrations": written.total(),
        "failed": failed,
        "won_by_learner": alone,
        "lacking": lacking,
        "played": played,
        "seconds": round(seconds, 1),
        "text": text,
    }
