"""Both papers' simulation tables with the released checkpoints: one run per checkpoint, published against measured rates.

Each stage is a `nora-bench run`, which resumes. A stage that fails (a checkpoint that the hub does not have) does not stop the
others. The rehearsal puts `nora-1.5-nano` (LIBERO) and random weights (SimplerEnv) in the place of every checkpoint, with one
episode per suite: it shows that the commands, tables and verdicts work, and nothing about the papers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ...envs.errors import InputError, UnknownName
from ...results.comparisons.replication import MARGIN, RateInterval, Replication, mean_rate, published_rate, replication
from ...results.layouts import Layout
from ..engine.config import TrainingError, require_field
from . import pipeline
from .pipeline import PipelineStage, is_done

EPISODE_S: Mapping[str, float] = {"libero": 6.0, "simpler": 25.0}
"""Rough seconds of one core per episode, without the policy's own time."""
STAND_INS: Mapping[str, str] = {"libero": "nora-1.5-nano", "simpler": "nora-1.5-untrained"}
"""Policy that a rehearsal evaluates in the place of each checkpoint."""
WORDS: Mapping[str, str] = {
    "equivalent": "equivalent within the margin",
    "agrees": "inside both intervals",
    "lower": "lower than published",
    "higher": "higher than published",
    "undecided": "undecided: too few episodes",
}


@dataclass(frozen=True, slots=True)
class ReleasedRow:
    """One row of a paper's table and the checkpoint that it was measured with."""

    table: str
    row: str
    policy: str
    checkpoint: str
    """Hub id or folder; `{suite}` stands for `spatial`, `object`, `goal`, `10`."""
    family: Literal["libero", "simpler"]
    protocol: str
    id_known: bool
    """Whether the hub id was found in public code."""

    @property
    def name(self) -> str:
        """Name of its runs, safe as a folder."""
        return re.sub(r"[^a-z0-9.]+", "-", f"{self.table}-{self.row}".lower()).strip("-")


@dataclass(frozen=True, slots=True)
class Released:
    """Recipe of `reproduce released`."""

    rows: tuple[ReleasedRow, ...]
    libero: tuple[str, ...]
    simpler: tuple[str, ...]
    seeds: int = 3
    until: str | None = None
    """Stopping rule of `nora-bench run --until`; None: all episodes."""
    assets: str = "official"
    margin: float = MARGIN
    """Largest difference that counts as equivalent, as a share."""
    workers: int | None = None
    rehearsal: bool = False

    def validate(self) -> None:
        """Raises TrainingError."""
        require_field("seeds", self.seeds, self.seeds >= 1, "be at least 1")
        require_field("margin", self.margin, 0 < self.margin < 1, "be a share between 0 and 1")

    def suites(self, row: ReleasedRow) -> tuple[str, ...]:
        """Suites of the row's table."""
        return self.libero if row.family == "libero" else self.simpler

    def groups(self, row: ReleasedRow) -> list[tuple[str, ...]]:
        """Suites of each of its runs: one run per suite where each has its checkpoint."""
        suites = self.suites(row)
        return [(suite,) for suite in suites] if "{suite}" in row.checkpoint else [suites]


def selected(settings: Released, names: Sequence[str], assignments: Sequence[str]) -> Released:
    """The recipe with some of its rows, and with other checkpoints.

    Args:
        names: of rows (`ReleasedRow.name`); empty for all.
        assignments: `NAME=CHECKPOINT`, a hub id or a folder.

    Raises:
        InputError: not of that form, or an unknown name.
    """
    given = dict(_assignment(text) for text in assignments)
    known = [row.name for row in settings.rows]
    for name in (*names, *given):
        if name not in known:
            raise UnknownName("row", name, known)
    rows = [row for row in settings.rows if not names or row.name in names]
    changed = [replace(row, checkpoint=given[row.name], id_known=True) if row.name in given else row for row in rows]
    return replace(settings, rows=tuple(changed))


