"""Demonstrations as values, and as files in the layout of LIBERO's data sets.

One file per task, `<task>_demo.hdf5`, one group per demonstration, as LIBERO's `create_dataset.py` writes them, without
images, which are rendered from the states (`images`). Additional arrays: `labels` (the expert's unperturbed actions), `pushed`
and `seen_qpos`; additional attribute: `nora_bench`, a JSON object. Row t of every array precedes action t (observations in
LIBERO's own files follow it).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ...envs import suites
from ...envs.errors import InputError, MissingRequirementError
from ...envs.safe_io import LARGEST_ARRAYS, is_name, parse_json
from ...envs.types import Array

SUFFIX = "_demo.hdf5"
OWN = "nora_bench"
"""Attribute for facts outside LIBERO's layout."""
BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError, OverflowError)
"""Errors of h5py and numpy for malformed files."""
OTHERS = (".hdf5", ".h5", ".tfrecord", ".zarr", ".npz", ".parquet")
"""Suffixes of files that may contain demonstrations but are not read, or not under such a name."""
READ = f"demonstrations are *{SUFFIX} files in LIBERO's layout, or folders of LeRobot or RLDS sets"


class DataError(InputError):
    """Missing or invalid demonstrations; the message gives the command to type."""


@dataclass(frozen=True, slots=True)
class Source:
    """Location of a third-party demonstration."""

    place: Path
    """HDF5 file, or folder of a LeRobot or RLDS set."""
    entry: str
    """Group in the HDF5 file, number of the LeRobot episode, or file and first byte of the RLDS record."""
    rows: Array
    """[steps] int: row of each step."""
    steps: int
    """Number of its rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """One successful episode and its origin."""

    key: str
    """Identity, unique within a data set; for collected ones the episode's key."""
    suite: str
    task: str
    """Task name as the benchmark spells it."""
    instruction: str
    actions: Array
    """[steps, action size] float64 as executed."""
    states: Array
    """[steps, 1 + nq + nv] float64: time, qpos, qvel before each action; [steps, 0] if the set has none."""
    labels: Array
    """[steps, action size] float64: the expert's actions; equal to the executed ones without perturbation."""
    pushed: Array
    """[steps] bool: whether a push was part of the executed action."""
    robot_states: Array
    """[steps, 9] float64: fingers (2, m), grip site x y z (m), gripper quaternion x y z w, world frame; [steps, 0] if unknown."""
    seen_qpos: Array | None = None
    """[steps, nq] float64: joint values in the image before each action; None: those of `states`."""
    model: str = ""
    """MuJoCo model, XML; empty if unknown, or if `facts` contain the fixture poses."""
    source: Source | None = None
    """None for demonstrations that nora-bench wrote."""
    data_set: str = ""
    """Name of the folder that it was read from, under which a mixture weighs it."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able: `task_id`, `init_state`, `seed`, `protocol`, `expert`, `noise`, `assets`, `fixtures` (name -> x y z,
    qw qx qy qz), `columns` (joint -> first column of `states`; an object's free joint has seven: x y z, qw qx qy qz)."""

    def __len__(self) -> int:
        return len(self.actions)


def stored_demonstration(key: str, suite: str, instruction: str, actions: Array, states: Array, source: Source) -> Demonstration:
    """A stretch of a third-party episode with one instruction.

    Args:
        key: of the episode; a stretch that begins later adds its first row.
        suite: suite of its statistics.
        instruction: of all its steps.
        actions: [steps, action size].
        states: [steps, any] the robot's, as stored.
        source: the stretch's rows.
    """
    part = f"/row{source.rows[0]}" if source.rows[0] else ""
    return Demonstration(
        key=key + part,
        suite=suite,
        task=re.sub(r"\W+", "_", instruction),
        instruction=instruction,
        actions=actions,
        states=np.zeros((len(actions), 0)),
        labels=actions,
        pushed=np.zeros(len(actions), bool),
        robot_states=states,
        source=source,
    )


def import_h5py() -> Any:
    """The library. Raises MissingRequirementError."""
    try:
        import h5py
    except ImportError:
        raise MissingRequirementError("demonstrations are HDF5 files. Type: pip install 'nora-bench[train]'") from None
    return h5py


