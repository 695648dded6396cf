"""`nora-bench run`: run the episodes of a configuration and print its table."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ...envs.errors import ExitCode, InputError, Interrupted, exit_code
from ..config import EXECUTION_ONLY, RunConfig, parse, read_file, recorded_config
from .options import option, with_options_of

if TYPE_CHECKING:
    from ..replay.video import VideoSummary


@with_options_of(RunConfig)
def run(
    passed: dict[str, Any],
    *,
    config: Annotated[
        Path | None, option("config", "YAML with these fields, or a run's run.json; command-line options take precedence.")
    ] = None,
    resume: Annotated[bool, option("resume", "Resume the run in --out.")] = False,
    dry_run: Annotated[bool, option("dry-run", "Print the plan and its estimated cost; run nothing.")] = False,
    as_json: Annotated[bool, option("json", "One JSON object on stdout at the end; all else on stderr.")] = False,
) -> None:
    """Run episodes of a suite with a policy and record each one.

    Example: `nora-bench run --suite libero_goal --tasks 0,3-5 --episodes 10 --policy random`

    Exit code 0: success; 1: episodes ended in errors, or replayed differently for a video; 2: bad input; 3: missing
    requirement (dependency, assets, disk, memory); 4: the policy failed; 130: interrupted. Finished episodes are kept, and
    `--resume` continues.
    """
    console = Console(stderr=as_json)
    if dry_run:
        show_plan(_configured(passed, config, resume), console, resume=resume, as_json=as_json)
        return
    raise typer.Exit(execute(_configured(passed, config, resume), passed, console, resume=resume, as_json=as_json))


def _configured(passed: dict[str, Any], file: Path | None, resume: bool) -> RunConfig:
    """The configuration from options, file and, for a resumed run, its folder."""
    if not resume:
        return parse({**(read_file(file) if file else {}), **passed})
    if "out" not in passed:
        raise InputError("--resume needs the run's folder. Type: nora-bench run --resume --out runs/NAME", option="--resume")
    from ...results.store.reader import read_run

    kept = recorded_config(read_run(passed["out"]).metadata.config, Path(passed["out"]))
    before, now = parse(kept), parse({**kept, **(read_file(file) if file else {}), **passed})
    for name, value in now.to_json().items():
        stored = before.to_json()[name]
        if name not in EXECUTION_ONLY and value != stored:
            flag = "--" + name.replace("_", "-")
            message = f"{flag} differs from the stored run ({stored}). Omit it to resume, or choose another --out"
            raise InputError(message, option=flag, value=value)
    if now.control and not before.control:
        message = "--control cannot be added to a run that has its own controls. Omit it to resume, or choose another --out"
        raise InputError(message, option="--control", value=now.control)
    return now


def _recorded_backend(config: RunConfig, *, resume: bool) -> str:
    """The backend of the run to resume; empty for a new run."""
    from ...results.store.reader import read_run

    return (read_run(str(config.out)).metadata.backend or "") if resume else ""


def show_plan(config: RunConfig, console: Console, *, resume: bool, as_json: bool) -> None:
    """Print the plan of a run, or the remaining episodes of a stored one, and its estimated cost."""
    from ...results.store.reader import read_run
    from ..lifecycle import excluded, repeated
    from ..planning.estimate import estimate, require_room
    from ..planning.resolve import resolve_run

    resolved = resolve_run(config, recorded_backend=_recorded_backend(config, resume=resume))
    plan = resolved.remaining(read_run(str(config.out)).records if resume else ())
    cost = estimate(plan, resolved.setup, resolved.policy, resolved.workers, config.max_steps, Path(config.out or "runs"))
    smallest, pairs = _smallest(resolved), _pairs(resolved)
    if as_json:
        shown = {
            "config": config.to_json(),
            "protocol": resolved.setup.protocol.name,
            "plan": asdict(cost),
            "smallest": smallest,
            **({"pairs": pairs} if pairs else {}),
        }
        print(json.dumps(shown))
    else:
        lines = [
            ("policy", config.policy),
            ("protocol", resolved.setup.protocol.name),
            ("assets", resolved.assets.name),
            *cost.lines(),
            *([("detectable", _detectable(smallest))] if smallest or not pairs else []),
            *(("perturbed", line) for line in _detectable_effects(pairs)),
            *([("until", f"{config.until}; all of the above if it is never met")] if config.until else []),
        ]
        for name, text in lines:
            _say(console, f"{name:>15}  {text}")
        if cost.repeated:
            _say(console, f"{'repeats':>15}  {repeated(cost.repeated)}")
        for line in excluded(plan.excluded):
            _say(console, f"{'excluded':>15}  {line}")
    require_room(cost)


BASE = 0.9
"""Success rate of the weaker policy for the smallest detectable difference of a dry run."""


def _smallest(resolved: Any) -> dict[str, float | None]:
    """Column of the table -> smallest difference in points, from 90 % on, that a comparison of two such runs can detect."""
    from ...results.comparisons import sample_size
    from ...results.comparisons.study_plan import LIKENESS
    from .plan import columns_of

    likeness = LIKENESS if resolved.policy.stochastic else 1.0
    plain = [spec for spec in resolved.plan.episodes if not spec.perturbation]
    _, columns = columns_of(resolved.setup, plain, len({spec.seed for spec in plain}))
    level = sample_size.LEVEL / max(1, len(columns))
    smallest = {c.name: sample_size.smallest_difference(c.states, BASE, c.repeats, likeness, level) for c in columns}
    return {name: None if share is None else round(100 * share, 2) for name, share in smallest.items()}


def _pairs(resolved: Any) -> dict[str, dict[str, Any]]:
    """Perturbation -> its `pairs` of an episode and its control, and the `smallest` difference in points that they can detect."""
    from collections import Counter

    from ...results.comparisons.sample_size import smallest_paired_difference

    counted = Counter(spec.perturbation for spec in resolved.plan.episodes if spec.perturbation)
    found = {name: (count, smallest_paired_difference(count)) for name, count in counted.items()}
    return {
        name: {"pairs": count, "smallest": None if share is None else round(100 * share, 2)}
        for name, (count, share) in found.items()
    }


def _detectable_effects(pairs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A line per number of pairs, with the perturbations that have so many."""
    alike: dict[tuple[int, float | None], list[str]] = {}
    for name, one in pairs.items():
        alike.setdefault((one["pairs"], one["smallest"]), []).append(name)
    for (count, smallest), names in alike.items():
        shown = "too few for any difference" if smallest is None else f"differences from {smallest:.1f} points"
        yield f"{', '.join(names)}: {count} pairs each, {shown} (one alone, at 80 % power, if 15 % of the pairs end differently)"


