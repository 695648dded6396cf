"""Suites, tasks, policies, protocols, perturbations and instructions as rows of plain values."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from ...envs import protocols, suites
from ...envs.base import EpisodeSpec, Suite, Task
from ...envs.errors import InputError, PolicyError, SuiteError, UnknownName
from ...envs.instructions import KINDS
from ...envs.perturbations import axes, language
from ...policies import registry as policies
from .perturbed import has_axis


def suite_rows() -> list[dict[str, Any]]:
    """One row per suite, then one per group of suites; a plug-in that cannot be used has the reason as its title."""
    rows = [_suite_row(name) for name in suites.names()]
    groups = [
        {"name": name, "tasks": sum(len(suites.get(member).tasks) for member in members), "members": members}
        for name, members in suites.GROUPS.items()
    ]
    return [{**dict.fromkeys(SUITE_COLUMNS), **row} for row in [*rows, *groups]]


SUITE_COLUMNS = ("name", "title", "tasks", "init_states", "tasks_that_a_seed_changes", "default_protocol", "members")


def _suite_row(name: str) -> dict[str, Any]:
    try:
        suite = suites.get(name)
    except SuiteError as error:
        return {"name": name, "title": f"cannot be used: {error}", "members": ()}
    return {
        "name": suite.name,
        "title": suite.title,
        "tasks": len(suite.tasks),
        "init_states": sum(task.episodes for task in suite.tasks),
        "tasks_that_a_seed_changes": sum(task.seeded for task in suite.tasks),
        "default_protocol": suite.default_protocol,
        "members": (),
    }


def task_rows(name: str = "") -> list[dict[str, Any]]:
    """One row per task of the named suite or group; of all suites without a name. Raises InputError."""
    names = suites.expand(name) if name else suites.names()
    return [{"suite": suite.name, **asdict(task)} for suite in map(suites.get, names) for task in suite.tasks]


def instruction_rows(name: str, tasks: Sequence[int] = (), kind: str = "") -> list[dict[str, Any]]:
    """One row per text that an episode of a task can be given: the original, its wordings, and other tasks' instructions.

    Args:
        name: suite or group of suites; empty for all suites that have wordings.
        tasks: only these tasks; all where empty.
        kind: only this level of the axis `language`, or `original`.

    Raises InputError for an unknown name, task or kind.
    """
    if kind and kind not in INSTRUCTION_KINDS:
        raise UnknownName("kind", kind, INSTRUCTION_KINDS)
    chosen = [suites.get(member) for member in (suites.expand(name) if name else suites.names())]
    if not name:
        chosen = [suite for suite in chosen if any(suite.wordings(text) for text in _instructions(suite, suite.tasks[0]))]
    known = {task.id for suite in chosen for task in suite.tasks}
    if unknown := sorted(set(tasks) - known):
        raise InputError(
            f"{name or 'every suite'} has tasks {min(known)} to {max(known)}, not {unknown[0]}", option="--task", value=unknown[0]
        )
    rows = [
        {"suite": suite.name, "task": task.id, **row}
        for suite in chosen
        for task in suite.tasks
        if not tasks or task.id in tasks
        for row in _texts(suite, task)
    ]
    if kind and not any(row["kind"] == kind for row in rows):
        message = f"{name or 'the suites'}: no stored text of kind {kind} for these tasks"
        raise InputError(f"{message}. Omit --kind to list the others", option="--kind", value=kind)
    return [row for row in rows if not kind or row["kind"] == kind]


ORIGINAL = "original"
INSTRUCTION_KINDS = (ORIGINAL, *KINDS, language.WRONG)


def _texts(suite: Suite, task: Task) -> Iterator[dict[str, Any]]:
    for instruction in _instructions(suite, task):
        yield {"kind": ORIGINAL, "text": instruction, "source": "the benchmark's own"}
        for wording in suite.wordings(instruction):
            yield {"kind": wording.kind, "text": wording.text, "source": wording.source}
    for other in dict.fromkeys(other for spec in _scenes(suite, task) for other in suite.other_tasks(spec)):
        yield {"kind": language.WRONG, "text": other.instruction, "source": f"{other.suite} task {other.task_id}"}


def _instructions(suite: Suite, task: Task) -> tuple[str, ...]:
    """The instructions of a task: several where its episodes have different ones."""
    return tuple(dict.fromkeys(suite.instruction(spec) for spec in _scenes(suite, task)))


def _scenes(suite: Suite, task: Task) -> list[EpisodeSpec]:
    """The task's episodes under one seed, among which all of its instructions occur."""
    return [
        EpisodeSpec(suite.name, task.id, state, 0, suite.default_protocol, variant)
        for variant in task.variants or ("",)
        for state in range(task.init_states)
    ]


def policy_rows() -> list[dict[str, Any]]:
    """One row per registered policy; one that cannot be imported has the reason."""
    return [_policy_row(name) for name in policies.POLICIES.names()]


def _policy_row(name: str) -> dict[str, Any]:
    try:
        factory = policies.find(name)
        arguments = {key: _default(p) for key, p in policies.parameters(factory).items()}
    except (ImportError, PolicyError, AttributeError) as error:
        return {"name": name, "arguments": {}, "what": f"cannot be imported: {error}"}
    return {
        "name": name,
        "arguments": " ".join(f"{key}={default}" for key, default in arguments.items()),
        "what": (inspect.getdoc(factory) or "").partition("\n")[0],
    }


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return "..."
    return "" if parameter.default is None else str(parameter.default)


def protocol_rows() -> list[dict[str, Any]]:
    """One row per protocol: its fields, and the families whose default it is."""
    return [{**protocols.get(name).to_json(), "default_for": _families(name)} for name in protocols.names()]


def _families(protocol: str) -> tuple[str, ...]:
    every = map(suites.get, suites.names())
    return tuple(sorted({suite.family for suite in every if suite.default_protocol == protocol}))


def perturbation_rows() -> list[dict[str, Any]]:
    """One row per axis and level; an axis whose levels are free has one row with an example."""
    members = _usable_suites()
    return [row for axis in axes.axes().values() for row in _axis_rows(axis, members)]


def _usable_suites() -> list[Suite]:
    found = []
    for name in suites.names():
        with suppress(SuiteError):
            found.append(suites.get(name))
    return found


def _axis_rows(axis: axes.Axis, members: Sequence[Suite]) -> list[dict[str, Any]]:
    levels = list(axis.levels) or [axes.example(axis)]
    found = [axis.at(level) for level in levels]
    return [
        {
            "axis": axis.name,
            "level": one.level,
            "name": one.name,
            "values": dict(one.values),
            "unit": axis.unit,
            "kind": axis.kind,
            "title": axis.title,
            "source": axis.source,
            "suites": [suite.name for suite in members if has_axis(suite, axis.name, axis.kind)],
        }
        for one in found
        if one
    ]
