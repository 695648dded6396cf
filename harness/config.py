"""What a run is asked to do, checked in one place.

The same fields come from command-line options, from `NORA_BENCH_*` variables, from a YAML file, and from the
`config` of an earlier run's `run.json`. `RunConfig` knows no suite and no policy; names are looked up in `plan`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..envs.errors import nearest
from ..envs.safe_io import parse_yaml
from .errors import InputError

AUTO = "auto"
HOW = frozenset(
    {
        "workers",
        "timeout",
        "retries",
        "order",
        "out",
        "video",
        "python",
        "executor",
        "policy_replicas",
        "policy_gpus",
        "policy_check",
    }
)
"""Fields that change how a run is done and never what comes out; a resumed run may change them."""
VIDEO = ("none", "failures", "all")
EXECUTORS = ("local", "ray")
ORDERS = ("tasks", "rounds")
MOST_SEEDS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """One run as asked for, every value checked for itself. Build it with `parse`."""

    suite: tuple[str, ...]
    """Suites or groups of suites, by name, `module:attribute` or `file.py:attribute`."""
    tasks: tuple[str, ...] = ()
    """Task ids or names; empty for all."""
    episodes: int | None = None
    """Episodes per task and seed, from the first initial state on, over all variants of a task that has some
    (`harness.sample`); None for all."""
    init_states: tuple[int, ...] = ()
    """Initial states; empty for all."""
    seeds: tuple[int, ...] = (0,)
    policy: str = "nora-1.5-nano"
    """Name, `module:Class` or `file.py:Class`; the default is the trained model that comes with the package."""
    policy_arg: Mapping[str, str] = field(default_factory=dict)
    protocol: str | None = None
    """Name; None for the suites' own default."""
    workers: int | str = AUTO
    """Worker processes, or `auto`."""
    executor: str = "local"
    """Where worlds and policy run, one of `EXECUTORS`: processes of this machine, or actors of a Ray cluster."""
    policy_replicas: int = 1
    """Copies of the policy (Ray only)."""
    policy_gpus: float | str = AUTO
    """GPUs, or a share of one, for each copy of the policy (Ray only); `auto` divides those of the cluster, one each at most."""
    policy_check: bool = True
    """Whether a run with more than one worker first asks the policy again about its first episodes, alone and in company
    (`harness.policy_check`; not with Ray)."""
    max_steps: int | None = None
    """Control steps per episode; None for the protocol's budget."""
    assets: str = AUTO
    """`auto`, `official`, `standin`, or a folder."""
    backend: str | None = None
    """Which of the suites' backends plays; None for their default."""
    python: Mapping[str, str] = field(default_factory=dict)
    """Family of suites -> interpreter for its workers, where it is not this one."""
    out: str | None = None
    """Folder of the run; None for a new one under `runs/`."""
    timeout: float = 300.0
    """Seconds after which a worker that does not answer is replaced."""
    retries: int = 2
    """Times an episode is played again after its worker was lost."""
    until: str | None = None
    """Condition under which fewer episodes are enough (`results.sequential`); None plays all."""
    order: str = "tasks"
    """Order in which episodes are played, one of `ORDERS`: task after task, or one initial state of every task after the
    other (`results.rounds`), so that a run that ends before its time is a fair sample. `until` always takes rounds."""
    video: str = "none"
    """Episodes that are filmed when the run is over, one of `VIDEO`."""

    def to_json(self) -> dict[str, Any]:
        """JSON-able; `parse` gives the same configuration back."""
        return json.loads(json.dumps(asdict(self)))


def parse(values: Mapping[str, Any]) -> RunConfig:
    """The configuration in option strings or parsed YAML; None stands for not given. Raises InputError."""
    values = {name.replace("-", "_"): value for name, value in values.items() if value is not None}
    known = [f.name for f in fields(RunConfig)]
    for name in values:
        if name not in known:
            raise InputError(f"unknown field {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    if not values.get("suite"):
        raise InputError("no suite given. Type: nora-bench run --suite libero   (or see `nora-bench list suites`)")
    return RunConfig(**{name: _field(name, value) for name, value in values.items()})


def _field(name: str, value: Any) -> Any:
    try:
        return PARSERS[name](value)
    except (ValueError, TypeError) as error:
        option = "--" + name.replace("_", "-")
        raise InputError(f"{option} {value!r}: {error}") from None


def read_file(path: Path) -> dict[str, Any]:
    """Fields in a YAML file, or those of an earlier run where the file is its `run.json` (less its folder)."""
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--config {path}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"--config {path} is not YAML: {error}") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise InputError(f"--config {path} holds no fields; write `suite: libero` and so on, one per line")
    if isinstance(values.get("config"), dict):
        return {name: value for name, value in values["config"].items() if name != "out"}
    return values