def _detectable(smallest: Mapping[str, float | None]) -> str:
    listed = ", ".join(f"{name} {points:.1f}" for name, points in smallest.items() if points is not None)
    lacking = ", ".join(name for name, points in smallest.items() if points is None)
    parts = [f"differences from {listed} points"] if listed else []
    if lacking or not smallest:
        parts.append(f"too few episodes for any difference{f' in {lacking}' if lacking else ''}")
    return f"{'; '.join(parts)}, at 80 % power from a rate of 90 % (others: nora-bench plan)"


def execute(config: RunConfig, passed: dict[str, Any], console: Console, *, resume: bool, as_json: bool) -> int:
    """Execute the run; return the exit code."""
    from .. import lifecycle
    from ..planning.resolve import resolve_run
    from ..replay import video

    resolved = resolve_run(config, recorded_backend=_recorded_backend(config, resume=resume))
    gl = lifecycle.find_render_backend(resolved)
    if config.video != "none":
        video.require(resolved.setup.suites[0])
    store = lifecycle.reopen(resolved, Path(str(config.out))) if resume else lifecycle.create(resolved, passed)
    summary = None
    with store:
        for line in (*store.notes, *lifecycle.announcement(resolved, store)):
            _say(console, line)
        try:
            run_json = lifecycle.run_session(resolved, store, gl, console)
            summary = _render(store.folder, config.video, console)
        except Exception as error:
            code = exit_code(error)
            if code is None:
                raise
            _explain(error, code, lifecycle.resume_command(store.folder))
            run_json = store.metadata.to_json()
        else:
            code = int(ExitCode.ISSUES_FOUND if run_json["counts"]["errors"] or (summary and summary.failed) else ExitCode.OK)
        shown = {**run_json, "videos": summary.to_json()} if summary else run_json
        _report(store.folder, shown, console, code, as_json=as_json)
    return code


def _render(folder: Path, which: str, console: Console) -> VideoSummary | None:
    """Render the selected episodes and print a summary; None where none are selected."""
    from ...results.store.reader import read_run
    from ..execution.signals import stop_signals
    from ..replay.video import render_videos

    if which == "none":
        return None
    try:
        with stop_signals() as stop:
            summary = render_videos(read_run(folder), which, lambda line: _say(console, line), stop)
    except KeyboardInterrupt:
        raise Interrupted("stopped while rendering videos") from None
    failed = f"; not rendered because the replay differs: {len(summary.failed)}" if summary.failed else ""
    _say(console, f"videos: {summary.written} new in {summary.folder}{failed}")
    return summary


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _explain(error: Exception, code: int, resume: str) -> None:
    """Print what ended the run, and the command that resumes it, except after bad input."""
    print(f"nora-bench: {error}\nFinished episodes are kept.", file=sys.stderr)
    if code != ExitCode.BAD_INPUT:
        print(f"To resume, type: {resume}", file=sys.stderr)


def _report(folder: Path, run_json: dict[str, Any], console: Console, code: int, *, as_json: bool) -> None:
    """Print the end of a run: its table, its folder, and one JSON object where asked for."""
    from ...results import layouts
    from ...results.action_checks import action_warnings
    from ...results.store.reader import read_run
    from ...results.summary import caveats, counts
    from ...results.tables.build import print_runs
    from ..conventions.offer import offers
    from ..planning.early_stopping import summary

    suites = set(run_json["suites"])
    if code in (ExitCode.OK, ExitCode.ISSUES_FOUND) and suites & set(layouts.fitting(suites).suites):
        print_runs([folder], console)
    run = read_run(folder)
    for line in caveats(counts(run)):
        _say(console, f"episodes: {line}")
    for line in action_warnings(run, run.records):
        _say(console, f"warning: {line}")
    if run_json.get("until"):
        _say(console, summary(run_json["until"]))
    for line in offers(run_json, run.records):
        _say(console, line)
    _say(console, f"run: {folder}")
    if as_json:
        print(json.dumps({"run": str(folder), "exit_code": code, **run_json}))
