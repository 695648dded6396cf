"""Conditions that must agree before the results of two runs may be compared.

`conditions` reads them from a run, `differences` compares two of them. Tables, comparisons, rankings, reports, exports, merges
and early stopping all use these functions, so that every command applies the same rules to a pair of runs.

Differences in `REFUSED` change the measured quantity and forbid a verdict; all others are listed beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ..envs.errors import InputError
from .store.run_metadata import IMPORTED

if TYPE_CHECKING:
    from .store.reader import StoredRun
    from .store.records import EpisodeRecord
    from .store.run_metadata import RunMetadata

REFUSED = ("protocol", "protocol_version", "protocol_numbers", "max_steps", "assets")
"""Conditions whose values define the benchmark: differences forbid a verdict unless `--anyway` is given."""
DESCRIPTIVE = ("source", "notes", "description", "name", "version")
"""Fields of a protocol that do not change results."""
BY_SUITE = ("statistics", "statistics_from")
"""Policy settings with an entry per suite; runs of different suites have no entry in common."""
SAME_RESULTS = ("msgpack", "cpu", "rich", "typer", "pandas", "tabulate")
"""Entries of `versions` that cannot change an episode."""


ABSENT = {"max_steps": "the protocol's", "errors": "none", "stopped": "no rule"}
"""Condition -> meaning of its absence; for others, absent means unknown."""


class Incomparable(InputError, ValueError):
    """The conditions of two runs forbid a verdict; the message names them."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions of a run's results. Values are None, empty or absent where the run does not record them."""

    protocol: tuple[str, ...]
    """Names, from the records; more than one in a run that mixes them."""
    protocol_version: int | None
    protocol_numbers: Mapping[str, Any]
    """The protocol in run.json, without descriptive fields."""
    max_steps: int | None
    """Step limit of `--max-steps`, if given."""
    assets: tuple[str, ...]
    """`pack fingerprint` of meshes and textures, from the records."""
    backend: tuple[str, ...]
    """Simulator backend, for suites with several."""
    renderer: tuple[str, ...]
    """Renderers of the images, where recorded."""
    initial_states: tuple[str, ...]
    """Sets of the initial states: `published`, `fresh`."""
    perturbations: tuple[str, ...]
    """Names of the perturbations, `none` for episodes without one."""
    gl: Mapping[str, Any]
    """`backend` and `renderer` of OpenGL."""
    versions: Mapping[str, str]
    """Package versions that can change a result."""
    policy: tuple[str, ...]
    policy_args: Mapping[str, Any]
    policy_fingerprint: Mapping[str, Any]
    marks: tuple[str, ...]
    """Tags of the policy, printed beside its numbers: `untrained`, `privileged`, ..."""
    seeds: tuple[int, ...]
    status: str
    """`finished`, `interrupted`, `failed`, `running`, or empty."""
    episodes: int
    """Recorded."""
    planned: int | None
    stopped: str
    """The stopping rule that ended the run early, in words; else empty."""
    machines: int = 1
    """Different digests in `EpisodeRecord.conditions`: more than one in a run that was resumed elsewhere, merged, or assembled
    manually."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """Cause -> episodes that ended in an error."""
    restarted: int = 0
    """Episodes that were started more than once."""
    policy_losses: int = 0
    """Episodes that the policy itself lost before they ended."""

    @property
    def finished(self) -> bool:
        """Whether the plan was completed, or ended by its stopping rule."""
        return self.status in ("", "finished")

    @property
    def digest(self) -> str:
        """16 hex digits over everything that can change a result; equal digests mean comparable episodes."""
        names = (*REFUSED, "backend", "gl", "versions", "policy", "policy_args", "policy_fingerprint")
        text = json.dumps([getattr(self, name) for name in names], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """JSON-able, with the digest."""
        return json.loads(json.dumps({**asdict(self), "digest": self.digest}, default=str))


def conditions(run: StoredRun, records: Sequence[EpisodeRecord] | None = None) -> Conditions:
    """Conditions of a run, or of some of its records."""
    metadata, records = run.metadata, run.records if records is None else records
    protocol, policy = metadata.protocol or {}, metadata.policy or {}
    recorded = _record_facts(records)
    # run.json describes all episodes together; a row of one of two packs has its own.
    whole = len(records) == len(run.records)
    names = _distinct([*recorded.protocol, str(protocol.get("name") or "") if whole else ""])
    own = names == (protocol.get("name"),)
    return Conditions(
        protocol=names,
        protocol_version=protocol.get("version") if own else None,
        protocol_numbers={name: value for name, value in protocol.items() if name not in DESCRIPTIVE} if own else {},
        max_steps=(metadata.config or {}).get("max_steps"),
        assets=_distinct(map(_pack, [*recorded.assets, *([_assets(metadata.assets or {})] if whole else [])])),
        backend=_distinct([*recorded.backend, metadata.backend or "" if whole else ""]),
        renderer=_distinct(recorded.renderer),
        initial_states=_distinct(name or "published" for name in recorded.init_sets),
        perturbations=_distinct(name or "none" for name in recorded.perturbations),
        gl={name: value for name, value in (metadata.gl or {}).items() if value},
        versions={name: value for name, value in (metadata.versions or {}).items() if name not in SAME_RESULTS},
        policy=_distinct(recorded.policy) or _distinct([policy.get("name") or ""]),
        policy_args=policy.get("args") or {},
        policy_fingerprint=policy.get("fingerprint") or {},
        marks=tuple(policy.get("marks") or ()),
        seeds=tuple(sorted(recorded.seeds)),
        status=metadata.status or "",
        episodes=len(records),
        planned=_planned(metadata, recorded.perturbations),
        stopped=_stopped(metadata),
        machines=max(1, len(_distinct(recorded.conditions))),
        errors=dict(recorded.errors),
        restarted=recorded.restarted,
        policy_losses=recorded.policy_losses,
    )


def _planned(metadata: RunMetadata, perturbations: Collection[str]) -> int | None:
    """Planned episodes of the kind of these: without a perturbation, or all; None for those under one, of which only the sum over
    all perturbations is known."""
    counts = metadata.counts or {}
    planned, perturbed = counts.get("planned"), counts.get("perturbed", 0)
    if not perturbed or planned is None or len(set(map(bool, perturbations))) > 1:
        return planned
    return None if any(perturbations) else planned - perturbed


def _stopped(metadata: RunMetadata) -> str:
    """The stopping rules that ended the run, or runs merged into it, early."""
    verdicts = [metadata.until, *(source.get("until") for source in metadata.merged or ())]
    return "; ".join(verdict["text"] for verdict in verdicts if verdict and verdict["stop"])


@dataclass(slots=True)
class _RecordFacts:
    """Values found in the records, each once."""

    protocol: set[str] = field(default_factory=set)
    assets: set[tuple[str, str]] = field(default_factory=set)
    backend: set[str] = field(default_factory=set)
    renderer: set[str] = field(default_factory=set)
    init_sets: set[str] = field(default_factory=set)
    perturbations: set[str] = field(default_factory=set)
    policy: set[str] = field(default_factory=set)
    seeds: set[int] = field(default_factory=set)
    conditions: set[str] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)
    restarted: int = 0
    policy_losses: int = 0


def _record_facts(records: Sequence[EpisodeRecord]) -> _RecordFacts:
    """In one pass: tables read a hundred thousand records."""
    recorded = _RecordFacts()
    for record in records:
        recorded.protocol.add(record.protocol)
        recorded.assets.add(_assets(record.assets))
        recorded.backend.add(record.backend)
        recorded.renderer.add(record.renderer)
        recorded.init_sets.add(record.init_set)
        recorded.perturbations.add(record.perturbation)
        recorded.policy.add(record.policy)
        recorded.seeds.add(record.seed)
        recorded.conditions.add(record.conditions)
        recorded.restarted += record.attempts > 1
        recorded.policy_losses += record.policy_losses > 0
        if record.success is None:
            recorded.errors[_cause(record)] += 1
    return recorded


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
    """The conditions, besides the policy's name, in which two runs differ; first those that forbid a verdict.

    Versions and settings of the policy are compared entry by entry; entries of only one run count as different, except the
    numbers of a protocol, which older runs lack.
    """
    found = [*_scalars(a, b, ("protocol", "protocol_version", "max_steps", "assets"), refused=True)]
    if lacking := _disagreeing(a.protocol_numbers, b.protocol_numbers):
        found.append(ConditionDifference("protocol_numbers", *lacking, refused=True))
    found += _mixed(a, b)
    found += _scalars(
        a, b, ("backend", "renderer", "initial_states", "perturbations", "machines", "seeds", "status", "stopped"), refused=False
    )
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
        # Other tools' results do not name their assets: the difference is listed, and the reader decides.
        unstated = name == "assets" and any(IMPORTED in side.marks and not side.assets for side in (a, b))
        if of_a != of_b and not unknown:
            yield ConditionDifference(name, of_a, of_b, refused and not unstated)


def _mixed(a: Conditions, b: Conditions) -> Iterable[ConditionDifference]:
    """A run that itself mixes protocols, asset packs or policies cannot be compared as one."""
    for name in ("protocol", "assets", "policy"):
        of_a, of_b = getattr(a, name), getattr(b, name)
        if max(len(of_a), len(of_b)) > 1 and (of_a == of_b or name == "policy"):
            yield ConditionDifference(f"mixed {name}", of_a, of_b, refused=True)


def _disagreeing(a: Any, b: Any) -> tuple[Any, Any] | None:
    """The entries that both have and that differ, or None."""
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
    """Settings in which two policies differ: all for one policy, those that both have for two."""
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
            if one.name.rpartition(" ")[2] in BY_SUITE and not _disagreeing(one.a, one.b):
                continue
            if known is None or one.name.removeprefix(f"{label} ") in known:
                yield one


def require_comparable(a: StoredRun, b: StoredRun, remedy: str) -> list[ConditionDifference]:
    """The conditions in which two comparable runs differ.

    Args:
        a: one run.
        b: the other.
        remedy: advice for the message, with the command to type.

    Raises Incomparable naming the conditions that forbid a verdict.
    """
    found = differences(conditions(a), conditions(b))
    if refused := [one for one in found if one.refused]:
        listed = "; ".join(one.text for one in refused)
        raise Incomparable(f"{a.name} (A) and {b.name} (B) were run under different conditions: {listed}. {remedy}")
    return found
