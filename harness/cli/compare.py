"""`nora-bench compare`: is one policy better than another, by how much, and how sure is that."""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from ...results.compare import Pair
    from ...results.contest import Match
    from ...results.reading import Run

SHOWN = 10
"""Flipped episodes listed for each suite unless all are asked for."""
WIDEST = 40
"""Characters of a setting that are shown."""


def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="A B...", help="Folders of runs; two are compared, more are ranked.")],
    real: Annotated[
        list[Path] | None, typer.Option(metavar="RUN", help="Trials on the robot by the same policies: correlate with them.")
    ] = None,
    flips: Annotated[bool, typer.Option(help="List every episode that ended differently.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Compare runs episode by episode on the scenes that all of them played; the difference is B minus A.

    Example: `nora-bench compare runs/libero-nora runs/libero-nora-1.5`

    Exact test (McNemar's, extended to several seeds), paired 95 % interval, p-values corrected over suites (Holm), and
    how many initial states would settle what is open. See docs/statistics.md.
    """
    from ...results.reading import load_run
    from ..errors import InputError

    gc.disable()  # as in `table`
    if len(folders) < 2:
        raise InputError("compare takes at least two runs: `nora-bench compare runs/A runs/B`")
    runs = [load_run(folder) for folder in folders]
    if len(runs) == 2 and not real:
        _two(runs[0], runs[1], flips=flips, as_json=as_json)
    else:
        _several(runs, [load_run(folder) for folder in real or ()], as_json=as_json)


def _two(a: Run, b: Run, *, flips: bool, as_json: bool) -> None:
    from ...results.contest import compare as compare_runs
    from ..errors import InputError

    matches = compare_runs(a, b)
    if not matches:
        raise InputError(
            f"{a.name} and {b.name} have no scene in common: run both with the same --suite, --tasks, --init-states and --seeds"
        )
    unlike, settings = _unlike(a, b), _settings(a, b)
    if as_json:
        found = {
            "a": a.name,
            "b": b.name,
            "unlike": unlike,
            "settings": settings,
            "matches": [_to_json(match) for match in matches],
        }
        print(json.dumps(found, indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False)
    console.print(f"A: {_title(a)}\nB: {_title(b)}", markup=False)
    _print_settings(settings, console)
    for name in unlike:
        console.print(f"! the runs differ in their {name} too: the difference is not the policy's alone", markup=False)
    _print(matches, console, flips=flips)


def _unlike(a: Run, b: Run) -> list[str]:
    """Conditions besides the policy in which the runs differ."""

    def values(run: Run, name: str) -> set[Any]:
        return {r.assets.get("fingerprint", "") if name == "assets" else getattr(r, name) for r in run.records}

    return [name for name in ("protocol", "assets", "backend", "renderer") if values(a, name) != values(b, name)]


def _settings(a: Run, b: Run) -> dict[str, list[Any]]:
    """Setting that both policies know -> its value in A and in B, where those differ."""
    of_a, of_b = ((run.run.get("policy") or {}).get("fingerprint") or {} for run in (a, b))
    return {name: [of_a[name], of_b[name]] for name in of_a if name in of_b and of_a[name] != of_b[name]}


def _print_settings(settings: Mapping[str, Sequence[Any]], console: Console) -> None:
    for name, values in settings.items():
        shown = (text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}..." for text in map(str, values))
        console.print("  {}: {} in A, {} in B".format(name, *shown), markup=False)


def _to_json(match: Match) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "suite": match.suite,
        "a": asdict(match.a),
        "b": asdict(match.b),
        "difference": asdict(match.difference),
        "p_holm": match.p_holm,
        "verdict": match.verdict,
        "flipped": [{"a": one.a.key, "b": one.b.key, "won_by": "b" if one.difference > 0 else "a"} for one in match.flipped],
    }


def _print(matches: Sequence[Match], console: Console, *, flips: bool) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Suite", no_wrap=True)
    for name in ("Scenes", "A %", "B %", "B - A, 95 %", "Won A, B", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Better")
    for match in matches:
        table.add_row(escape(match.suite), *_fields(match), {"A is better": "A", "B is better": "B"}.get(match.verdict, "open"))
    console.print(table)
    console.print("p: exact test paired by scene, corrected over suites (Holm)")
    for match in matches:
        console.print(_outlook(match), markup=False)
    _print_flips(matches, console, everything=flips)


def _title(run: Run) -> str:
    names = sorted({", ".join(filter(None, (record.policy, record.protocol, record.backend))) for record in run.records})
    return f"{run.name} ({'; '.join(names)})"


def _fields(match: Match) -> list[str]:
    found = match.difference
    return [
        str(found.pairs),
        f"{100 * match.a.mean:.1f}",
        f"{100 * match.b.mean:.1f}",
        f"{100 * found.mean:+.1f} ({100 * found.low:+.1f}, {100 * found.high:+.1f})",
        f"{found.lost}, {found.gained}",
        f"{match.p_holm:.2g}" if match.p_holm >= 1e-4 else "<0.0001",
    ]


def _outlook(match: Match) -> str:
    found = match.difference
    if match.verdict != "no difference shown":
        return f"{match.suite}: settled on {found.scenes} initial states"
    if found.scenes_needed is None:
        return f"{match.suite}: the rates are equal; no number of further episodes is known to part them"
    more = max(0, found.scenes_needed - found.scenes)
    return (
        f"{match.suite}: if the true difference is {100 * found.mean:+.1f}, about {found.scenes_needed} initial states would "
        f"show it with 80 % power: {more} more than were played"
    )


def _print_flips(matches: Sequence[Match], console: Console, *, everything: bool) -> None:
    from ...results.contest import OVERALL

    for match in matches:
        if match.suite == OVERALL or not match.flipped:
            continue
        shown = match.flipped if everything else match.flipped[:SHOWN]
        console.print(f"\n{match.suite}: {len(match.flipped)} episodes ended differently")
        for one in shown:
            console.print(_flip(one), markup=False)
        if len(shown) < len(match.flipped):
            console.print(f"  and {len(match.flipped) - len(shown)} more: add --flips")


def _flip(one: Pair) -> str:
    return f"  won by {'B' if one.difference > 0 else 'A'}: {one.b.key if one.difference > 0 else one.a.key}"


def _several(runs: Sequence[Run], real: Sequence[Run], *, as_json: bool) -> None:
    from ...results.contest import rank
    from ..errors import InputError

    try:
        standings, p_values = rank(runs)
    except ValueError as error:
        raise InputError(str(error)) from None
    rows = [
        {
            "rank": s.rank,
            "run": s.run.name,
            "mean": s.rate.mean,
            "low": s.rate.low,
            "high": s.rate.high,
            "k": s.rate.k,
            "n": s.rate.n,
        }
        for s in standings
    ]
    agreement = _agreement(runs, real) if real else None
    if as_json:
        found = {"standings": rows, "runs": [run.name for run in runs], "p_holm": p_values, "real": agreement}
        print(json.dumps(found, indent=2))
        return
    for row in rows:
        interval = f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
        print(f"{row['rank']:3}  {100 * row['mean']:5.1f} %  ({interval}, {row['k']}/{row['n']})  {row['run']}")
    print("Equal ranks: no significant difference (paired exact tests, Holm-corrected over all pairs).")
    if agreement:
        print(f"Simulation against robot over {agreement['policies']} policies: ", end="")
        print(f"Pearson {agreement['pearson']:.3f}, mean maximum rank violation {agreement['mmrv']:.3f}")


def _agreement(runs: Sequence[Run], real: Sequence[Run]) -> dict[str, Any]:
    from ...results.ranking import mean_maximum_rank_violation, pearson
    from ..errors import InputError

    simulated, robot = ({_policy(run): _mean(run) for run in side} for side in (runs, real))
    names = [name for name in simulated if name in robot]
    if len(names) < 2:
        raise InputError(
            f"--real needs trials of at least two of the same policies; simulated were {', '.join(simulated)}; "
            f"on the robot were {', '.join(robot)}"
        )
    sides = ([simulated[name] for name in names], [robot[name] for name in names])
    return {"policies": len(names), "names": names, "pearson": pearson(*sides), "mmrv": mean_maximum_rank_violation(*sides)}


def _policy(run: Run) -> str:
    return run.records[0].policy if run.records else run.name


def _mean(run: Run) -> float:
    """Mean over suites of the mean over tasks."""
    from statistics import fmean

    from ...results.summary import suites

    return fmean(suite["mean"] for suite in suites(run))
