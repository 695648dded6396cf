"""Demonstrations as values, and as files in the layout of LIBERO's data sets.

One file per task, `<task>_demo.hdf5`, one group per demonstration, as LIBERO's `create_dataset.py` writes them, without
images, which are rendered from the states (`images`). Additional arrays: `labels` (the expert's unperturbed actions), `pushed`
and `seen_qpos`; additional attribute: `nora_bench`, a JSON object. Row t of every array precedes action t (observations in
LIBERO's own files follow it).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ...envs.errors import InputError, MissingRequirementError
from ...envs.safe_io import LARGEST_ARRAYS, is_name, parse_json
from ...envs.types import Array
from .known_tasks import instruction_of, suite_of

SUFFIX = "_demo.hdf5"
OWN = "nora_bench"
"""Attribute for facts outside LIBERO's layout."""
BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError, OverflowError)
"""Errors of h5py and numpy for malformed files."""
OTHERS = (".hdf5", ".h5", ".tfrecord", ".zarr", ".npz", ".parquet")
"""Suffixes of files that may contain demonstrations but are not read, or not under such a name."""
READ = f"demonstrations are *{SUFFIX} files in LIBERO's layout, or folders of LeRobot sets"


class DataError(InputError):
    """Missing or invalid demonstrations; the message gives the command to type."""


@dataclass(frozen=True, slots=True)
class Source:
    """Location of a third-party demonstration."""

    place: Path
    """HDF5 file, or folder of a LeRobot set."""
    entry: str
    """Group in the HDF5 file, or number of the LeRobot episode."""
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
    facts: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able: `task_id`, `init_state`, `seed`, `protocol`, `expert`, `noise`, `assets`, `fixtures` (name -> x y z,
    qw qx qy qz), `columns` (joint -> first column of `states`; an object's free joint has seven: x y z, qw qx qy qz)."""

    def __len__(self) -> int:
        return len(self.actions)


def _h5py() -> Any:
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


def append(folder: Path, demonstration: Demonstration) -> None:
    """Add a demonstration to its task's file atomically; an existing one is kept."""
    path = task_file(folder, demonstration.task)
    if path.exists() and demonstration.key in keys(path):
        return
    h5py = _h5py()
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    if path.exists():
        shutil.copyfile(path, scratch)
    try:
        with h5py.File(scratch, "a") as file:
            _add(file, demonstration)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _add(file: Any, demonstration: Demonstration) -> None:
    data = file.require_group("data")
    if "num_demos" not in data.attrs:
        data.attrs.update(_task_attributes(demonstration))
    number = int(data.attrs["num_demos"])
    group = data.create_group(f"demo_{number}")
    last = np.zeros(len(demonstration), np.uint8)
    last[-1:] = 1
    arrays = {"actions": demonstration.actions, "states": demonstration.states, "labels": demonstration.labels}
    arrays |= {"pushed": demonstration.pushed, "robot_states": demonstration.robot_states, "rewards": last, "dones": last}
    if demonstration.seen_qpos is not None:
        arrays["seen_qpos"] = demonstration.seen_qpos
    for name, array in arrays.items():
        group.create_dataset(name, data=array, compression="gzip", shuffle=True)
    group.attrs["num_samples"] = len(demonstration)
    group.attrs["init_state"] = demonstration.states[0]
    group.attrs["model_file"] = demonstration.model
    group.attrs[OWN] = json.dumps({"key": demonstration.key, "suite": demonstration.suite, **demonstration.facts})
    data.attrs["num_demos"] = number + 1
    data.attrs["total"] = int(data.attrs["total"]) + len(demonstration)


def _task_attributes(demonstration: Demonstration) -> dict[str, Any]:
    """File attributes that LIBERO's tools need."""
    from ...envs.libero.sim.install import libero_root

    place = f"bddl_files/{demonstration.suite}/{demonstration.task}.bddl"
    text = (libero_root() / place).read_text(encoding="utf-8")
    problem = text.partition("(problem ")[2].partition(")")[0].strip()
    info = {"problem_name": problem.lower(), "domain_name": "robosuite", "language_instruction": demonstration.instruction}
    arguments = {"type": 1, "env_name": problem, "problem_name": problem.lower(), "bddl_file": place}
    return {
        "num_demos": 0,
        "total": 0,
        "tag": "libero-v1",
        "env_name": problem,
        "problem_info": json.dumps(info),
        "macros_image_convention": "opengl",
        "bddl_file_name": place,
        "bddl_file_content": text,
        "env_args": json.dumps({**arguments, "env_kwargs": {**ENVIRONMENT, "bddl_file_name": place}}),
    }


ENVIRONMENT: Mapping[str, Any] = {
    "robots": ["Panda"],
    "controller_configs": {
        "type": "OSC_POSE",
        "input_max": 1,
        "input_min": -1,
        "output_max": [0.05, 0.05, 0.05, 0.5, 0.5, 0.5],
        "output_min": [-0.05, -0.05, -0.05, -0.5, -0.5, -0.5],
        "kp": 150,
        "damping_ratio": 1,
        "impedance_mode": "fixed",
        "kp_limits": [0, 300],
        "damping_ratio_limits": [0, 10],
        "position_limits": None,
        "orientation_limits": None,
        "uncouple_pos_ori": True,
        "control_delta": True,
        "interpolation": None,
        "ramp_ratio": 0.2,
    },
    "has_renderer": False,
    "has_offscreen_renderer": True,
    "ignore_done": True,
    "use_camera_obs": True,
    "camera_depths": False,
    "camera_names": ["robot0_eye_in_hand", "agentview"],
    "reward_shaping": True,
    "control_freq": 20,
    "camera_heights": 128,
    "camera_widths": 128,
    "camera_segmentations": None,
}
"""Keyword arguments of LIBERO's environment, as in its data sets: robosuite's OSC_POSE at 20 Hz."""


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
        return _h5py().File(path, "r")


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """The HDF5 file at that path. Raises DataError for unreadable files and contents."""
    with naming(path), _h5py().File(path, "r") as file:
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
    if isinstance(group.get(name, getlink=True), _h5py().ExternalLink):
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
