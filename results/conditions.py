"""Everything that must agree before the results of two runs may be compared, in one value and from one function.

`conditions` reads it from a run, `differences` holds two of them against each other. Tables, comparisons, rankings, reports,
exports, merges and early stopping all ask here, so that no two commands judge the same pair of runs by different rules.

Conditions whose difference changes what is measured (`REFUSED`) forbid a verdict; all others are named beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ..envs.errors import InputError

if TYPE_CHECKING:
    from .store.reader import StoredRun
    from .store.records import EpisodeRecord
    from .store.run_metadata import RunMetadata

REFUSED = ("protocol", "protocol_version", "protocol_numbers", "max_steps", "assets")
"""Conditions under which another value makes another benchmark: no verdict over them unless it is asked for."""
PROSE = ("source", "notes", "description", "name", "version")
"""Fields of a protocol that are no numbers of it."""
SAME_RESULTS = ("msgpack", "cpu", "rich", "typer", "pandas", "tabulate")
"""Entries of `versions` that cannot change an episode."""


ABSENT = {"max_steps": "the protocol's", "errors": "none", "stopped": "no rule"}
"""Condition -> what it means that a run does not have it; of others nothing is known then."""


class Incomparable(InputError, ValueError):
    """Runs that were made under conditions too different for a verdict; the message names them."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a run's results were made under. Values are None, empty or absent where the run does not say."""

    protocol: tuple[str, ...]
    """Names, from the records; more than one in a run that mixes them."""
    protocol_version: int | None
    protocol_numbers: Mapping[str, Any]
    """The protocol as run.json has it, less its prose."""
    max_steps: int | None
    """Steps after which `--max-steps` ended episodes, whatever the protocol allows."""
    assets: tuple[str, ...]
    """`pack fingerprint` of meshes and textures, from the records."""
    backend: tuple[str, ...]
    """What played, for suites that several simulators can play."""
    renderer: tuple[str, ...]
    """How images were made, where the records say so."""
    gl: Mapping[str, Any]
    """`backend` and `renderer` of OpenGL."""
    versions: Mapping[str, str]
    """Those that can change a result."""
    policy: tuple[str, ...]
    policy_args: Mapping[str, Any]
    policy_fingerprint: Mapping[str, Any]
    marks: tuple[str, ...]
    """What the policy says must stand beside its numbers: `untrained`, `privileged`, ..."""
    seeds: tuple[int, ...]
    status: str
    """`finished`, `interrupted`, `failed`, `running`, or empty."""
    episodes: int
    """Recorded."""
    planned: int | None
    stopped: str
    """The rule that ended the run early, in words; empty where none did."""
    machines: int = 1
    """Different sets of conditions that the records carry (`EpisodeRecord.conditions`): more than one in a run that was resumed
    elsewhere, merged, or put together by hand."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """Cause -> episodes that ended in an error."""
    restarted: int = 0
    """Episodes that were started more than once."""
    policy_losses: int = 0
    """Episodes that the policy itself lost before they were played to their end."""

    @property
    def finished(self) -> bool:
        """Whether the plan was played to its end, or to where its stopping rule ended it."""
        return self.status in ("", "finished")

    @property
    def digest(self) -> str:
        """16 hex digits over what can change a result: equal digests, comparable episodes."""
        names = (*REFUSED, "backend", "gl", "versions", "policy", "policy_args", "policy_fingerprint")
        text = json.dumps([getattr(self, name) for name in names], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """JSON-able, with the digest."""
        return json.loads(json.dumps({**asdict(self), "digest": self.digest}, default=str))


def conditions(run: StoredRun, records: Sequence[EpisodeRecord] | None = None) -> Conditions:
    """What a run, or some of its records, was made under."""
    metadata, records = run.metadata, run.records if records is None else records
    protocol, policy = metadata.protocol or {}, metadata.policy or {}
    said = _said(records)
    # What a run says of itself is said of all its episodes together: of one with two packs, each row has its own.
    whole = len(records) == len(run.records)
    names = _distinct([*said.protocol, str(protocol.get("name") or "") if whole else ""])
    own = names == (protocol.get("name"),)
    return Conditions(
        protocol=names,
        protocol_version=protocol.get("version") if own else None,
        protocol_numbers={name: value for name, value in protocol.items() if name not in PROSE} if own else {},
        max_steps=(metadata.config or {}).get("max_steps"),
        assets=_distinct(map(_pack, [*said.assets, *([_assets(metadata.assets or {})] if whole else [])])),
        backend=_distinct([*said.backend, metadata.backend or "" if whole else ""]),
        renderer=_distinct(said.renderer),
        gl={name: value for name, value in (metadata.gl or {}).items() if value},
        versions={name: value for name, value in (metadata.versions or {}).items() if name not in SAME_RESULTS},
        policy=_distinct(said.policy) or _distinct([policy.get("name") or ""]),
        policy_args=policy.get("args") or {},
        policy_fingerprint=policy.get("fingerprint") or {},
        marks=tuple(policy.get("marks") or ()),
        seeds=tuple(sorted(said.seeds)),
        status=metadata.status or "",
        episodes=len(records),
        planned=(metadata.counts or {}).get("planned"),
        stopped=_stopped(metadata),
        machines=max(1, len(_distinct(said.conditions))),
        errors=dict(said.errors),
        restarted=said.restarted,
        policy_losses=said.policy_losses,
    )


def _stopped(metadata: RunMetadata) -> str:
    """The stopping rules that ended the run, or runs merged into it, early."""
    verdicts = [metadata.until, *(source.get("until") for source in metadata.merged or ())]
    return "; ".join(verdict["text"] for verdict in verdicts if verdict and verdict["stop"])


@dataclass(slots=True)
class _Said:
    """What the records say, each value once."""

    protocol: set[str] = field(default_factory=set)
    assets: set[tuple[str, str]] = field(default_factory=set)
    backend: set[str] = field(default_factory=set)
    renderer: set[str] = field(default_factory=set)
    policy: set[str] = field(default_factory=set)
    seeds: set[int] = field(default_factory=set)
    conditions: set[str] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)
    restarted: int = 0
    policy_losses: int = 0


def _said(records: Sequence[EpisodeRecord]) -> _Said:
    """In one pass: tables read a hundred thousand records."""
    said = _Said()
    for record in records:
        said.protocol.add(record.protocol)
        said.assets.add(_assets(record.assets))
        said.backend.add(record.backend)
        said.renderer.add(record.renderer)
        said.policy.add(record.policy)
        said.seeds.add(record.seed)
        said.conditions.add(record.conditions)
        said.restarted += record.attempts > 1
        said.policy_losses += record.policy_losses > 0
        if record.success is None:
            said.errors[_cause(record)] += 1
    return said


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({value for value in values if value}))


def _assets(assets: Mapping[str, Any]) -> tuple[str, str]:
    return str(assets.get("pack") or ""), str(assets.get("fingerprint") or "")


def _pack(assets: tuple[str, str]) -> str:
    return " ".join(filter(None, assets))


def _cause(record: EpisodeRecord) -> str:
    return record.cause or "machine"


@dataclass(frozen=True, slots=True)
class ConditionDifference:
    """One condition in which two runs differ."""

    name: str
    a: Any
    b: Any
    refused: bool
    """Whether it forbids a verdict."""

    @property
    def text(self) -> str:
        """`max steps: 100 in A, the protocol's in B`."""
        lacking = ABSENT.get(self.name, "not known")
        return f"{self.name.replace('_', ' ')}: {_short(self.a, lacking)} in A, {_short(self.b, lacking)} in B"


def _short(value: Any, lacking: str) -> str:
    if isinstance(value, tuple):
        value = ", ".join(map(str, value))
    elif isinstance(value, Mapping):
        value = ", ".join(f"{name} {one}" for name, one in value.items())
    text = lacking if value in (None, "", {}) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def differences(a: Conditions, b: Conditions) -> list[ConditionDifference]:
    """The conditions, the policy's name aside, in which two runs differ: first those that forbid a verdict.

    Versions and settings of the policy are compared entry by entry; what only one of the runs knows counts as different, save
    the numbers of a protocol, which older runs do not hold.
    """
    found = [*_scalars(a, b, ("protocol", "protocol_version", "max_steps", "assets"), refused=True)]
    if lacking := _disagreeing(a.protocol_numbers, b.protocol_numbers):
        found.append(ConditionDifference("protocol_numbers", *lacking, refused=True))
    found += _mixed(a, b)
    found += _scalars(a, b, ("backend", "renderer", "machines", "seeds", "status", "stopped"), refused=False)
    found += _entries("gl", a.gl, b.gl)
    found += _entries("version of", a.versions, b.versions)
    found += _policies(a, b)
    if a.errors or b.errors:
        found.append(ConditionDifference("errors", a.errors and dict(a.errors), b.errors and dict(b.errors), refused=False))
    return found


def _scalars(a: Conditions, b: Conditions, names: Iterable[str], *, refused: bool) -> Iterable[ConditionDifference]:
    for name in names:
        of_a, of_b = getattr(a, name), getattr(b, name)
        unknown = name == "protocol_version" and None in (of_a, of_b)
        if of_a != of_b and not unknown:
            yield ConditionDifference(name, of_a, of_b, refused)


def _mixed(a: Conditions, b: Conditions) -> Iterable[ConditionDifference]:
    """A run that was itself made under several protocols or asset packs cannot be held against anything as one."""
    for name in ("protocol", "assets", "policy"):
        of_a, of_b = getattr(a, name), getattr(b, name)
        if max(len(of_a), len(of_b)) > 1 and (of_a == of_b or name == "policy"):
            yield ConditionDifference(f"mixed {name}", of_a, of_b, refused=True)


def _disagreeing(a: Any, b: Any) -> tuple[Any, Any] | None:
    """The entries that both know and that differ, or None."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        pairs = {name: _disagreeing(a[name], b[name]) for name in a if name in b}
        differing = {name: pair for name, pair in pairs.items() if pair}
        return ({n: p[0] for n, p in differing.items()}, {n: p[1] for n, p in differing.items()}) if differing else None
    same = list(a) == list(b) if isinstance(a, list | tuple) and isinstance(b, list | tuple) else a == b
    return None if same else (a, b)


