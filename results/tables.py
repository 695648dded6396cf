"""The papers' tables: published rows, measured rows beside them, and what a reader must know to compare them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import layouts, published
from .conditions import Incomparable
from .layouts import Layout
from .ranking import above, best
from .reading import Run, load_run
from .stats import Estimand

if TYPE_CHECKING:
    from rich.console import Console

    from .measured import Row


ESTIMANDS: Mapping[Estimand, str] = {
    "states": "new initial states of these tasks",
    "benchmark": "exactly the benchmark's initial states, of which only the policy's noise is unknown",
}
"""What the interval of a measured rate is for."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of a table; percent."""

    text: str
    """As printed in the paper, or the measured rate with its interval, or k/n alone."""
    value: float
    """The rate; where errors leave it open, with all of them counted as failures."""
    notes: tuple[str, ...] = ()
    low: float | None = None
    """95 % bounds, for measured cells."""
    high: float | None = None
    k: int | None = None
    """Successes, for measured rates."""
    n: int = 0
    """Episodes behind it; for published rates, different episodes as the paper tells."""
    effective: int = 0
    """Independent episodes that would say as much."""
    states: int = 0
    """Initial states behind it, for measured cells."""
    uncertain: int = 0
    """Episodes among them that could have ended either way: errors, and successes after the policy had lost them before."""
    upper: float | None = None
    """The rate with all of those counted as successes; None where there are none."""
    p: float | None = None
    """Corrected p-value of a measured difference."""
    best: bool = False
    """Whether it is better than every other of its column by more than chance explains."""


@dataclass(frozen=True, slots=True)
class Line:
    """One policy of a table: a row, or a group of columns where policies are columns."""

    label: str
    kind: str
    """`published`, `measured`, `seeds` (mean ± standard deviation), `floor` (a policy that does not look) or `delta`."""
    cells: Mapping[tuple[str, str], Cell]
    """(item, metric) -> cell; absent where there is no number."""
    notes: tuple[str, ...] = ()
    section: str = ""
    """Heading printed above it."""
    errors: int = 0
    """Episodes that ended in an error."""
    part: str = ""
    """What of the benchmark was played, where it was not the whole."""
    ranked: bool = True
    """Whether it may be called best: only the whole benchmark with its own assets, and a policy without marks."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Run and conditions of a measured row (`results.conditions`)."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, ready to be rendered."""

    layout: Layout
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = field(default=())
    """What holds for all of it."""


def build(
    layout: Layout,
    runs: Sequence[Run] = (),
    floors: Sequence[Run] = (),
    *,
    anyway: bool = False,
    seeds: bool = False,
    estimand: Estimand = "states",
) -> Table:
    """The table with its published rows and one measured row for each run, set of conditions and part of the benchmark.

    Two runs bring a row of their differences, unless their conditions forbid it (`anyway` shows it all the same). `floors` are
    runs of a policy that does not look: rates measured under the same conditions that are not above theirs are marked. `seeds`
    adds rows of mean ± standard deviation over seeds, as papers print them. `estimand`: what the intervals of measured rates are
    for (`stats.stratified`).
    """
    from .measured import delta, over_seeds, rows

    floor = [(replace(line, kind="floor", ranked=False), group) for run in floors for line, group in rows(layout, run, estimand)]
    found = [row for run in runs for row in rows(layout, run, estimand)]
    measured = [_against_floors(row, floor, anyway=anyway) for row in found]
    if estimand != "states":  # how published rates and other runs vary over initial states is not asked any more
        measured = [replace(line, ranked=False) for line in measured]
    floor_lines = [line for line, _ in floor]
    lines = [*_published(layout), *_headed("Floor: a policy that does not look", floor_lines), *_headed("Measured", measured)]
    lines += [line for row in found if seeds and (line := over_seeds(layout, row))]
    sides = list(dict.fromkeys(group for _, group in found))
    if len(sides) == 2 and sides[0].run is not sides[1].run:
        lines.append(delta(layout, *sides, anyway=anyway))
    return Table(
        layout, tuple(_mark_best(layout, lines)), (*_notes(layout, runs, lines, estimand), *_significance(runs, anyway=anyway))
    )


def _published(layout: Layout) -> Iterable[Line]:
    cells = published.cells(layout)
    delta = layout.delta.get("name")
    for model in (*published.models(layout), *((delta,) if delta else ())):
        own = {(item, metric): cell for (name, item, metric), cell in cells.items() if name == model}
        shared = set.intersection(*(set(cell.notes) for cell in own.values()))
        yield Line(
            label=model,
            kind="delta" if model == delta else "published",
            cells={key: _published_cell(layout, key[0], cell, shared) for key, cell in own.items()},
            notes=tuple(sorted(shared)),
            section=layout.sections.get(model, ""),
        )