def task_file(folder: Path, task: str) -> Path:
    """File of a task's demonstrations."""
    return folder / f"{task}{SUFFIX}"


def task_files(folders: Sequence[Path]) -> list[Path]:
    """All files of demonstrations below the folders, sorted per folder. Raises DataError for a folder without any."""
    files = []
    for folder in folders:
        found = [folder] if folder.is_file() else sorted(folder.rglob(f"*{SUFFIX}"))
        if not found:
            raise DataError(_nothing_in(folder))
        files += found
    return files


def _nothing_in(folder: Path) -> str:
    """Why a folder has no demonstrations, and the remedy; never a command that writes into third-party data."""
    if not folder.exists():
        return f"{folder} not found. Type: nora-bench collect --suite libero_object --out {folder}"
    if not folder.is_dir() or not any(folder.iterdir()):
        return f"{folder} contains no *{SUFFIX}. Type: nora-bench collect --suite libero_object --out {folder}"
    if others := sorted({path.suffix for path in folder.rglob("*") if path.suffix in OTHERS}):
        return f"{folder} contains {', '.join(others)} files, which are not supported; {READ}"
    return f"{folder} contains no *{SUFFIX} and is not a LeRobot set (no meta/info.json); {READ}"


def keys(path: Path) -> list[str]:
    """Keys of the demonstrations in a task's file, in the file's order."""
    with _reading(path) as file:
        return [_own(group).get("key", _fallback_key(path, name)) for name, group in _groups(file)]


def read_file(path: Path, *, model: bool = False) -> Iterator[Demonstration]:
    """The demonstrations of one HDF5 file, nora-bench's or LIBERO's, in the file's order.

    Args:
        path: the file.
        model: read the models even where fixture poses are known (tens of kilobytes each).
    """
    with _h5py_file(path) as file:
        with naming(path):
            instruction, groups = _instruction(file, path), _groups(file)
        for name, group in groups:
            with naming(path):
                found = _read(path, name, group, instruction, model=model)
            yield found


def read_group(path: Path, entry: str, name: str) -> Array:
    """An array of one demonstration, like `obs/agentview_rgb` of `demo_3`. Raises DataError if it is missing."""
    with _reading(path) as file:
        *groups, last = name.split("/")
        found = _linked(_linked(file, "data"), entry)
        for part in groups:
            found = _linked(found, part)
        return _array(found, last)


def read_files(paths: Iterable[Path], *, model: bool = False, most: int | None = None) -> Iterator[Demonstration]:
    """The demonstrations of several files, file by file, at most `most` of each; see `read_file`."""
    for path in paths:
        yield from islice(read_file(path, model=model), most)


def _h5py_file(path: Path) -> Any:
    with naming(path):
        return import_h5py().File(path, "r")


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """The HDF5 file at that path. Raises DataError for unreadable files and contents."""
    with naming(path), import_h5py().File(path, "r") as file:
        yield file


@contextmanager
def naming(
    path: Path, problem: str = "not a file of demonstrations", kinds: tuple[type[Exception], ...] = BROKEN
) -> Iterator[None]:
    """Convert errors of libraries to DataError that names the file.

    Args:
        path: the file.
        problem: what is wrong with it, after `is`.
        kinds: errors to convert; others pass.
    """
    try:
        yield
    except DataError:
        raise
    except kinds as error:
        raise DataError(f"{path} is {problem}: {type(error).__name__}: {error}") from None


def _instruction(file: Any, path: Path) -> str:
    """The file's instruction; without one (OpenVLA's regenerated files), that of the task in its name."""
    attributes = _linked(file, "data").attrs
    if "problem_info" in attributes:
        words = parse_json(str(attributes["problem_info"]))["language_instruction"]
        return (words if isinstance(words, str) else " ".join(words)).strip('"')
    task = path.name.removesuffix(SUFFIX)
    if (known := instruction_of(task)) is not None:
        return known
    raise DataError(
        f"{path} has no attribute problem_info, the instruction, and no task of LIBERO is called {task}. Call the file "
        f"TASK{SUFFIX} (nora-bench list tasks --suite libero_object), or take the file that it was made of"
    )