def integers(text: Any) -> tuple[int, ...]:
    """`0,3-5` or a list -> (0, 3, 4, 5), in the order given, without repeats."""
    out: dict[int, None] = {}
    for part in _items(text):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", str(part).strip())
        if not match:
            raise ValueError("numbers and ranges, like 0,3-5")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first > 100_000:
            raise ValueError(f"{part} is not a range")
        out.update(dict.fromkeys(range(first, last + 1)))
    return tuple(out)


def _items(value: Any) -> list[Any]:
    """A list, a comma-separated string or one value, as a list."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value) if isinstance(value, list | tuple) else [value]


def _seeds(value: Any) -> tuple[int, ...]:
    """`3` -> (0, 1, 2); `7,8,9` or `7-9` -> those; `7,` -> (7,)."""
    if isinstance(value, int) or (isinstance(value, str) and value.strip().isdigit()):
        count = _positive(value)
        return tuple(range(count)) if count <= MOST_SEEDS else _refuse(f"at most {MOST_SEEDS} seeds")
    return integers(value) or _refuse("a number of seeds, or a list like 7,8,9")


def _tasks(value: Any) -> tuple[str, ...]:
    """Ids (ranges spelled out) and names."""
    out: dict[str, None] = {}
    for part in _items(value):
        ids = integers(part) if re.fullmatch(r"\d+(-\d+)?", str(part)) else (part,)
        out.update(dict.fromkeys(str(item) for item in ids))
    return tuple(out)


def arguments(value: Any) -> dict[str, str]:
    """`k=v` strings, or a mapping. Raises ValueError."""
    if isinstance(value, Mapping):
        return {str(k): v if isinstance(v, str) else json.dumps(v) for k, v in value.items()}
    pairs = [str(item).partition("=") for item in (value if isinstance(value, list | tuple) else [value])]
    if not all(name and equals for name, equals, _ in pairs):
        raise ValueError("arguments are given as name=value")
    return {name: text for name, _, text in pairs}


def _number(value: Any, least: int) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"-?\d+", str(value).strip()) or int(value) < least:
        raise ValueError(f"a whole number from {least}")
    return int(value)


def _positive(value: Any) -> int:
    return _number(value, 1)


def _workers(value: Any) -> int | str:
    return AUTO if value == AUTO else _positive(value)


def _gpus(value: Any) -> float | str:
    share = AUTO if value == AUTO else float(value)
    return share if share == AUTO or 0 <= share < 1e3 else _refuse("a number of GPUs, like 1 or 0.5, or auto")


def _switch(value: Any) -> bool:
    named = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    found = named.get(str(value).lower())
    return found if found is not None else _refuse("true or false")


def _executor(value: Any) -> str:
    return value if value in EXECUTORS else _refuse(f"one of {', '.join(EXECUTORS)}")


def _seconds(value: Any) -> float:
    seconds = float(value)
    return seconds if 0 < seconds < 1e9 else _refuse("a number of seconds above 0")


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value else _refuse("a text")


def _until(value: Any) -> str:
    from ..results.statistics.sequential import parse as parse_condition

    parse_condition(_text(value))
    return value


def _order(value: Any) -> str:
    return value if value in ORDERS else _refuse(f"one of {', '.join(ORDERS)}")


def _video(value: Any) -> str:
    return value if value in VIDEO else _refuse(f"one of {', '.join(VIDEO)}")


def _refuse(wanted: str) -> Any:
    raise ValueError(wanted)


PARSERS: dict[str, Callable[[Any], Any]] = {
    "suite": lambda value: tuple(dict.fromkeys(_text(item) for item in _items(value))),
    "tasks": _tasks,
    "episodes": _positive,
    "init_states": integers,
    "seeds": _seeds,
    "policy": _text,
    "policy_arg": arguments,
    "protocol": _text,
    "workers": _workers,
    "executor": _executor,
    "policy_replicas": _positive,
    "policy_gpus": _gpus,
    "policy_check": _switch,
    "max_steps": _positive,
    "assets": _text,
    "backend": _text,
    "python": arguments,
    "out": _text,
    "timeout": _seconds,
    "retries": lambda value: _number(value, 0),
    "until": _until,
    "order": _order,
    "video": _video,
}
"""Field -> what turns an option's text or a YAML value into it. Raises ValueError saying what is wanted."""