def _assignment(text: str) -> tuple[str, str]:
    name, _, checkpoint = text.partition("=")
    if not checkpoint:
        raise InputError(f"--checkpoint {text}: checkpoint missing. Type: --checkpoint nora15-table2-nora-1.5-dpo=OWNER/NAME")
    return name, checkpoint


def stages(settings: Released, out: Path) -> Iterator[tuple[ReleasedRow, PipelineStage]]:
    """A run for each row, or for each of its suites."""
    from ...results import layouts

    for row in settings.rows:
        for suites in settings.groups(row):
            name = f"{row.name}-{suites[0]}" if "{suite}" in row.checkpoint else row.name
            episodes = sum(column.n for column in layouts.get(row.table).columns if column.suite in suites)
            seconds = EPISODE_S[row.family] * episodes * settings.seeds
            options = _options(settings, row, suites) | {"out": out / "runs" / name}
            yield row, pipeline.stage(name, "run", options, 60.0 if settings.rehearsal else seconds)


def _options(settings: Released, row: ReleasedRow, suites: tuple[str, ...]) -> dict[str, object]:
    if settings.rehearsal:
        few: dict[str, object] = {"tasks": "0", "episodes": 1, "seeds": "0,", "max-steps": 10, "assets": "standin", "workers": 1}
        return {"suite": suites, "protocol": row.protocol, "policy": STAND_INS[row.family], **few}
    return {
        "suite": suites,
        "protocol": row.protocol,
        "policy": row.policy,
        "policy-arg": f"checkpoint={row.checkpoint.format(suite=suites[0].split('_')[-1])}",
        "seeds": settings.seeds,
        "assets": settings.assets,
        "until": settings.until,
        "workers": settings.workers,
    }


def run_released(settings: Released, out: Path, log: Callable[[str], None]) -> list[str]:
    """Run the unfinished stages; the names of those that failed."""
    plan, failed = list(stages(settings, out)), []
    for number, (row, stage) in enumerate(plan, 1):
        head = f"run {number} of {len(plan)}, {row.table}, {row.row}"
        if is_done(out, stage):
            log(f"{head}: done")
            continue
        log(f"{head}\n  {stage.line()}")
        try:
            pipeline.run_stage(stage, out)
        except TrainingError as error:
            failed.append(stage.name)
            log(f"  {error}")
    return failed


@dataclass(frozen=True, slots=True)
class ReplicatedCell:
    """One cell of a paper's table beside its measurement."""

    table: str
    row: str
    column: str
    result: Replication | None
    """None: not measured."""
    whole: bool = True
    """Whether all initial states of the column were run."""


def replicated(settings: Released, out: Path) -> Iterator[ReplicatedCell]:
    """Every published cell of the recipe's rows, measured or not."""
    from ...results import layouts
    from ...results.tables import published

    for row in settings.rows:
        layout = layouts.get(row.table)
        cells, measured = published.cells(layout), _measured(settings, row, layout, out)
        parts: dict[str, RateInterval] = {}
        for column in layout.columns:
            printed = cells.get((row.row, column.name, "success"))
            if printed is None:
                continue
            if column.mean_of:
                rates = [parts[part.name] for part in layout.components(column) if part.name in parts]
                own = published_mean(layout, column.name, cells, row.row)
                whole = len(rates) == len(layout.components(column))
                result = replication(replace(own, rate=printed.value / 100), mean_rate(rates), settings.margin) if whole else None
                complete = all(measured[part.name][1] for part in layout.components(column)) if whole else False
                yield ReplicatedCell(row.table, row.row, column.name, result, complete)
                continue
            if column.name not in measured:
                yield ReplicatedCell(row.table, row.row, column.name, None, False)
                continue
            parts[column.name], whole = measured[column.name]
            own = published_rate(printed.value / 100, column.n)
            yield ReplicatedCell(row.table, row.row, column.name, replication(own, parts[column.name], settings.margin), whole)


