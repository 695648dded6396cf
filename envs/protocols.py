"""Evaluation protocols as data: everything in which published evaluations of one benchmark differ.

The numbers live in `protocols.toml`, each with its source; this module reads and checks them. A protocol's
`version` grows when its results would change, and tables print both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib.resources import files
from typing import Any

from .errors import UnknownName

STORED_NAMES = {"max_steps": "budget", "replan_steps": "replan", "perturbation": "push"}
"""Field -> its name in `protocols.toml`, in run.json and on the wire, where the two differ."""


@dataclass(frozen=True, slots=True)
class EvalProtocol:
    """One way to evaluate, complete: two runs under equal protocols may be compared."""

    name: str
    version: int
    family: str
    """Suites of this family may be evaluated under it."""
    source: str
    """Origin of the numbers."""
    max_steps: Mapping[str, int]
    """Suite, or `suite/task` where a task has its own -> control steps after settling; an episode that has not succeeded
    by then has failed. Stored as `budget`."""
    settle_steps: int
    settle_action: tuple[float, ...]
    image_size: int
    """Width of the rendered image in pixels; LIBERO's are square, SimplerEnv's have 4/5 of it in height (WidowX 3/4)."""
    rotate_180: bool
    """Whether images are rotated by 180 degrees before the policy receives them."""
    replan_steps: int | None
    """Steps executed per decision; None: the whole chunk that the policy returns. Stored as `replan`."""
    success: str
    """`any_step`: the goal holds after any step, and the episode ends there. `chunk_end`: checked only after the
    last step of a chunk. `last_step`: after the last step of the episode."""
    model_image: Mapping[str, Any] = field(default_factory=dict)
    """Preprocessing that the published evaluation applies before its model: `size`, `filter`, `jpeg`, `crop`."""
    gripper: str = "env"
    """Conversion of a model's gripper output to an action; see the policy adapters."""
    ensemble: Mapping[str, Any] = field(default_factory=dict)
    """Temporal ensembling over overlapping chunks: `chunks`, `temperature`; empty for none."""
    perturbation: Mapping[str, int] = field(default_factory=dict)
    """Before the first decision the end effector is pushed in a direction sampled from the episode's key: `steps` control
    steps of full command, then `rest` of none; empty for none. Stored as `push`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Settings in which its environments differ from the suite's; those of SimplerEnv's WidowX: `control` = `absolute`,
    `sink_setup` = `x-vla`."""
    notes: str = ""

    def __post_init__(self) -> None:
        if self.success not in ("any_step", "chunk_end", "last_step"):
            raise ValueError(f"protocol {self.name}: success must be any_step, chunk_end or last_step, not {self.success!r}")
        if self.replan_steps is not None and self.replan_steps < 1:
            raise ValueError(f"protocol {self.name}: replan must be at least 1, not {self.replan_steps}")

    def steps(self, suite: str, task: str = "") -> int:
        """Step limit of a suite's task in control steps. Raises KeyError with the suites that the protocol knows."""
        try:
            return self.max_steps.get(f"{suite}/{task}") or self.max_steps[suite]
        except KeyError:
            raise KeyError(f"protocol {self.name} has no step budget for {suite}; it knows {', '.join(self.max_steps)}") from None

    def to_json(self) -> dict[str, Any]:
        """All fields, under their stored names; `environment` only where it is set."""
        values = {STORED_NAMES.get(name, name): value for name, value in asdict(self).items()}
        return {name: value for name, value in values.items() if name != "environment" or value}

    @staticmethod
    def renamed(stored: Mapping[str, Any]) -> dict[str, Any]:
        """Stored names -> field names; the values as they are."""
        names = {stored_name: name for name, stored_name in STORED_NAMES.items()}
        return {names.get(name, name): value for name, value in stored.items()}


@cache
def _all() -> dict[str, EvalProtocol]:
    import tomllib  # only where protocols are looked up by name: workers receive theirs, and may run Python 3.10

    table = tomllib.loads(files(__name__.rpartition(".")[0]).joinpath("protocols.toml").read_text(encoding="utf-8"))
    known = {STORED_NAMES.get(f.name, f.name) for f in fields(EvalProtocol)}
    out = {}
    for name, values in table.items():
        unknown = set(values) - known
        if unknown:
            raise ValueError(f"protocols.toml: {name} has unknown fields {sorted(unknown)}")
        values["settle_action"] = tuple(values["settle_action"])
        out[name] = EvalProtocol(name=name, **EvalProtocol.renamed({"replan": None, **values}))
    return out


def names() -> tuple[str, ...]:
    """All protocol names."""
    return tuple(_all())


def get(name: str) -> EvalProtocol:
    """The protocol of that name. Raises UnknownName."""
    try:
        return _all()[name]
    except KeyError:
        raise UnknownName("protocol", name, names(), "see `nora-bench list protocols`") from None
