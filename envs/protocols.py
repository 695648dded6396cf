"""Evaluation protocols as data: everything in which published evaluations of one benchmark differ.

The numbers live in `protocols.toml`, each with its source; this module reads and checks them. A protocol's
`version` grows when its results would change, and tables print both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.resources import files
from typing import Any

from .errors import UnknownName


@dataclass(frozen=True, slots=True)
class EvalProtocol:
    """One way to evaluate, complete: two runs under equal protocols may be compared."""

    name: str
    version: int
    family: str
    """Suites of this family may be played under it."""
    source: str
    """Where the numbers come from."""
    budget: Mapping[str, int]
    """Suite, or `suite/task` where a task has its own -> control steps after settling; an episode that has not succeeded
    by then has failed."""
    settle_steps: int
    settle_action: tuple[float, ...]
    image_size: int
    """Width of the rendered picture in pixels; LIBERO's are square, SimplerEnv's have 4/5 of it in height."""
    rotate_180: bool
    """Whether pictures are turned by 180 degrees before the policy sees them."""
    replan: int | None
    """Steps executed per decision; None: the whole chunk that the policy returns."""
    success: str
    """`any_step`: the goal holds after any step, and the episode ends there. `chunk_end`: looked at only after the
    last step of a chunk. `last_step`: after the last step of the episode."""
    model_image: Mapping[str, Any] = field(default_factory=dict)
    """Preprocessing that the published evaluation applies before its model: `size`, `filter`, `jpeg`, `crop`."""
    gripper: str = "env"
    """How a model's gripper output becomes an action; see the policy adapters."""
    ensemble: Mapping[str, Any] = field(default_factory=dict)
    """Temporal ensembling over overlapping chunks: `chunks`, `temperature`; empty for none."""
    push: Mapping[str, int] = field(default_factory=dict)
    """Before the first decision the hand is pushed in a direction drawn from the episode's key: `steps` control steps of
    full command, then `rest` of none; empty for none."""
    notes: str = ""

    def __post_init__(self) -> None:
        if self.success not in ("any_step", "chunk_end", "last_step"):
            raise ValueError(f"protocol {self.name}: success must be any_step, chunk_end or last_step, not {self.success!r}")
        if self.replan is not None and self.replan < 1:
            raise ValueError(f"protocol {self.name}: replan must be at least 1, not {self.replan}")

    def steps(self, suite: str, task: str = "") -> int:
        """Budget of a suite's task in control steps. Raises KeyError with the suites that the protocol knows."""
        try:
            return self.budget.get(f"{suite}/{task}") or self.budget[suite]
        except KeyError:
            raise KeyError(f"protocol {self.name} has no step budget for {suite}; it knows {', '.join(self.budget)}") from None


@cache
def _all() -> dict[str, EvalProtocol]:
    import tomllib  # only where protocols are looked up by name: workers are sent theirs

    table = tomllib.loads(files(__name__.rpartition(".")[0]).joinpath("protocols.toml").read_text(encoding="utf-8"))
    known = {f.name for f in fields(EvalProtocol)}
    out = {}
    for name, values in table.items():
        unknown = set(values) - known
        if unknown:
            raise ValueError(f"protocols.toml: {name} has unknown fields {sorted(unknown)}")
        values["settle_action"] = tuple(values["settle_action"])
        out[name] = EvalProtocol(name=name, **{"replan": None, **values})
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
