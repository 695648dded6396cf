"""Configuration of a run, checked in one place.

The fields come from command-line options, from `NORA_BENCH_*` variables, from a YAML file, and from the
`config` of an earlier run's `run.json`. `RunConfig` knows no suite and no policy; names are looked up in `planning`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn

from ..envs.base import FRESH
from ..envs.errors import InputError, UnknownName
from ..envs.safe_io import parse_yaml

AUTO = "auto"
VIDEO = ("none", "failures", "all")
EXECUTORS = ("local", "ray")
ORDERS = ("tasks", "rounds")
MOST_SEEDS = 100_000
PRESET = "-robust"
"""End of the names of presets: `envs/perturbations/axes.toml` is read only for these."""

Parser = Callable[[Any], Any]
"""Converts an option's text or a YAML value into a field's value. Raises ValueError with the expected form."""


def integers(text: Any, example: str = "0,3-5") -> tuple[int, ...]:
    """`0,3-5` or a list -> (0, 3, 4, 5), in the order given, without repeats. Errors show the example."""
    out: dict[int, None] = {}
    for part in _items(text):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", str(part).strip())
        if not match:
            raise ValueError(f"expected numbers and ranges, like {example}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first > 100_000:
            raise ValueError(f"{part} is not a range")
        out.update(dict.fromkeys(range(first, last + 1)))
    return tuple(out)


def init_states(value: Any) -> tuple[int | str, ...]:
    """`0,3-5` -> (0, 3, 4, 5), of the published set; `fresh:0-2` -> ("fresh:0", "fresh:1", "fresh:2"). Never of both sets."""
    parts = [str(part) for part in _items(value)]
    prefix = f"{FRESH}:"
    fresh = [part.startswith(prefix) for part in parts]
    if any(fresh) and not (
        fresh[0] and all(other or part.strip()[:1].isdigit() for part, other in zip(parts, fresh, strict=True))
    ):
        raise ValueError(f"expected published or fresh initial states, like 0-9 or {prefix}0-9; run one set after the other")
    numbers = integers([part.removeprefix(prefix) for part in parts], f"0,3-5 or {prefix}0-9")
    if not numbers and isinstance(value, str):  # an empty list, as a run's `run.json` has it, means all
        _reject(f"initial states, like 0-9 or {prefix}0-9; all: omit it")
    return tuple(f"{prefix}{number}" for number in numbers) if any(fresh) else numbers


def split_state(state: int | str) -> tuple[str, int]:
    """(set, index) of one of `init_states`: (`""`, 3), or (`fresh`, 3)."""
    return (FRESH, int(state.removeprefix(f"{FRESH}:"))) if isinstance(state, str) else ("", state)


def join_state(init_set: str, number: int) -> int | str:
    """The entry of `init_states` that `split_state` splits."""
    return f"{init_set}:{number}" if init_set else number


def _items(value: Any) -> list[Any]:
    """A list, a comma-separated string or one value, as a list."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value) if isinstance(value, list | tuple) else [value]


def _seeds(value: Any) -> tuple[int, ...]:
    """`3` -> (0, 1, 2); `7,8,9` or `7-9` -> those; `7,` -> (7,)."""
    if isinstance(value, int) or (isinstance(value, str) and value.strip().isdigit()):
        count = _positive(value)
        return tuple(range(count)) if count <= MOST_SEEDS else _reject(f"at most {MOST_SEEDS} seeds")
    return integers(value) or _reject("a number of seeds, or a list like 7,8,9")


def _tasks(value: Any) -> tuple[str, ...]:
    """Ids (ranges spelled out) and names; an empty list, as a run's `run.json` has it, means all."""
    out: dict[str, None] = {}
    for part in _items(value):
        ids = integers(part) if re.fullmatch(r"\d+(-\d+)?", str(part)) else (part,)
        out.update(dict.fromkeys(str(item) for item in ids))
    return tuple(out) if out or isinstance(value, list | tuple) else _reject("task ids or names, like 0,3-5; all: omit it")


def arguments(value: Any) -> dict[str, str]:
    """`k=v` strings, or a mapping. Raises ValueError."""
    if isinstance(value, Mapping):
        return {str(k): v if isinstance(v, str) else json.dumps(v) for k, v in value.items()}
    pairs = [str(item).partition("=") for item in (value if isinstance(value, list | tuple) else [value])]
    if not all(name and equals for name, equals, _ in pairs):
        raise ValueError("expected name=value")
    return {name: text for name, _, text in pairs}


def _number(value: Any, least: int) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"-?\d+", str(value).strip()) or int(value) < least:
        raise ValueError(f"expected a whole number from {least}")
    return int(value)


