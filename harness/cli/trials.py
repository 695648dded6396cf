"""`nora-bench trials`: store trials on a real robot as a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ...results.layouts import Column
    from ...results.store.writer import Store
    from ...results.trials import Trial


def trials(
    file: Annotated[Path | None, typer.Argument(help="CSV of trials; without it, trials are entered one by one.")] = None,
    suite: Annotated[str, typer.Option(help="widowx or galaxea-a1.")] = "galaxea-a1",
    policy: Annotated[str, typer.Option(help="Name of the policy that drove the robot.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder of the run.", show_default="runs/SUITE-POLICY")] = None,
    number: Annotated[int, typer.Option("--trials", min=1, help="Trials per task to enter.")] = 10,
    list_tasks: Annotated[bool, typer.Option("--list-tasks", help="List the suite's tasks and exit.")] = False,
) -> None:
    """Enter real-robot trials, from a CSV file or one by one; tables, compare and report then take them like any run.

    Example: `nora-bench trials galaxea.csv --suite galaxea-a1 --policy nora-1.5`

    Columns of the file: task, trial, start (number of the start position), success, partial (right object grasped),
    distractor (wrong one grasped); 1 or 0. Trials entered one by one are stored at once: interrupt and resume at any time.
    """
    from ...envs.errors import InputError
    from ...results import trials as entered
    from .output import say

    known = entered.tasks(suite)
    if list_tasks:
        say(task.name for task in known)
        return
    if not policy:
        raise InputError("--policy is missing. Add --policy NAME, the policy that drove the robot")
    folder = out or Path("runs") / f"{suite}-{policy}"
    if file is not None:
        _import(file, suite, policy, folder)
    else:
        _ask(known, suite, policy, folder, number)
    say(f"{folder}: see `nora-bench table {entered.TABLES[suite]} {folder}`")


def _import(file: Path, suite: str, policy: str, folder: Path) -> None:
    from ...results import trials as entered
    from .output import say

    found = entered.read(file, suite)
    entered.store(folder, found, suite, policy)
    say(f"{len(found)} trials of {policy} stored")
    say(f"! {gap}" for gap in entered.gaps(found, suite))


def _ask(tasks: tuple[Column, ...], suite: str, policy: str, folder: Path, number: int) -> None:
    from ...results import trials as entered

    with entered.open_store(folder, suite, policy) as store:
        for task_id, task in enumerate(tasks):
            for trial in _questions(store, task, suite, task_id, number):
                store.append(entered.record(trial, task_id, 0, suite, policy))
        entered.finish(store)


def _questions(store: Store, task: Column, suite: str, task_id: int, number: int) -> Iterator[Trial]:
    """The trials of one task that are not stored yet, entered by the user."""
    from ...envs.base import EpisodeSpec
    from ...results.trials import Trial

    done = store.keys()
    for trial in range(1, number + 1):
        if EpisodeSpec(suite, task_id, trial - 1, 0, f"real/{suite}").key in done:
            continue
        print(f"\n{task.label}, trial {trial} of {number} (start position {trial})")
        success = typer.confirm("  success?")
        partial = success or typer.confirm("  right object grasped?")
        wrong = typer.confirm("  distractor grasped?") if not task.metrics and "[" in task.name else None
        yield Trial(task.name, trial, trial, success, partial, wrong)
