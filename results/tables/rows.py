"""Measured rows of a table: one per run, set of conditions and part of the benchmark; and the difference of two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from statistics import fmean, stdev

from ...envs import suites
from ...envs.errors import SuiteError, UnknownName
from ..action_checks import action_warnings
from ..comparisons.comparison import ColumnComparison, compare_columns
from ..conditions import Conditions, Incomparable, conditions
from ..coverage import Shortfall, part_label, shortfall
from ..grouping import Group, by_suite, groups, in_column, uncertain
from ..layouts import Column, Layout
from ..rates import rate
from ..statistics.intervals import Estimand
from ..store.reader import StoredRun
from ..store.records import CAUSES, UNKEYED, EpisodeRecord
from ..trials import TABLES as TRIALS
from .cells import rate_cell
from .model import Cell, Row

BENCHMARK_PACK = "official"
"""Name of the benchmark's own asset pack; rows of other packs may not be marked best."""
MeasuredRow = tuple[Row, Group]


def measured_rows(layout: Layout, run: StoredRun, estimand: Estimand = "states") -> list[MeasuredRow]:
    """The run's rows, each with its episodes; none for conditions without a column of the table, and none for perturbed
    episodes, which are no result of the benchmark (`tables.robust`)."""
    plain = (group for group in groups(run) if not group.key.perturbation)
    return [(line, group) for group in plain for line in _rows(layout, group, estimand)]


def _rows(layout: Layout, group: Group, estimand: Estimand) -> Iterable[Row]:
    """A row for complete columns of the group, one for columns with fewer scenes, one for each partial set of tasks."""
    found = conditions(group.run, group.records)
    lacks = {column.name: shortfall(group, column) for column in layout.columns if _evaluated(group, column)}
    kinds: dict[tuple[str, bool], list[Column]] = {}
    for column in layout.columns:
        if all(part.name in lacks for part in layout.components(column)) and (kind := _kind(layout, column, lacks)) is not None:
            kinds.setdefault(kind, []).append(column)
    for columns in kinds.values():
        cells = {
            (column.name, metric.name): rate_cell(found_rate)
            for column in columns
            for metric in layout.metrics
            if layout.has(column, metric) and (found_rate := rate(group, layout, column, metric.name, estimand))
        }
        if cells:
            yield _row(
                layout, group, found, part_label([lacks[column.name] for column in columns if not column.mean_of], found), cells
            )


def _evaluated(group: Group, column: Column) -> bool:
    return any(in_column(record, column) for record in group.suites.get(column.suite, ()))


def _kind(layout: Layout, column: Column, lacks: Mapping[str, Shortfall]) -> tuple[str, bool] | None:
    """(tasks, whether scenes are missing): columns with equal values share a row. None for a mean that lacks tasks."""
    parts = [lacks[part.name] for part in layout.components(column)]
    if column.mean_of and any(part.tasks for part in parts):
        return None
    return parts[0].tasks if not column.mean_of else "", any(part.scenes for part in parts)


def _row(layout: Layout, group: Group, found: Conditions, part: str, cells: Mapping[tuple[str, str], Cell]) -> Row:
    label = group.key.policy + (f" ({', '.join(found.marks)})" if found.marks else "") + f" · {group.run.name}"
    suites = {layout.column(name).suite for name, _ in cells}
    errors = group.errors(suites)
    return Row(
        label=f"{label} ({part})" if part else label,
        kind="measured",
        cells=cells,
        notes=(f"run {group.run.name}: {'; '.join([*_conditions(group, found), *_caveats(group, suites)])}",),
        errors=sum(errors.values()),
        part=part,
        ranked=not part and not found.marks and _is_benchmark(group),
        provenance={"run": group.run.name, "folder": str(group.run.folder), "part": part, **found.to_json()},
    )


def _is_benchmark(group: Group) -> bool:
    """Whether the assets are the benchmark's own, or the scenes are real."""
    return group.key.pack == BENCHMARK_PACK or all(suite in TRIALS for suite in group.suites)


def over_seeds(layout: Layout, row: MeasuredRow) -> Row | None:
    """The row as papers print it, mean ± standard deviation of the seeds' rates.

    None for fewer than two seeds, seeds with different scenes, and uncertain episodes. The deviation reflects only the policy's
    noise on the same initial states; it is no interval.
    """
    line, group = row
    by_seed: dict[int, list[EpisodeRecord]] = {}
    for record in group.records:
        by_seed.setdefault(record.seed, []).append(record)
    scenes = {frozenset(record.scene for record in own) for own in by_seed.values()}
    if len(by_seed) < 2 or len(scenes) > 1 or any(map(uncertain, group.records)):
        return None
    sides = [replace(group, records=own, suites=by_suite(own), counted={}) for own in by_seed.values()]
    cells = {}
    for name, metric in line.cells:
        found = [one for side in sides if (one := rate(side, layout, layout.column(name), metric))]
        if len(found) == len(sides):
            values = [100 * one.low.mean for one in found]
            cells[name, metric] = Cell(
                f"{fmean(values):.1f} ± {stdev(values):.1f}", fmean(values), n=sum(one.low.n for one in found)
            )
    label = f"{line.label}: mean ± std over {len(by_seed)} seeds"
    return Row(
        label, "seeds", cells, ("standard deviation between seeds on the same initial states, not an interval",), ranked=False
    )


