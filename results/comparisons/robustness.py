"""Robustness of a policy: its perturbed episodes, each against the same episode without the perturbation (its control).

A control is the same scene under the same seed, protocol, assets and policy. Perturbed episodes without one are left out and
counted. Initial states within tasks are the clusters, tasks weigh equally, and the exact test, the intervals and the treatment of
uncertain episodes are those of `nora-bench compare`, with the control as A and the perturbed episode as B. All columns of one
policy (axes, or axes and levels) are one family of hypotheses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ...envs.errors import InputError, StoreError
from ...envs.perturbations import axes
from ...envs.perturbations.language import NO_WORDS, OTHER_WORDS
from ..conditions import Incomparable, conditions
from ..grouping import Group, GroupKey, group_of, groups
from ..layouts import Column, Layout, table_of
from ..rates import Rate, rate
from ..statistics.paired_test import Difference, align_with_test, holm, simultaneous
from ..statistics.ranking import LEVEL
from ..store.reader import StoredRun, read_run
from ..store.records import EpisodeRecord
from .comparison import compared_part, readings, require_comparable_groups, worst_difference
from .families import overall_column

FLOORS = (NO_WORDS, OTHER_WORDS)
Episode = tuple[object, ...]
"""Scene without its perturbation, and the seed: the same for an episode and its control."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One axis, or one level of it, in one policy's episodes."""

    name: str
    """Axis (`camera`), or perturbation (`camera2`)."""
    difference: Difference
    """Perturbed minus control; its interval is one of the family's simultaneous ones."""
    p: float
    """Corrected over the family (Holm)."""
    control: Rate
    """Of the controls of these episodes."""
    perturbed: Rate
    episodes: int
    """Perturbed episodes that have a control."""
    alone: int
    """Perturbed episodes without a control, left out."""
    part: str
    """The evaluated part of the benchmark; empty for the whole."""
    records: Sequence[EpisodeRecord]
    """The perturbed episodes that have a control."""


@dataclass(frozen=True, slots=True)
class Robustness:
    """One policy under one set of conditions."""

    run: StoredRun
    key: GroupKey
    """Conditions of its episodes, without a perturbation."""
    control: Rate | None
    """Of all controls; None without any."""
    effects: tuple[Effect, ...]
    alone: Mapping[str, int]
    """Column -> perturbed episodes without a control, also of columns that have none with one."""
    sources: tuple[str, ...]
    """Names of the runs that its controls are from."""
    controls: Sequence[EpisodeRecord]

    def effect(self, name: str) -> Effect | None:
        """The effect of that column."""
        return next((effect for effect in self.effects if effect.name == name), None)


def axis_of(perturbation: str) -> str:
    """The column of a perturbation: its axis; itself for an instruction that does not say what to do, since such episodes are a
    floor and no measure of robustness; of one that this version does not know, the name up to its level."""
    if perturbation in FLOORS:
        return perturbation
    try:
        return axes.get(perturbation).axis
    except InputError:
        return re.split(r"-|\d", perturbation, maxsplit=1)[0]


def column_names(runs: Iterable[StoredRun], *, levels: bool) -> list[str]:
    """Axes, or with `levels` perturbations, of the runs' episodes: in the order of `axes.toml`, unknown ones last."""
    found = {record.perturbation for run in runs for record in run.records if record.perturbation}
    known = list(axes.axes())

    def place(name: str) -> tuple[int, int, str]:
        axis = axis_of(name)
        return (known.index(axis) if axis in known else len(known), *_size(name.removeprefix(axis)))

    ordered = sorted(found, key=place)
    return ordered if levels else list(dict.fromkeys(map(axis_of, ordered)))


def _size(level: str) -> tuple[int, str]:
    """Levels by their number: `-50ms` before `-100ms`."""
    digits = "".join(filter(str.isdigit, level))
    return int(digits or 0), level


def robustness(
    run: StoredRun, others: Sequence[StoredRun] = (), *, levels: bool = False, anyway: bool = False
) -> list[Robustness]:
    """The effects in a run, for each set of conditions with perturbed episodes; empty for a run without any.

    Args:
        run: with perturbed episodes.
        others: runs whose episodes may be controls, after the run's own; the run in its `config.control` is one of them anyway.
        levels: a column per level instead of one per axis.
        anyway: accept controls that were run under different conditions.

    Raises Incomparable for controls of another run that were run under different conditions.
    """
    perturbed: dict[GroupKey, list[EpisodeRecord]] = {}
    for group in groups(run):
        if group.key.perturbation:
            perturbed.setdefault(_plain_key(group.key), []).extend(group.records)
    candidates = [run, *recorded_controls(run), *others] if perturbed else []
    return [_of_conditions(run, key, own, candidates, levels=levels, anyway=anyway) for key, own in perturbed.items()]


def _plain_key(key: GroupKey) -> GroupKey:
    return replace(key, perturbation="", renderer="")


def recorded_controls(run: StoredRun) -> list[StoredRun]:
    """The run that `--control` named, where its folder is still there: as named, or beside this run."""
    named = (run.metadata.config or {}).get("control")
    for folder in (Path(str(named)), run.folder.parent / Path(str(named)).name) if named else ():
        try:
            return [read_run(folder)]
        except (StoreError, InputError, OSError, ValueError):  # the name is a file's, so it may be anything
            continue
    return []


