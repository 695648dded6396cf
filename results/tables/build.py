"""The papers' tables: published rows, measured rows beside them, and notes on their comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .. import layouts
from ..comparisons.comparison import require_comparable_groups
from ..comparisons.standings import rank
from ..conditions import Incomparable
from ..layouts import Layout
from ..statistics.intervals import Estimand
from ..statistics.ranking import above, best
from ..store.reader import StoredRun, read_run
from . import published
from .model import Cell, Row, Table
from .rows import MeasuredRow, delta, measured_rows, over_seeds

if TYPE_CHECKING:
    from rich.console import Console


ESTIMANDS: Mapping[Estimand, str] = {
    "states": "new initial states of these tasks",
    "benchmark": "exactly the benchmark's initial states (policy noise only)",
}
"""Estimand -> its description."""


def build(
    layout: Layout,
    runs: Sequence[StoredRun] = (),
    floors: Sequence[StoredRun] = (),
    *,
    anyway: bool = False,
    seeds: bool = False,
    estimand: Estimand = "states",
) -> Table:
    """The table with its published rows and one measured row for each run, set of conditions and part of the benchmark.

    Two runs add a row of their differences, unless their conditions forbid it (`anyway` overrides that). `floors` are runs of a
    blind policy: rates measured under the same conditions that are not above theirs are marked. `seeds`
    adds rows of mean ± standard deviation over seeds, as papers print them. `estimand`: what the intervals of measured rates are
    for (`intervals.stratified`).
    """
    for run in (*runs, *floors):
        require_protocol(layout, run)
    floor = [
        (replace(line, kind="floor", ranked=False), group)
        for run in floors
        for line, group in measured_rows(layout, run, estimand)
    ]
    found = [row for run in runs for row in measured_rows(layout, run, estimand)]
    measured = [_against_floors(row, floor, anyway=anyway) for row in found]
    if estimand != "states":  # published rates are for new initial states, so they are not comparable
        measured = [replace(line, ranked=False) for line in measured]
    floor_lines = [line for line, _ in floor]
    lines = [*_published(layout), *_headed("Floor: a blind policy", floor_lines), *_headed("Measured", measured)]
    lines += [line for row in found if seeds and (line := over_seeds(layout, row))]
    sides = list(dict.fromkeys(group for _, group in found))
    if len(sides) == 2 and sides[0].run is not sides[1].run:
        lines.append(delta(layout, *sides, anyway=anyway))
    return Table(
        layout, tuple(_mark_best(layout, lines)), (*_notes(layout, runs, lines, estimand), *_significance(runs, anyway=anyway))
    )


def require_protocol(layout: Layout, run: StoredRun) -> None:
    """Raise Incomparable where a table's rates belong to one protocol and the run has others in its suites."""
    protocols = sorted({record.protocol for record in run.records if record.suite in layout.suites})
    if not layout.protocol or all(protocol == layout.protocol for protocol in protocols):
        return
    fitting = [other for other in map(layouts.get, layouts.ids()) if other.protocol in protocols]
    command = f"Type: nora-bench table {fitting[0].id} {run.folder}" if fitting else f"Type: nora-bench show {run.folder}"
    raise Incomparable(
        f"table {layout.id} has rates under protocol {layout.protocol}, run {run.name} has {', '.join(protocols)}: these rates "
        f"measure different things and share no column. {command}"
    )


def _published(layout: Layout) -> Iterable[Row]:
    cells = published.cells(layout)
    delta = layout.delta.get("name")
    for model in (*published.models(layout), *((delta,) if delta else ())):
        own = {(column, metric): cell for (name, column, metric), cell in cells.items() if name == model}
        shared = set.intersection(*(set(cell.notes) for cell in own.values()))
        yield Row(
            label=model,
            kind="delta" if model == delta else "published",
            cells={key: _published_cell(layout, key[0], cell, shared) for key, cell in own.items()},
            notes=tuple(sorted(shared)),
            section=layout.sections.get(model, ""),
        )


def _published_cell(layout: Layout, name: str, cell: published.PublishedCell, shared: set[str]) -> Cell:
    known = {column.name: column for column in layout.columns}
    n = sum(part.n for part in layout.components(known[name])) if name in known else 0
    return Cell(cell.text, cell.value, tuple(note for note in cell.notes if note not in shared), n=n, effective=n)


def _headed(section: str, lines: Sequence[Row]) -> list[Row]:
    return [replace(line, section="" if number else section) for number, line in enumerate(lines)]