def _caveats(group: Group, suites: Iterable[str]) -> Iterable[str]:
    """Notes on errors, restarts, losses by the policy, invalid action chunks and repetitions."""
    records = [record for suite in suites for record in group.suites.get(suite, ())]
    if errors := group.errors(suites):
        listed = ", ".join(f"{count} due to the {CAUSES.get(name, name)}" for name, count in errors.items())
        total = sum(errors.values())
        yield f"{total} episodes ended in an error ({listed}): the cell shows both bounds, errors as failures and as successes"
    if lost := sum(record.success is not None and record.policy_losses > 0 for record in records):
        yield f"{lost} episodes were lost by the policy and restarted: their successes count only in the upper bound"
    if again := sum(record.attempts > 1 for record in records):
        yield f"{again} episodes were started more than once"
    answers = sum((Counter(record.chunk_status) for record in records), Counter())
    if invalid := answers.total() - answers["ok"]:
        share = f"{100 * invalid / answers.total():.0f} %"
        yield f"{invalid} of {answers.total()} action chunks ({share}) were no valid answer (malformed, cut or out of range)"
    if repeats := sum(group.repeats.get(suite, 0) for suite in suites):
        yield f"{repeats} episodes repeat a trajectory under another seed: they count, but add no information on their state"


def _conditions(group: Group, found: Conditions) -> Iterable[str]:
    """Notes on the conditions of a measured row."""
    version = f" v{found.protocol_version}" if found.protocol_version is not None else ""
    yield f"protocol {', '.join(found.protocol)}{version}"
    if group.key.pack:
        yield f"{_pack(group.key.pack)} ({group.key.fingerprint})"
    if imported := group.run.metadata.imported:
        yield f"imported from {imported.get('tool')} ({imported.get('file')}): not replayable, assets not stated"
    if group.key.init_set.startswith(UNKEYED):
        yield "initial states not known: never paired with other runs"
    elif group.key.init_set:
        yield f"{group.key.init_set} initial states, which no published evaluation used"
    if found.backend:
        yield f"backend {', '.join(found.backend)}"
        yield from dict.fromkeys(note for suite in group.suites for note in _backend_notes(suite, found.backend))
    if renderer := found.gl.get("renderer"):
        yield f"rendered by {renderer}"
    yield from _renderers(group)
    if len(found.seeds) > 1:
        yield f"{len(found.seeds)} seeds"
    if found.machines > 1:
        yield f"run under {found.machines} different sets of conditions (see `nora-bench show`)"
    if found.stopped:
        until = group.run.metadata.until
        yield f"stopped early ({found.stopped})"
        if until and until["stop"]:
            bounds = f"{100 * until['low']:.1f} to {100 * until['high']:.1f}"
            yield f"the interval over all tasks that is valid under this rule is {bounds}"
    yield from action_warnings(group.run, group.records)
    if "untrained" in found.marks:
        yield "untrained weights: not the result of a model"
    if "privileged" in found.marks:
        yield "uses the simulator's state, unavailable on a robot"


def _backend_notes(suite: str, backends: Iterable[str]) -> Iterable[str]:
    """The suite's remarks on those backends; none for trials on a robot and suites that are no longer installed."""
    with suppress(SuiteError, UnknownName):
        notes = suites.get(suite).backend_notes
        yield from [notes[backend] for backend in backends if backend in notes]


def _renderers(group: Group) -> Iterable[str]:
    """Note on the recorded renderers, with their tasks if there are several."""
    ways: dict[str, dict[str, None]] = {}
    for record in group.records:
        if record.renderer:
            ways.setdefault(record.renderer, {})[record.task] = None
    if len(ways) == 1:
        yield f"images by {next(iter(ways))}"
    elif ways:
        yield "images by " + ", ".join(f"{way} ({', '.join(tasks)})" for way, tasks in ways.items())


def _pack(name: str) -> str:
    return "stand-in assets, not the benchmark's images" if name == "standin" else f"{name} assets"


def delta(layout: Layout, a: Group, b: Group, *, anyway: bool = False) -> Row:
    """The row of differences, second minus first, with the p-values and verdicts of `nora-bench compare`.

    For incomparable runs, a row without cells whose note names the reason.
    """
    line = Row("Δ measured", "delta", {})
    try:
        columns, differing = compare_columns(layout, a, b, anyway=anyway)
    except Incomparable as error:
        return replace(line, notes=(f"no difference: {error}",))
    paired = all(column.paired for column in columns.values())
    test = "exact test paired by initial state" if paired else "not paired: exact test of two independent samples per task"
    note = (
        f"second measured row minus the first, simultaneous 95 % intervals over its columns; {test}, "
        "p corrected over the columns (Holm)"
    )
    if differing:
        note += f"; besides the policies, these differ: {'; '.join(one.text for one in differing)}"
    if not columns:
        return replace(line, notes=("no difference: the runs have no initial state in common",))
    cells = {key: _delta_cell(column) for key, column in columns.items()}
    return replace(line, label=line.label if paired else f"{line.label} (not paired)", cells=cells, notes=(note,))


def _delta_cell(column: ColumnComparison) -> Cell:
    found = column.difference
    low, mean, high = (100 * value for value in (found.low, found.mean, found.high))
    text = f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"
    notes = (column.part,) if column.part else ()
    return Cell(text, mean, notes, low, high, n=found.pairs or found.scenes, states=found.scenes, p=column.p)