def _of_conditions(
    run: StoredRun,
    key: GroupKey,
    perturbed: Sequence[EpisodeRecord],
    candidates: Sequence[StoredRun],
    *,
    levels: bool,
    anyway: bool,
) -> Robustness:
    controls, sources = _controls(run, key, perturbed, candidates, anyway=anyway)
    columns: dict[str, list[EpisodeRecord]] = {}
    for record in perturbed:
        name = record.perturbation if levels else axis_of(record.perturbation)
        columns.setdefault(name, []).append(record)
    paired = {name: [record for record in own if episode_of(record) in controls] for name, own in columns.items()}
    alone = {name: len(own) - len(paired[name]) for name, own in columns.items() if len(own) > len(paired[name])}
    used = {episode_of(record): controls[episode_of(record)] for own in paired.values() for record in own}
    effects = _effects(run, key, {name: own for name, own in paired.items() if own}, controls, alone)
    overall = _rate(group_of(run, key, list(used.values()))) if used else None
    return Robustness(run, key, overall, tuple(effects), alone, sources, list(used.values()))


def episode_of(record: EpisodeRecord) -> Episode:
    """Identity that an episode shares with its control."""
    return *record.scene[:-1], record.seed


def _controls(
    run: StoredRun, key: GroupKey, perturbed: Sequence[EpisodeRecord], candidates: Sequence[StoredRun], *, anyway: bool
) -> tuple[dict[Episode, EpisodeRecord], tuple[str, ...]]:
    """Episode -> its control, from the first run that has it; and the names of these runs."""
    wanted = {episode_of(record) for record in perturbed}
    found: dict[Episode, EpisodeRecord] = {}
    sources: dict[str, None] = {}
    for other in candidates:
        for group in groups(other):
            if group.key.perturbation or _plain_key(group.key) != key:
                continue
            new = {episode_of(record): record for record in group.records if episode_of(record) in wanted - found.keys()}
            if new and other is not run:
                _require_same_policy(run, group, perturbed, anyway=anyway)
            if new:
                found |= new
                sources[other.name] = None
    return found, tuple(sources)


def _require_same_policy(run: StoredRun, controls: Group, perturbed: Sequence[EpisodeRecord], *, anyway: bool) -> None:
    """Raise Incomparable where controls of another run are of other conditions or another policy of that name."""
    own = group_of(run, replace(controls.key, perturbation="perturbed"), perturbed)
    require_comparable_groups(controls, own, anyway=anyway)
    a, b = conditions(controls.run, controls.records), conditions(run, perturbed)
    if not anyway and (a.policy_args, a.policy_fingerprint) != (b.policy_args, b.policy_fingerprint):
        raise Incomparable(
            f"the episodes of {controls.run.name} are no controls of {run.name}: the policy {controls.key.policy} has other "
            "settings or weights there. Run the controls with this policy, or add --anyway to take them regardless"
        )


def _effects(
    run: StoredRun,
    key: GroupKey,
    columns: Mapping[str, Sequence[EpisodeRecord]],
    controls: Mapping[Episode, EpisodeRecord],
    alone: Mapping[str, int],
) -> Iterable[Effect]:
    level = simultaneous(len(columns)) if columns else 0.0
    sides = {name: _sides(run, key, name, own, controls) for name, own in columns.items()}
    tables = {name: _table(pair) for name, pair in sides.items()}
    found = {name: worst_difference(readings(*sides[name], *tables[name], "success"), level) for name in columns}
    for (name, difference), p in zip(found.items(), holm([one.p for one in found.values()]), strict=True):
        control, perturbed = (rate(side, *tables[name]) for side in sides[name])
        assert control is not None and perturbed is not None  # the column is one that both fill
        yield Effect(
            name=name,
            difference=align_with_test(difference, settled=p <= LEVEL),
            p=p,
            control=control,
            perturbed=perturbed,
            episodes=len(columns[name]),
            alone=alone.get(name, 0),
            part=compared_part(*tables[name], "success", sides[name]),
            records=columns[name],
        )


def _sides(
    run: StoredRun, key: GroupKey, name: str, perturbed: Sequence[EpisodeRecord], controls: Mapping[Episode, EpisodeRecord]
) -> tuple[Group, Group]:
    """The controls, and the perturbed episodes in the controls' scenes: levels of an axis are pooled like seeds."""
    own = {episode_of(record): controls[episode_of(record)] for record in perturbed}
    in_scenes = [replace(record, perturbation="") for record in perturbed]
    return group_of(run, key, list(own.values())), group_of(run, replace(key, perturbation=name), in_scenes)


def _rate(group: Group) -> Rate | None:
    return rate(group, *_table((group, group)))


def _table(sides: tuple[Group, Group]) -> tuple[Layout, Column]:
    """The table whose columns both fill, and its mean; for a part of the benchmark that no table's mean covers, its suites."""
    with suppress(ValueError):  # no table has a column that they fill
        layout, column = overall_column(sides)
        if all(rate(side, layout, column) for side in sides):
            return layout, column
    counts = {suite: len({record.task for record in own}) for suite, own in sides[0].suites.items()}
    layout = table_of(counts)
    return layout, layout.columns[-1]