def _positive(value: Any) -> int:
    return _number(value, 1)


def _workers(value: Any) -> int | str:
    return AUTO if value == AUTO else _positive(value)


def _float(value: Any) -> float:
    """A number; NaN, which no range contains, for anything else."""
    try:
        return float(value)
    except (ValueError, TypeError):
        return math.nan


def _gpus(value: Any) -> float | str:
    share = AUTO if value == AUTO else _float(value)
    return share if share == AUTO or 0 <= share < 1e3 else _reject("a number of GPUs, like 1 or 0.5, or auto")


def _switch(value: Any) -> bool:
    named = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    switch = named.get(str(value).lower())
    return switch if switch is not None else _reject("true or false")


def _seconds(value: Any) -> float:
    seconds = _float(value)
    return seconds if 0 < seconds < 1e9 else _reject("a number of seconds above 0")


def _perturbations(value: Any) -> tuple[str, ...]:
    """Names of `envs.perturbations.get`; ranges and axes spelled out."""
    from ..envs.perturbations.axes import parse as parse_names

    names = parse_names(map(str, _items(value)))
    return names if names or not isinstance(value, str) else _reject("axes and levels, like camera:1-3,light:2; none: omit it")


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value else _reject("text that is not empty")


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_text(item) for item in _items(value)))


def _suites(value: Any) -> tuple[str, ...]:
    return _texts(value) or _reject("a suite or group, see `nora-bench list suites`")


def _until(value: Any) -> str:
    from ..results.comparisons.sequential import parse as parse_condition

    parse_condition(_text(value))
    return value


def _one_of(values: tuple[str, ...]) -> Parser:
    return lambda value: value if value in values else _reject(f"one of {', '.join(values)}")


def _reject(expected: str) -> NoReturn:
    raise ValueError(f"expected {expected}")


def option(
    parse: Parser, default: Any = MISSING, *, shown: str = "", repeatable: bool = False, execution_only: bool = False
) -> Any:
    """A field that is also an option of the command line (`cli.options`); the docstring below it is the option's help.

    Args:
        parse: converts text or a YAML value.
        default: value where the option is not given.
        shown: default as the help shows it.
        repeatable: whether the option may be given several times.
        execution_only: whether the field never affects results, so that a resumed run may change it.
    """
    metadata = {"parse": parse, "shown": shown, "repeatable": repeatable, "execution_only": execution_only}
    return field(default_factory=dict, metadata=metadata) if default == {} else field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Configuration of one run, every value checked for itself. Build it with `parse`."""

    suite: tuple[str, ...] = option(_suites, repeatable=True)
    """Suite or group, module:attribute or file.py:attribute; repeatable."""
    tasks: tuple[str, ...] = option(_tasks, (), shown="all")
    """Task ids or names, like 0,3-5."""
    episodes: int | None = option(_positive, None, shown="all initial states")
    """Episodes per task and seed. They start at the first initial state, over all variants of a task (`plan.spread_evenly`)."""
    init_states: tuple[int | str, ...] = option(init_states, (), shown="all published")
    """Initial states, like 40-49; fresh:0-9 are states that no published evaluation used."""
    seeds: tuple[int, ...] = option(_seeds, (0,), shown="1")
    """Number of seeds, or the seeds: 3 (0,1,2) or 7,8,9."""
    perturb: tuple[str, ...] = option(_perturbations, (), shown="none")
    """Also run each episode under these changes, one at a time: axis:level, like camera:1-3,language:none, or all. See
    `nora-bench list perturbations`."""
    control: str | None = option(_text, None, shown="run them, too", execution_only=True)
    """With --perturb: run whose episodes are the controls; those that it lacks are run."""
    policy: str = option(_text, "nora-1.5-nano", shown="nora-1.5-nano")
    """Name, module:Class or file.py:Class. The default is the trained model that comes with the package."""
    policy_arg: Mapping[str, str] = option(arguments, {}, repeatable=True)
    """Argument name=value of the policy; repeatable."""
    protocol: str | None = option(_text, None, shown="the suite's own")
    """Evaluation protocol."""
    workers: int | str = option(_workers, AUTO, shown=AUTO, execution_only=True)
    """Worker processes, or auto: by cores and memory."""
    executor: str = option(_one_of(EXECUTORS), "local", shown="local", execution_only=True)
    """local: processes of this machine; ray: actors of a Ray cluster."""
    policy_replicas: int = option(_positive, 1, shown="1", execution_only=True)
    """Ray only: copies of the policy."""
    policy_gpus: float | str = option(_gpus, AUTO, shown=AUTO, execution_only=True)
    """Ray only: GPUs for each copy, like 0.5. `auto` divides the cluster's GPUs, at most one each."""
    policy_check: bool = option(_switch, True, execution_only=True)
    """Check at the start that the policy keeps episodes apart. With several workers, the policy is queried again about its
    first episodes, singly and batched (`execution.policy_check`; not with Ray)."""
    max_steps: int | None = option(_positive, None, shown="the protocol's")
    """Control steps per episode."""
    assets: str = option(_text, AUTO, shown=AUTO)
    """Asset pack: auto, official, standin, or a folder."""
    backend: str | None = option(_text, None, shown="its first")
    """Backend of the suite."""
    python: Mapping[str, str] = option(arguments, {}, shown="this one", repeatable=True, execution_only=True)
    """Interpreter of a family's workers: family=/path/to/python."""
    out: str | None = option(_text, None, shown="a new one in runs/", execution_only=True)
    """Folder of the run; never overwritten."""
    timeout: float = option(_seconds, 300.0, shown="300", execution_only=True)
    """Seconds until a silent worker is replaced."""
    retries: int = option(lambda value: _number(value, 0), 2, shown="2", execution_only=True)
    """Times an episode is run again after its worker was lost."""
    until: str | None = option(_until, None, shown="all episodes")
    """Stop early with a valid sequential test: 'width<5' (points) or 'A>runs/B'. See `results.statistics.sequential`."""
    order: str = option(_one_of(ORDERS), "tasks", shown="tasks", execution_only=True)
    """Order of episodes: tasks, one after the other; rounds, one initial state of every task after the other. With rounds, a
    run that ends early is a fair sample; `until` always takes rounds."""
    video: str = option(_one_of(VIDEO), "none", shown="none", execution_only=True)
    """Render videos after the run: none, failures or all."""

    def to_json(self) -> dict[str, Any]:
        """JSON-able; `parse` gives the same configuration back."""
        return json.loads(json.dumps(asdict(self)))


