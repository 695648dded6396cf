"""The papers' tables: published rows, measured rows beside them, and what a reader must know to compare them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from . import layouts, published
from .layouts import Layout
from .outcomes import Group, clusters, estimate, groups
from .reading import Run, load_run
from .stats import Estimate

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of a table."""

    text: str
    """As printed in the paper, or the measured mean; percent."""
    value: float
    """Percent."""
    notes: tuple[str, ...] = ()
    estimate: Estimate | None = None
    """For measured cells."""
    n: int = 0
    """Different episodes behind it."""
    best: bool = False
    """Whether it is better than every other in its column by more than chance explains."""


@dataclass(frozen=True, slots=True)
class Line:
    """One policy of a table: a row, or a group of columns where policies are columns."""

    label: str
    kind: str
    """`published`, `measured` or `delta`."""
    cells: Mapping[tuple[str, str], Cell]
    """(item, metric) -> cell; absent where there is no number."""
    notes: tuple[str, ...] = ()
    section: str = ""
    """Heading printed above it."""
    errors: int = 0
    """Episodes that ended in an error and are in no cell."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, ready to be rendered."""

    layout: Layout
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = field(default=())
    """What holds for all of it."""


def build(layout: Layout, runs: Sequence[Run] = ()) -> Table:
    """The table with its published rows, and one measured row for each run and set of conditions."""
    measured = [line for run in runs for line in _of_run(layout, run)]
    if measured:
        measured[0] = replace(measured[0], section="Measured")
    lines = (*_published(layout), *measured)
    return Table(layout, lines, tuple(_general_notes(layout, runs, measured)))


def _of_run(layout: Layout, run: Run) -> Iterable[Line]:
    lines = (_measured(layout, group) for group in groups(run))
    return [line for line in lines if line.cells or line.errors]


def _published(layout: Layout) -> Iterable[Line]:
    cells = published.cells(layout)
    delta = layout.delta.get("name")
    for model in (*published.models(layout), *((delta,) if delta else ())):
        own = {(item, metric): cell for (name, item, metric), cell in cells.items() if name == model}
        shared = set.intersection(*(set(cell.notes) for cell in own.values()))
        yield Line(
            label=model,
            kind="delta" if model == delta else "published",
            cells={key: _published_cell(layout, key, cell, shared) for key, cell in own.items()},
            notes=tuple(sorted(shared)),
            section=layout.sections.get(model, ""),
        )


def _published_cell(layout: Layout, key: tuple[str, str], cell: published.Printed, shared: set[str]) -> Cell:
    name, _ = key
    known = {item.name: item for item in layout.items}
    n = sum(part.n for part in layout.parts(known[name])) if name in known else 0
    return Cell(cell.text, cell.value, tuple(note for note in cell.notes if note not in shared), n=n)


def _measured(layout: Layout, group: Group) -> Line:
    cells = {}
    for item in layout.items:
        for metric in layout.metrics:
            found = estimate(group, layout, item, metric.name) if layout.has(item, metric) else None
            if found:
                cells[item.name, metric.name] = Cell(f"{100 * found.mean:.1f}", 100 * found.mean, estimate=found, n=found.n)
    marks = _marks(group.run)
    label = group.conditions.policy + (f" ({', '.join(marks)})" if marks else "") + f" · {group.run.name}"
    notes = [*_conditions(group, marks), *_coverage(layout, group)]
    errors = sum(group.errors.get(suite, 0) for suite in layout.suites)
    return Line(label, "measured", cells, (f"run {group.run.name}: {'; '.join(notes)}",), errors=errors)


def _coverage(layout: Layout, group: Group) -> Iterable[str]:
    """What a row lacks or leaves out: scenes not played, episodes that repeat others, episodes with errors."""
    played = [item for item in layout.items if item.suite]
    scenes = {item: sum(map(len, clusters(group, item, "success").values())) for item in played}
    if missing := [f"{item.label} {scenes[item]}/{item.n}" for item in played if 0 < scenes[item] < item.n]:
        yield f"fewer scenes than the benchmark has ({', '.join(missing)})"
    if repeats := sum(group.repeats.get(suite, 0) for suite in layout.suites):
        yield f"{repeats} episodes repeat a trajectory under another seed and are not counted again"
    if errors := {suite: group.errors[suite] for suite in layout.suites if group.errors.get(suite)}:
        named = ", ".join(f"{suite} {count}" for suite, count in errors.items())
        yield f"episodes that ended in an error and count nowhere: {named}"


def _marks(run: Run) -> list[str]:
    policy = run.run.get("policy")
    return list(policy.get("marks", ())) if isinstance(policy, Mapping) else []


def _conditions(group: Group, marks: Sequence[str]) -> Iterable[str]:
    """What must be equal before two measured rows may be compared, and what must be known before one is believed."""
    conditions, run = group.conditions, group.run.run
    protocol = run.get("protocol") or {}
    version = f" v{protocol['version']}" if protocol.get("name") == conditions.protocol and "version" in protocol else ""
    yield f"protocol {conditions.protocol}{version}"
    if conditions.pack:
        yield f"{_pack(conditions.pack)} ({conditions.fingerprint})"
    if renderer := run.get("gl", {}).get("renderer"):
        yield f"drawn by {renderer}"
    if "untrained" in marks:
        yield "untrained weights: no result of any model"
    if "privileged" in marks:
        yield "sees the simulator's state, which no robot can"


def _pack(name: str) -> str:
    return "stand-in assets, not the benchmark's pictures" if name == "standin" else f"{name} assets"


def _general_notes(layout: Layout, runs: Sequence[Run], measured: Sequence[Line]) -> Iterable[str]:
    yield f"Published rows: {layout.source}."
    if any(line.cells for line in measured):
        yield (
            "Measured cells: mean ± the longer arm of the exact 95 % interval, successes/episodes; tasks weigh equally, "
            "episodes of one initial state count as alike as they are. Bounds are in the csv and json forms."
        )
    for run in runs:
        if run.notes:
            yield f"Run {run.name}: {len(run.notes)} faults in its files; see `nora-bench show {run.folder}`."
        others = sorted({record.suite for record in run.records} - set(layout.suites))
        if others:
            yield f"Run {run.name} also has {', '.join(others)}, not in this table; see `nora-bench show {run.folder}`."


def print_runs(folders: Sequence[Path | str], console: Console) -> None:
    """Print the table that fits these runs, published rows beside them."""
    from .render import terminal

    runs = [load_run(folder) for folder in folders]
    layout = layouts.fitting({record.suite for run in runs for record in run.records})
    terminal(build(layout, runs), console)