def _entries(label: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterable[ConditionDifference]:
    for name in dict.fromkeys([*a, *b]):
        if a.get(name) != b.get(name):
            yield ConditionDifference(f"{label} {name}", a.get(name), b.get(name), refused=False)


def _policies(a: Conditions, b: Conditions) -> Iterable[ConditionDifference]:
    """Settings in which two policies differ: all of them for one policy, those that both know for two."""
    same = a.policy == b.policy
    if same and bool(a.policy_fingerprint) != bool(b.policy_fingerprint):
        yield ConditionDifference("policy fingerprint", a.policy_fingerprint or None, b.policy_fingerprint or None, refused=False)
        return
    for label, of_a, of_b in (
        ("policy argument", a.policy_args, b.policy_args),
        ("policy setting", a.policy_fingerprint, b.policy_fingerprint),
    ):
        shared = {name for name in of_a if name in of_b}
        known = None if same else shared
        for one in _entries(label, of_a, of_b):
            if known is None or one.name.removeprefix(f"{label} ") in known:
                yield one


def require_comparable(a: StoredRun, b: StoredRun, remedy: str) -> list[ConditionDifference]:
    """The conditions in which two runs differ, all of them such as allow a verdict.

    Args:
        a: one run.
        b: the other.
        remedy: what to type instead, for the message.

    Raises Incomparable naming the conditions that forbid a verdict.
    """
    found = differences(conditions(a), conditions(b))
    if refused := [one for one in found if one.refused]:
        listed = "; ".join(one.text for one in refused)
        raise Incomparable(f"{a.name} (A) and {b.name} (B) were not played under the same conditions: {listed}. {remedy}")
    return found
