"""The table of robustness: per policy and axis, the difference of perturbed episodes and their controls, in points.

Published LIBERO-Plus rates stand in rows of their own: another protocol, and rates instead of differences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

from ...envs.errors import InputError
from ...envs.perturbations.language import NO_WORDS
from ..comparisons.robustness import Effect, Robustness, column_names, robustness
from ..comparisons.words import follows_words
from ..conditions import conditions
from ..layouts import Column, Layout, Metric
from ..store.reader import StoredRun
from ..summary import latency_means, latency_text
from . import published
from .cells import difference_text, rate_cell
from .model import Cell, Row, Table

ID = "robust"
CONTROL, TOTAL = "control", "LIBERO-Plus"
SUCCESS = Metric("success", "Succ. ↑", "higher")
TITLE = "Robustness: success under one change minus success of the same episodes without it, in points"
ABSOLUTE = "Robustness: success under one change, in percent"
OTHERS = "LIBERO-Plus (another protocol)"
OTHERS_NOTE = (
    "LIBERO-Plus: as published (arXiv 2510.13626), another protocol. Success rates in percent, not differences, and not to be "
    "compared with measured rows."
)


def build(
    runs: Sequence[StoredRun],
    floors: Sequence[StoredRun] = (),
    *,
    levels: bool = False,
    absolute: bool = False,
    anyway: bool = False,
) -> Table:
    """The table of runs with perturbed episodes; runs without any only lend their controls.

    Args:
        runs: of any policies; the controls of each are from itself, from the run named by `--control`, or from the others.
        floors: runs of a blind policy.
        levels: a column per level instead of one per axis.
        absolute: rates of the perturbed episodes instead of differences.
        anyway: accept controls that were run under other conditions.

    Raises Incomparable for controls under other conditions, InputError where no run has perturbed episodes.
    """
    runs, floors = _distinct(runs), _distinct(floors)
    for run in floors:
        if not column_names([run], levels=False):
            message = f"--floor {run.folder}: it has no perturbed episodes. Run the blind policy with the same --perturb"
            raise InputError(message, option="--floor", value=str(run.folder))
    names = column_names([*runs, *floors], levels=levels)
    if runs and not names:
        message = f"{', '.join(run.name for run in runs)}: no perturbed episodes. Type: nora-bench run --perturb camera:1-3 ..."
        raise InputError(message)
    found = [one for run in runs for one in robustness(run, _rest(runs, run), levels=levels, anyway=anyway)]
    blind = [one for run in floors for one in robustness(run, _rest(floors, run), levels=levels, anyway=anyway)]
    lines = [_row(one, "measured", absolute=absolute) for one in found]
    lines += _headed("Floor: a blind policy", [_row(one, "floor", absolute=absolute) for one in blind])
    lines += _headed("Floor: no instruction", [row for one in found if (row := _without_words(one))])
    lines += _headed(OTHERS, list(_published(runs, names)))
    layout = _layout(names or list(_plus_columns()), absolute=absolute, plus=any(TOTAL in _columns(line) for line in lines))
    kept = {column.name for column in layout.columns}
    shown = [replace(line, cells={key: cell for key, cell in line.cells.items() if key[0] in kept}) for line in lines]
    return Table(layout, tuple(shown), tuple(_notes(found, lines, absolute=absolute)))


def _distinct(runs: Sequence[StoredRun]) -> list[StoredRun]:
    """Each run once: one that is named twice has one row."""
    return list({run.folder.resolve(): run for run in runs}.values())


def _rest(runs: Sequence[StoredRun], run: StoredRun) -> list[StoredRun]:
    return [other for other in runs if other is not run]


def _columns(line: Row) -> set[str]:
    return {name for name, _ in line.cells}


def _layout(names: Sequence[str], *, absolute: bool, plus: bool) -> Layout:
    named = [CONTROL, *names, *([TOTAL] if plus else [])]
    labels = {CONTROL: "control %", TOTAL: "LIBERO-Plus, all"}
    columns = tuple(Column(name, labels.get(name, name)) for name in named)
    return Layout(ID, ABSOLUTE if absolute else TITLE, "", "rows", "Policy", columns, (SUCCESS,), "")


def _headed(section: str, lines: Sequence[Row]) -> list[Row]:
    return [replace(line, section="" if number else section) for number, line in enumerate(lines)]


# Measured rows


def _row(found: Robustness, kind: str, *, absolute: bool) -> Row:
    known = conditions(found.run, found.controls)
    marks = f" ({', '.join(known.marks)})" if known.marks else ""
    cells = {(effect.name, SUCCESS.name): _effect_cell(found, effect, absolute=absolute) for effect in found.effects}
    if found.control:
        cells[CONTROL, SUCCESS.name] = rate_cell(found.control)
    return Row(
        label=f"{found.key.policy}{marks} · {found.run.name}",
        kind=kind,
        cells=cells,
        notes=("; ".join(_row_notes(found)),),
        ranked=False,
        provenance={"run": found.run.name, "folder": str(found.run.folder), "controls": list(found.sources), **known.to_json()},
    )


def _row_notes(found: Robustness) -> Iterator[str]:
    key = found.key
    yield f"run {found.run.name}: protocol {key.protocol}"
    if key.pack:
        yield f"{key.pack} assets ({key.fingerprint})"
    if key.backend:
        yield f"backend {key.backend}"
    if key.init_set:
        yield f"{key.init_set} initial states"
    if part := _common_part(found):
        yield f"only {part}"
    if words := follows_words(record for effect in found.effects for record in effect.records):
        yield words.text()
    if others := [name for name in found.sources if name != found.run.name]:
        yield f"controls from {', '.join(others)}"
    if found.alone:
        listed = ", ".join(f"{name} {count}" for name, count in found.alone.items())
        count = sum(found.alone.values())
        yield f"{count} perturbed episodes have no control and are left out ({listed}): name the run that has the controls, too"


def _common_part(found: Robustness) -> str:
    """The part of the benchmark behind all cells of the row; empty where they differ."""
    parts = {effect.part for effect in found.effects}
    return parts.pop() if len(parts) == 1 else ""


def _effect_notes(found: Robustness, effect: Effect) -> Iterator[str]:
    if effect.part and not _common_part(found):
        yield f"only {effect.part}"
    if effect.name == effect.records[0].perturbation and (late := latency_means(effect.records)):
        yield latency_text(late)


def _effect_cell(found: Robustness, effect: Effect, *, absolute: bool) -> Cell:
    notes = tuple(_effect_notes(found, effect))
    if absolute:
        return replace(rate_cell(effect.perturbed), notes=notes)
    difference = effect.difference
    return Cell(
        text=difference_text(difference),
        value=100 * difference.mean,
        notes=notes,
        low=100 * difference.low,
        high=100 * difference.high,
        n=effect.episodes,
        effective=difference.scenes,
        states=difference.scenes,
        uncertain=effect.control.uncertain + effect.perturbed.uncertain,
        p=effect.p,
    )


def _without_words(found: Robustness) -> Row | None:
    """The success rate without an instruction, in the column of the controls."""
    effect = found.effect(NO_WORDS)
    if effect is None:  # the axis pools its levels: take this one alone
        single = next((one for one in robustness(_only(found, NO_WORDS), levels=True) if one.key == found.key), None)
        effect = single.effect(NO_WORDS) if single else None
    if effect is None:
        return None
    label = f"{found.key.policy} without instruction · {found.run.name}"
    cells = {(CONTROL, SUCCESS.name): rate_cell(effect.perturbed)}
    return Row(label, "floor", cells, (f"the controls of {NO_WORDS} without their instruction",), ranked=False)


def _only(found: Robustness, name: str) -> StoredRun:
    """The run with its controls and the episodes of one perturbation."""
    own = [record for record in found.run.records if record.perturbation == name]
    return replace(found.run, records=(*found.controls, *own))


# Published rows


@cache
def _plus() -> Layout:
    names = (TOTAL, "camera", "robot", "language", "light", "background", "noise", "layout")
    columns = tuple(Column("total" if name == TOTAL else name, name) for name in names)
    return Layout("libero-plus", OTHERS, "arXiv 2510.13626", "rows", "Policy", columns, (SUCCESS,), "")


def _plus_columns() -> Iterator[str]:
    yield from (column.name for column in _plus().columns if column.name != "total")


def _published(runs: Sequence[StoredRun], names: Sequence[str]) -> Iterator[Row]:
    """The rows of LIBERO-Plus; none beside runs of other benchmarks, and where it has no rate of any column."""
    suites = {record.suite for run in runs for record in run.records}
    if runs and not any(suite.startswith("libero") for suite in suites):
        return
    if names and not {*names} & {*_plus_columns()}:
        return
    layout = _plus()
    for model in published.models(layout):
        own = {column: cell for (name, column, _), cell in published.cells(layout).items() if name == model}
        cells = {
            (TOTAL if column == "total" else column, SUCCESS.name): Cell(cell.text, cell.value, cell.notes)
            for column, cell in own.items()
        }
        yield Row(model, "published", cells, ranked=False)


def _notes(found: Sequence[Robustness], lines: Sequence[Row], *, absolute: bool) -> Iterator[str]:
    if any(line.kind == "published" for line in lines):
        yield OTHERS_NOTE
    if not found:
        return
    yield "control %: success of the episodes without a perturbation [its own 95 % interval]."
    if absolute:
        yield "Each rate with its own 95 % interval; tasks weigh equally, episodes are clustered by initial state."
    else:
        yield (
            "Differences [95 % intervals that hold together for a row's columns]: exact test paired by initial state within "
            "tasks, tasks weigh equally, p corrected over the row's columns (Holm). Episodes that could have ended either way "
            "count against the apparent difference."
        )
