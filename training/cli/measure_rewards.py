"""`nora-bench measure-rewards`: rewards against the simulator's truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ...harness.cli.bar import counting
from .options import DataOption, JsonOption, print_line, print_plan, single_command


def _measure_rewards(
    labels: Annotated[
        list[Path],
        typer.Option("--labels", help="Folder of labelled states; repeatable, with equal states and candidates."),
    ],
    data: DataOption,
    policy: Annotated[str, typer.Option("--policy", help="Checkpoint that continues after each candidate, without noise.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the outcomes; the same command resumes.")],
    states: Annotated[int, typer.Option("--states", min=1, help="States whose candidates are rolled out.")] = 60,
    assets: Annotated[str, typer.Option("--assets", help="Asset pack of the images.")] = "standin",
    as_json: JsonOption = False,
) -> None:
    """Execute labelled candidates in the simulator, and count how often each reward orders two of them as their outcomes do.

    Example: `nora-bench measure-rewards --labels labels --data demonstrations --policy nora-1.5-nano --out measured`

    The policy continues to the end of the episode. Success is better than failure, then fewer steps; equal outcomes do not count.
    """
    from ..data.readers import read
    from ..preference import truth
    from ..preference.pairs import read as read_labels
    from ..preference.sampler import open_sampler
    from ..reproduce.findings import ACCURACY

    console = Console(stderr=as_json)
    parts = {folder.name: read_labels(folder) for folder in labels}
    truth.require_same_candidates(parts)
    first = next(iter(parts.values()))
    demonstrations = {d.key: d for d in read(data).demonstrations}
    rows = truth.chosen_rows(len(first.states), states)
    print_plan(console, states=f"{len(rows)} of {len(first.states)}", candidates=first.candidates.shape[1], folder=out)
    sampler = open_sampler(policy)
    roller = truth.open_roller(sampler, first.states[0]["suite"], assets)
    with counting(console, "states", len(rows)) as progress:
        rolled = truth.roll_out_missing(roller, first, demonstrations, rows, out, progress)
    found = {name: {r: truth.accuracy(part, rolled, r) for r in part.total} for name, part in parts.items()}
    pairs = {name: {r: truth.accuracy(part, rolled, r, chosen=True) for r in part.total} for name, part in parts.items()}
    (out / ACCURACY).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    paired = {name: truth.states_with_pair(part) for name, part in parts.items()}
    facts = {"spread": truth.spread(first), "states": paired, "pairs": pairs, "policy_sha256": sampler.digest}
    (out / "facts.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    for name, rewards in found.items():
        for reward, counts in rewards.items():
            correct, count = counts.get("all", (0, 0))
            print_line(
                console, f"{name} {reward:>15}: {correct} of {count} pairs" + (f", {correct / count:.0%}" if count else "")
            )
    if as_json:
        print(json.dumps({"folder": str(out), "accuracy": found, **facts}))


measure_rewards = single_command(_measure_rewards)