def _against_floors(row: MeasuredRow, floors: Sequence[MeasuredRow], *, anyway: bool) -> Row:
    """The row compared with the floors of its conditions; a note names the reason for omitting others."""
    line, group = row
    alike = []
    for floor, other in floors:
        if other.key.init_set != group.key.init_set:
            continue
        try:
            require_comparable_groups(group, other, anyway=anyway)
            alike.append(floor)
        except Incomparable as error:
            line = replace(line, notes=(*line.notes, f"not compared with that floor: {error}"))
    return _against_floor(line, alike)


def _against_floor(line: Row, floors: Sequence[Row]) -> Row:
    """The row with a note at each success rate that is not above a floor's."""

    def low(key: tuple[str, str], cell: Cell) -> bool:
        others = [floor.cells[key] for floor in floors if key in floor.cells]
        return key[1] == "success" and any(not above(_rate(cell), _highest(other)) for other in others)

    note = "not significantly above the floor"
    marked = {key: replace(cell, notes=(*cell.notes, note)) if low(key, cell) else cell for key, cell in line.cells.items()}
    return replace(line, cells=marked)


def _mark_best(layout: Layout, lines: Sequence[Row]) -> list[Row]:
    """The rows with `best` set where one policy is significantly better than every other."""
    winners: dict[int, set[tuple[str, str]]] = {}
    for column in layout.columns:
        for metric in layout.metrics:
            key = (column.name, metric.name)
            entrants = [line for line in lines if _competes(line, key)]
            winner = best([_rate(line.cells[key]) for line in entrants], higher=metric.better == "higher")
            if winner is not None:
                winners.setdefault(id(entrants[winner]), set()).add(key)
    return [
        replace(line, cells={key: replace(cell, best=key in winners[id(line)]) for key, cell in line.cells.items()})
        if id(line) in winners
        else line
        for line in lines
    ]


def _competes(line: Row, key: tuple[str, str]) -> bool:
    """Whether a cell may be marked best: published, or the whole benchmark without uncertain episodes."""
    return line.kind in ("published", "measured") and line.ranked and key in line.cells and not line.cells[key].uncertain


def _rate(cell: Cell) -> tuple[float, int]:
    return cell.value / 100, cell.effective


def _highest(cell: Cell) -> tuple[float, int]:
    """The rate with uncertain episodes as successes."""
    return (cell.value if cell.upper is None else cell.upper) / 100, cell.effective


def _notes(layout: Layout, runs: Sequence[StoredRun], lines: Sequence[Row], estimand: Estimand) -> Iterable[str]:
    yield f"Published rows: {layout.source}."
    if any(cell.best for line in lines for cell in line.cells.values()):
        yield (
            "Bold: better than every other policy of its column (Fisher's exact test against each of them at 5 %); "
            f"published rates counted on {layout.n_source}. Partial rows and rates with uncertain episodes are excluded."
        )
    if any(line.kind == "measured" and line.cells for line in lines):
        yield (
            f"Measured cells: success rate [95 % interval] for {ESTIMANDS[estimand]}; tasks weigh equally, episodes are "
            "clustered by initial state. k/n alone: fewer than ten initial states."
        )
    for run in runs:
        if run.notes:
            yield f"Run {run.name}: {len(run.notes)} faults in its files; see `nora-bench show {run.folder}`."
        others = sorted({record.suite for record in run.records} - set(layout.suites))
        if perturbed := sum(bool(record.perturbation) for record in run.records):
            yield f"Run {run.name} also has {perturbed} perturbed episodes; see `nora-bench table robust {run.folder}`."
        if others:
            yield f"Not in this table: {', '.join(others)} of run {run.name}; see `nora-bench show {run.folder}`."


def _significance(runs: Sequence[StoredRun], *, anyway: bool) -> Iterable[str]:
    """The ranking of three or more runs as letters, as in `nora-bench compare`."""
    if len(runs) < 3:
        return
    try:
        found = rank(runs, anyway=anyway)
    except ValueError as error:  # no scene in common, or Incomparable
        yield f"No ranking of the measured runs: {error}"
        return
    listed = ", ".join(f"{one.run.name} {one.letters}" for one in found.ranked)
    part = f" ({found.part})" if found.part else ""
    yield f"Significance by {found.column.name}{part}: {listed}; runs that share a letter cannot be distinguished."


def print_runs(folders: Sequence[Path | str], console: Console) -> None:
    """Print the table that fits these runs, with the published rows."""
    from .render import terminal

    runs = [read_run(folder) for folder in folders]
    records = [record for run in runs for record in run.records]
    layout = layouts.fitting({record.suite for record in records}, {record.protocol for record in records})
    terminal(build(layout, runs), console)