def _groups(file: Any) -> list[tuple[str, Any]]:
    data = _linked(file, "data")
    return sorted(((name, _linked(data, name)) for name in data), key=lambda item: int(item[0].removeprefix("demo_")))


def _linked(group: Any, name: str) -> Any:
    """A member of an HDF5 group. Raises ValueError for a link to another file."""
    if isinstance(group.get(name, getlink=True), import_h5py().ExternalLink):
        raise ValueError(f"{name} is a link to another file")
    return group[name]


def _array(group: Any, name: str, steps: int | None = None) -> Array:
    """[steps, ...] finite numbers of a group, stored in this file itself."""
    found = _linked(group, name)
    if found.external or found.is_virtual:
        raise ValueError(f"{name} is stored in another file")
    if found.dtype.kind not in "fiub" or found.nbytes > LARGEST_ARRAYS or not found.ndim:
        raise ValueError(f"{name} contains {found.dtype} {list(found.shape)}, not plain numbers that can be read")
    if steps is not None and len(found) != steps:
        raise ValueError(f"{name} has {len(found)} rows for {steps} actions")
    array = np.asarray(found)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains non-finite numbers")
    return array


def _own(group: Any) -> dict[str, Any]:
    """nora-bench's attribute; empty in files of LIBERO."""
    facts = parse_json(str(group.attrs.get(OWN, "{}")))
    if not isinstance(facts.get("key", ""), str) or not is_name(facts.get("suite", "libero")):
        raise ValueError(f"its key is {facts.get('key')!r} and its suite {facts.get('suite')!r}")
    return facts


def _fallback_key(path: Path, name: str) -> str:
    return f"{path.parent.name}/{path.name.removesuffix(SUFFIX)}/{name}"


def _read(path: Path, name: str, group: Any, instruction: str, *, model: bool) -> Demonstration:
    facts, task = _own(group), path.name.removesuffix(SUFFIX)
    actions = _array(group, "actions").astype(np.float64)
    steps = len(actions)
    if actions.ndim != 2 or not steps:
        raise ValueError(f"{name} has actions {list(actions.shape)}")

    source = None if facts else Source(path, name, np.arange(steps), steps)

    def rows(part: str, otherwise: Any) -> Any:
        return _array(group, part, steps) if part in group else otherwise

    return Demonstration(
        key=facts.pop("key", _fallback_key(path, name)),
        suite=facts.pop("suite", None) or suite_of(path.parent.name, [task]),
        task=task,
        instruction=instruction,
        actions=actions,
        states=rows("states", np.zeros((steps, 0))),
        labels=rows("labels", actions),
        pushed=rows("pushed", np.zeros(steps)).astype(bool),
        robot_states=rows("robot_states", np.zeros((steps, 0))),
        seen_qpos=rows("seen_qpos", None),
        model=str(group.attrs.get("model_file", "")) if model or "fixtures" not in facts else "",
        source=source,
        facts=facts,
    )


LIBERO = (*suites.LIBERO, "libero_90")


def instruction_of(task: str) -> str | None:
    """Instruction of LIBERO's task of that name; None for an unknown task."""
    return next((_instructions(suite)[task] for suite in LIBERO if task in _instructions(suite)), None)


@cache
def _instructions(suite: str) -> dict[str, str]:
    """Task -> instruction."""
    return {task.name: task.instruction for task in suites.get(suite).tasks}


def is_task(suite: str, task: str) -> bool:
    """Whether LIBERO has that suite and task."""
    return suite in LIBERO and task in _instructions(suite)


def suite_of(name: str, tasks: Iterable[str] = (), instructions: Iterable[str] = ()) -> str:
    """Suite of a folder, by its name (`libero_object_no_noops` is libero_object) or its contents.

    Args:
        name: name of the folder.
        tasks: names of tasks in it.
        instructions: instructions in it.

    Returns:
        The LIBERO suite that has all those tasks and instructions and whose name starts the folder's, else the only suite that
        has them, else the folder's name.
    """
    tasks, instructions = set(tasks), set(instructions)
    known = [s for s in LIBERO if tasks <= set(_instructions(s)) and instructions <= set(_instructions(s).values())]
    called = [suite for suite in known if name == suite or name.startswith(f"{suite}_")]
    return (called or (known if len(known) == 1 and (tasks or instructions) else []) or [name])[0]