EXECUTION_ONLY = frozenset(field.name for field in fields(RunConfig) if field.metadata["execution_only"])
"""Execution-only fields: they never affect results, so a resumed run may change them."""


def parse(values: Mapping[str, Any]) -> RunConfig:
    """The configuration of option strings or parsed YAML; None means not given. Raises InputError."""
    values = {name.replace("-", "_"): value for name, value in values.items() if value is not None}
    known = {field.name: field for field in fields(RunConfig)}
    for name in values:
        if name not in known:
            raise UnknownName("field", name, known)
    values = _with_preset(values)
    if not values.get("suite"):
        message = "no suite given. Type: nora-bench run --suite libero   (or see `nora-bench list suites`)"
        raise InputError(message, option="--suite")
    return RunConfig(**{name: _parsed(known[name], value) for name, value in values.items()})


def _with_preset(values: dict[str, Any]) -> dict[str, Any]:
    """The options behind a preset's name of `--suite`; options that are given have precedence."""
    suites = _items(values.get("suite") or ())
    if not any(str(name).endswith(PRESET) for name in suites):
        return values
    from ..envs.perturbations.axes import presets

    preset = presets().get(suites[0]) if len(suites) == 1 else None
    if preset is None:
        return values
    options = {"suite": preset.suite, "perturb": preset.perturb, "init_states": preset.init_states}
    return {**options, **{name: value for name, value in values.items() if name != "suite"}}


def _parsed(field: Field[Any], value: Any) -> Any:
    try:
        return field.metadata["parse"](value)
    except (ValueError, TypeError) as error:
        name = "--" + field.name.replace("_", "-")
        raise InputError(f"{name} {value!r}: {error}", option=name, value=value) from None


def recorded_config(config: Any, run: Path) -> dict[str, Any]:
    """The `config` of a stored run, for `parse`. Raises InputError where its run.json has none."""
    if not isinstance(config, Mapping) or not config:
        message = (
            f"{run / 'run.json'} has no `config`, the options of the run. Its episodes can be read: nora-bench show {run}. "
            "To run episodes again, type: nora-bench run --suite NAME --out NEW_FOLDER"
        )
        raise InputError(message, option="config", value=str(run))
    return dict(config)


def read_file(path: Path) -> dict[str, Any]:
    """Fields in a YAML file, or those of an earlier run where the file is its `run.json` (less its folder)."""
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--config {path}: {error.strerror}", option="--config", value=path) from None
    except ValueError as error:
        raise InputError(f"--config {path} is not YAML: {error}", option="--config", value=path) from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        message = f"--config {path} contains no fields; write `suite: libero` and so on, one per line"
        raise InputError(message, option="--config", value=path)
    if isinstance(values.get("config"), dict):
        return {name: value for name, value in values["config"].items() if name != "out"}
    return values
