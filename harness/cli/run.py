"""`nora-bench run`: options in, episodes played, a table at the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ..config import HOW, RunConfig, parse, read_file
from ..errors import ExitCode, InputError, Interrupted, exit_code

if TYPE_CHECKING:
    from ..replay.video import Filmed

PREFIX = "NORA_BENCH_"


def _option(name: str, text: str, default: str = "", **more: Any) -> Any:
    """An option `--name` that can also be set as NORA_BENCH_NAME."""
    shown = {"show_default": default} if default else {"show_default": False}
    return typer.Option(f"--{name}", envvar=PREFIX + name.upper().replace("-", "_"), help=text, **shown, **more)


def run(
    suite: Annotated[list[str] | None, _option("suite", "Suite or group, or module:attribute; can be given again.")] = None,
    tasks: Annotated[str | None, _option("tasks", "Task ids or names, like 0,3-5.", "all")] = None,
    episodes: Annotated[str | None, _option("episodes", "Episodes per task and seed.", "all initial states")] = None,
    init_states: Annotated[str | None, _option("init-states", "Initial states, like 40-49.", "all")] = None,
    seeds: Annotated[str | None, _option("seeds", "How many, or which: 3 (0,1,2) or 7,8,9.", "1")] = None,
    policy: Annotated[str | None, _option("policy", "Name, module:Class or file.py:Class.", "nora-1.5-nano")] = None,
    policy_arg: Annotated[list[str] | None, _option("policy-arg", "name=value for the policy; can be given again.")] = None,
    protocol: Annotated[str | None, _option("protocol", "Evaluation protocol.", "the suite's own")] = None,
    workers: Annotated[str | None, _option("workers", "Worker processes, or auto: by cores and memory.", "auto")] = None,
    executor: Annotated[str | None, _option("executor", "local, or ray: on a cluster.", "local")] = None,
    policy_replicas: Annotated[str | None, _option("policy-replicas", "ray: copies of the policy.", "1")] = None,
    policy_gpus: Annotated[str | None, _option("policy-gpus", "ray: GPUs for each copy, like 0.5.", "auto")] = None,
    max_steps: Annotated[str | None, _option("max-steps", "Control steps per episode.", "the protocol's")] = None,
    assets: Annotated[str | None, _option("assets", "auto, official, standin, or a folder.", "auto")] = None,
    backend: Annotated[str | None, _option("backend", "Which of the suite's backends plays.", "its first")] = None,
    python: Annotated[list[str] | None, _option("python", "family=/path/to/python for its workers.", "this one")] = None,
    out: Annotated[str | None, _option("out", "Folder of the run; never overwritten.", "a new one in runs/")] = None,
    timeout: Annotated[str | None, _option("timeout", "Seconds until a silent worker is replaced.", "300")] = None,
    retries: Annotated[str | None, _option("retries", "Times an episode is played again after its worker was lost.", "2")] = None,
    until: Annotated[str | None, _option("until", "Stop when clear: 'width<5' (points) or 'A>runs/B'.", "all episodes")] = None,
    order: Annotated[str | None, _option("order", "tasks: one after the other; rounds: in turns.", "tasks")] = None,
    video: Annotated[str | None, _option("video", "Film when it is over: none, failures or all.", "none")] = None,
    no_policy_check: Annotated[
        bool, _option("no-policy-check", "Do not examine at the start whether the policy mixes episodes up.")
    ] = False,
    config: Annotated[Path | None, _option("config", "YAML with these fields, or a run's run.json; options win.")] = None,
    resume: Annotated[bool, _option("resume", "Go on with the run in --out.")] = False,
    dry_run: Annotated[bool, _option("dry-run", "Print the plan and what it costs; play nothing.")] = False,
    as_json: Annotated[bool, _option("json", "One JSON object on stdout at the end; all else on stderr.")] = False,
) -> None:
    """Play episodes of a suite with a policy and keep every one of them.

    Example: `nora-bench run --suite libero_goal --tasks 0,3-5 --episodes 10 --policy random`

    Ends with 0 when all went well, 1 when episodes ended in errors or replayed differently for a video, 2 for bad input,
    3 when this machine lacks something, 4 when the policy failed, 130 when stopped. What had finished is kept and
    `--resume` goes on.
    """
    given = {
        "suite": suite or None,
        "tasks": tasks,
        "episodes": episodes,
        "init_states": init_states,
        "seeds": seeds,
        "policy": policy,
        "policy_arg": policy_arg or None,
        "protocol": protocol,
        "workers": workers,
        "executor": executor,
        "policy_replicas": policy_replicas,
        "policy_gpus": policy_gpus,
        "max_steps": max_steps,
        "assets": assets,
        "backend": backend,
        "python": python or None,
        "out": out,
        "timeout": timeout,
        "retries": retries,
        "until": until,
        "order": order,
        "video": video,
    }
    given["policy_check"] = False if no_policy_check else None
    passed = {name: value for name, value in given.items() if value is not None}
    console = Console(stderr=as_json)
    if dry_run:
        show_plan(_configured(passed, config, resume), console, resume=resume, as_json=as_json)
        return
    raise typer.Exit(play(_configured(passed, config, resume), passed, console, resume=resume, as_json=as_json))


def _configured(passed: dict[str, Any], file: Path | None, resume: bool) -> RunConfig:
    """The configuration that options, file and, on a resumed run, its folder make together."""
    if not resume:
        return parse({**(read_file(file) if file else {}), **passed})
    if "out" not in passed:
        raise InputError("--resume needs the run's folder. Type: nora-bench run --resume --out runs/NAME")
    from ...results.store.reader import read_run

    kept = dict(read_run(passed["out"]).metadata.config or {})
    before, now = parse(kept), parse({**kept, **(read_file(file) if file else {}), **passed})
    for name, value in now.to_json().items():
        if name not in HOW and value != before.to_json()[name]:
            raise InputError(
                f"--{name.replace('_', '-')} would make {passed['out']} another run ({before.to_json()[name]} before); "
                "leave it away to resume, or start a new run with another --out"
            )
    return now


def show_plan(config: RunConfig, console: Console, *, resume: bool, as_json: bool) -> None:
    """Print what a run would be, or what is left of one, and what it would cost."""
    from ...results.store.reader import read_run
    from ..lifecycle import repeated
    from ..planning.estimate import estimate, require_room
    from ..planning.resolve import prepare

    prepared = prepare(config)
    plan = prepared.left(read_run(str(config.out)).records if resume else ())
    found = estimate(plan, prepared.stage, prepared.policy, prepared.workers, config.max_steps, Path(config.out or "runs"))
    smallest = _smallest(prepared)
    if as_json:
        said = {
            "config": config.to_json(),
            "protocol": prepared.stage.protocol.name,
            "plan": found.to_json(),
            "smallest": smallest,
        }
        print(json.dumps(said))
    else:
        lines = [
            ("policy", config.policy),
            ("protocol", prepared.stage.protocol.name),
            ("assets", prepared.assets.name),
            *found.lines(),
            ("can show", _can_show(smallest)),
            *([("until", f"{config.until}; all of the above if it never holds")] if config.until else []),
        ]
        for name, text in lines:
            _say(console, f"{name:>15}  {text}")
        if found.repeated:
            _say(console, f"{'repeats':>15}  {repeated(found.repeated)}")
    require_room(found)


BASE = 0.9
"""Success rate of the weaker policy for which a dry run says what difference could be shown."""


def _smallest(prepared: Any) -> dict[str, float | None]:
    """Column of the table -> the smallest difference in points, from 90 % on, that a comparison of two such runs shows."""
    from ...results.statistics import sample_size
    from ...results.statistics.study_plan import LIKENESS
    from .plan import columns_of

    likeness = LIKENESS if prepared.policy.stochastic else 1.0
    _, columns = columns_of(prepared.stage, prepared.plan.episodes, len({spec.seed for spec in prepared.plan.episodes}))
    level = sample_size.LEVEL / max(1, len(columns))
    found = {c.name: sample_size.smallest_difference(c.states, BASE, c.repeats, likeness, level) for c in columns}
    return {name: None if one is None else round(100 * one, 2) for name, one in found.items()}


def _can_show(smallest: Mapping[str, float | None]) -> str:
    listed = ", ".join(f"{name} {'none' if points is None else f'{points:.1f}'}" for name, points in smallest.items())
    return f"differences from {listed} points, at 80 % power from a rate of 90 % (others: nora-bench plan)"


def play(config: RunConfig, passed: dict[str, Any], console: Console, *, resume: bool, as_json: bool) -> int:
    """Play the run to its end; the exit code."""
    from .. import lifecycle
    from ..planning.resolve import prepare
    from ..replay import video

    prepared = prepare(config)
    gl = lifecycle.draw_with(prepared)
    if config.video != "none":
        video.require(prepared.stage.suites[0])
    store = lifecycle.reopen(prepared, Path(str(config.out))) if resume else lifecycle.create(prepared, passed)
    filmed = None
    with store:
        for line in (*store.notes, *lifecycle.announcement(prepared, store)):
            _say(console, line)
        try:
            run_json = lifecycle.play(prepared, store, gl, console)
            filmed = _film(store.folder, config.video, console)
        except Exception as error:
            code = exit_code(error)
            if code is None:
                raise
            _explain(error, code, lifecycle.resume_command(store.folder))
            run_json = store.metadata.to_json()
        else:
            code = int(ExitCode.ISSUES_FOUND if run_json["counts"]["errors"] or (filmed and filmed.wrong) else ExitCode.OK)
        said = {**run_json, "videos": filmed.to_json()} if filmed else run_json
        _report(store.folder, said, console, code, as_json=as_json)
    return code


def _film(folder: Path, which: str, console: Console) -> Filmed | None:
    """Film the episodes asked for and say how that went; None where none are."""
    from ...results.store.reader import read_run
    from ..execution.signals import stop_signals
    from ..replay.video import film_run

    if which == "none":
        return None
    try:
        with stop_signals() as stop:
            filmed = film_run(read_run(folder), which, lambda line: _say(console, line), stop)
    except KeyboardInterrupt:
        raise Interrupted("stopped while filming") from None
    wrong = f"; not filmed, because the replay is not the record: {len(filmed.wrong)}" if filmed.wrong else ""
    _say(console, f"videos: {filmed.written} new in {filmed.folder}{wrong}")
    return filmed


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _explain(error: Exception, code: int, resume: str) -> None:
    """Say what ended the run, and how to go on where going on can help: bad input stays bad."""
    print(f"nora-bench: {error}\nNothing that had finished is lost.", file=sys.stderr)
    if code != ExitCode.BAD_INPUT:
        print(f"To go on, type: {resume}", file=sys.stderr)


def _report(folder: Path, run_json: dict[str, Any], console: Console, code: int, *, as_json: bool) -> None:
    """The end of a run: its table, where it is, and one JSON object if asked for."""
    from ...results import layouts
    from ...results.action_checks import action_warnings
    from ...results.store.reader import read_run
    from ...results.summary import caveats, counts
    from ...results.tables.build import print_runs
    from ..planning.early_stopping import conclusion

    suites = set(run_json["suites"])
    if code in (ExitCode.OK, ExitCode.ISSUES_FOUND) and suites & set(layouts.fitting(suites).suites):
        print_runs([folder], console)
    run = read_run(folder)
    for line in caveats(counts(run)):
        _say(console, f"episodes: {line}")
    for line in action_warnings(run, run.records):
        _say(console, f"warning: {line}")
    if run_json.get("until"):
        _say(console, conclusion(run_json["until"]))
    _say(console, f"run: {folder}")
    if as_json:
        print(json.dumps({"run": str(folder), "exit_code": code, **run_json}))