def _published_cell(layout: Layout, name: str, cell: published.Printed, shared: set[str]) -> Cell:
    known = {item.name: item for item in layout.items}
    n = sum(part.n for part in layout.parts(known[name])) if name in known else 0
    return Cell(cell.text, cell.value, tuple(note for note in cell.notes if note not in shared), n=n, effective=n)


def _headed(section: str, lines: Sequence[Line]) -> list[Line]:
    return [replace(line, section="" if number else section) for number, line in enumerate(lines)]


def _against_floors(row: Row, floors: Sequence[Row], *, anyway: bool) -> Line:
    """The row's line, held against those floors that were played under its conditions; a note says why not against others."""
    from .contest import check

    line, group = row
    alike = []
    for floor, other in floors:
        try:
            check(group, other, anyway=anyway)
            alike.append(floor)
        except Incomparable as error:
            line = replace(line, notes=(*line.notes, f"not held against that floor: {error}"))
    return _against_floor(line, alike)


def _against_floor(line: Line, floors: Sequence[Line]) -> Line:
    """The line with a note at each success rate that is not above a floor's."""

    def low(key: tuple[str, str], cell: Cell) -> bool:
        others = [floor.cells[key] for floor in floors if key in floor.cells]
        return key[1] == "success" and any(not above(_rate(cell), _highest(other)) for other in others)

    note = "not above the floor by more than chance explains"
    marked = {key: replace(cell, notes=(*cell.notes, note)) if low(key, cell) else cell for key, cell in line.cells.items()}
    return replace(line, cells=marked)


def _mark_best(layout: Layout, lines: Sequence[Line]) -> list[Line]:
    """The lines with `best` set where one policy beats every other by more than chance explains."""
    winners: dict[int, set[tuple[str, str]]] = {}
    for item in layout.items:
        for metric in layout.metrics:
            key = (item.name, metric.name)
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


def _competes(line: Line, key: tuple[str, str]) -> bool:
    """Whether a cell may be called best: a published one, or the whole of the benchmark without an open episode."""
    return line.kind in ("published", "measured") and line.ranked and key in line.cells and not line.cells[key].uncertain


def _rate(cell: Cell) -> tuple[float, int]:
    return cell.value / 100, cell.effective


def _highest(cell: Cell) -> tuple[float, int]:
    """The rate that uncertain episodes allow at most."""
    return (cell.value if cell.upper is None else cell.upper) / 100, cell.effective


def _notes(layout: Layout, runs: Sequence[Run], lines: Sequence[Line], estimand: Estimand) -> Iterable[str]:
    yield f"Published rows: {layout.source}."
    if any(cell.best for line in lines for cell in line.cells.values()):
        yield (
            "Bold: better than every other policy of its column (Fisher's exact test against each of them at 5 %); "
            f"published rates counted on {layout.n_source}. Parts of the benchmark and rates left open by errors do not compete."
        )
    if any(line.kind == "measured" and line.cells for line in lines):
        yield (
            f"Measured cells: success rate [95 % interval] for {ESTIMANDS[estimand]}; tasks weigh equally, and the "
            "episodes of one initial state count as alike as they are. k/n alone: fewer than ten initial states."
        )
    for run in runs:
        if run.notes:
            yield f"Run {run.name}: {len(run.notes)} faults in its files; see `nora-bench show {run.folder}`."
        others = sorted({record.suite for record in run.records} - set(layout.suites))
        if others:
            yield f"Run {run.name} also has {', '.join(others)}, not in this table; see `nora-bench show {run.folder}`."


def _significance(runs: Sequence[Run], *, anyway: bool) -> Iterable[str]:
    """Groups of three or more runs that cannot be told apart, as letters: those of `nora-bench compare`."""
    from .standings import rank

    if len(runs) < 3:
        return
    try:
        found = rank(runs, anyway=anyway)
    except ValueError as error:  # no scene in common, or Incomparable
        yield f"No ranking of the measured runs: {error}"
        return
    listed = ", ".join(f"{one.run.name} {one.letters}" for one in found.standings)
    part = f" ({found.part})" if found.part else ""
    yield f"Significance by {found.item.name}{part}: {listed}; runs that share a letter cannot be told apart."


def print_runs(folders: Sequence[Path | str], console: Console) -> None:
    """Print the table that fits these runs, published rows beside them."""
    from .render import terminal

    runs = [load_run(folder) for folder in folders]
    layout = layouts.fitting({record.suite for run in runs for record in run.records})
    terminal(build(layout, runs), console)