def published_mean(layout: Layout, column: str, cells: Mapping[Any, Any], row: str) -> RateInterval:
    """Interval of a printed average, from its printed parts and their numbers of episodes."""
    parts = layout.components(layout.column(column))
    return mean_rate([published_rate(cells[row, part.name, "success"].value / 100, part.n) for part in parts])


def _measured(settings: Released, row: ReleasedRow, layout: Layout, out: Path) -> dict[str, tuple[RateInterval, bool]]:
    """Column -> its rate, and whether all of its initial states were run."""
    from ...results.store.reader import read_run
    from ...results.tables.rows import measured_rows

    found: dict[str, tuple[RateInterval, bool]] = {}
    for owner, stage in stages(settings, out):
        if owner != row or not stage.run_folder or not (stage.run_folder / "run.json").is_file():
            continue
        for line, _ in measured_rows(layout, read_run(stage.run_folder)):
            for (name, metric), cell in line.cells.items():
                if metric == "success" and cell.low is not None and cell.high is not None:
                    rate = RateInterval(cell.value / 100, cell.low / 100, cell.high / 100, cell.effective or cell.n)
                    found[name] = (rate, not line.part)
    return found


def write_report(settings: Released, out: Path, failed: Sequence[str]) -> list[Path]:
    """Write `released.md` and `released.json`; the files."""
    cells = list(replicated(settings, out))
    out.mkdir(parents=True, exist_ok=True)
    text, data = out / "released.md", out / "released.json"
    text.write_text(markdown(settings, cells, failed), encoding="utf-8")
    facts = {"rehearsal": settings.rehearsal, "margin": settings.margin, "failed": list(failed)}
    data.write_text(json.dumps({**facts, "cells": [asdict(cell) for cell in cells]}, indent=1) + "\n", encoding="utf-8")
    return [text, data]


def markdown(settings: Released, cells: Sequence[ReplicatedCell], failed: Sequence[str] = ()) -> str:
    """The report: a line per published cell, in percent, with 95 % intervals."""
    head = "| table | row | column | published | measured | difference | verdict |\n" + "| --- " * 7 + "|\n"
    substitute = (
        f"**Rehearsal: {STAND_INS['libero']} on LIBERO and {STAND_INS['simpler']} on SimplerEnv in the place of every "
        "checkpoint, one task and one episode per suite. No number here says anything about a released checkpoint.**\n\n"
    )
    rule = (
        f"Verdicts: equivalent, where the 95 % interval of the difference lies within {100 * settings.margin:g} points; "
        "inside both intervals, where each rate lies in the other's; lower or higher, where the interval of the difference "
        "excludes 0. Intervals of published rates assume the printed number of episodes, independent; those of the difference "
        "are Newcombe's.\n\n"
    )
    unknown = [f"{row.row} ({row.checkpoint})" for row in settings.rows if not row.id_known]
    ids = f"\n\nHub ids not found in public code: {', '.join(unknown)}." if unknown and not settings.rehearsal else ""
    lost = f"\n\nRuns that failed: {', '.join(failed)}." if failed else ""
    lines = "\n".join(_line(cell) for cell in cells)
    return f"{substitute if settings.rehearsal else ''}{rule}{head}{lines}{ids}{lost}\n"


def _line(cell: ReplicatedCell) -> str:
    names = f"| {cell.table} | {cell.row} | {cell.column} |"
    if cell.result is None:
        return f"{names} | not measured | | |"
    result, part = cell.result, "" if cell.whole else " (a part of the initial states)"
    difference = f"{100 * result.difference:+.1f} [{100 * result.low:+.1f}, {100 * result.high:+.1f}]"
    return f"{names} {_rate(result.published)} | {_rate(result.measured)}{part} | {difference} | {WORDS[result.verdict]} |"


def _rate(rate: RateInterval) -> str:
    return f"{100 * rate.rate:.1f} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"
