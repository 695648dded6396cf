"""The measured rows of a table: one per run and set of conditions, and the difference of two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .compare import Difference, Pair, difference, p_text, pair
from .layouts import Item, Layout
from .outcomes import Conditions, Group, belongs, estimate, groups, parts, scenes, shares
from .reading import Run
from .tables import Cell, Line

UNRANKED = {"untrained", "privileged"}
"""Marks of policies that may not be called best."""
Row = tuple[Line, Group]


def rows(layout: Layout, run: Run) -> list[Row]:
    """The run's rows, each with its episodes; none for conditions that the table does not show."""
    found = [(_line(layout, group), group) for group in groups(run)]
    return [row for row in found if row[0].cells or row[0].errors]


def _line(layout: Layout, group: Group) -> Line:
    cells = {}
    for item in layout.items:
        for metric in layout.metrics:
            cell = _cell(layout, group, item, metric.name) if layout.has(item, metric) else None
            if cell:
                cells[item.name, metric.name] = cell
    marks = _marks(group.run)
    label = group.conditions.policy + (f" ({', '.join(marks)})" if marks else "") + f" · {group.run.name}"
    notes = "; ".join([*_conditions(group, marks), *_coverage(layout, group)])
    errors = sum(group.errors.get(suite, 0) for suite in layout.suites)
    ranked = group.conditions.pack != "standin" and not UNRANKED & set(marks) and not _cut(group.run)
    return Line(label, "measured", cells, (f"run {group.run.name}: {notes}",), errors=errors, ranked=ranked)


def _cell(layout: Layout, group: Group, item: Item, metric: str) -> Cell | None:
    found = estimate(group, layout, item, metric)
    if found is None:
        return None
    low, mean, high = (100 * value for value in (found.low, found.mean, found.high))
    return Cell(f"{mean:.1f}", mean, low=low, high=high, k=found.k, n=found.n, effective=int(found.effective))


def _coverage(layout: Layout, group: Group) -> Iterable[str]:
    """What a row lacks or leaves out: scenes not played, episodes that repeat others, episodes with errors."""
    played = [item for item in layout.items if item.suite]
    found = {item: scenes(group, item) for item in played}
    if missing := [f"{_full_name(item)} {found[item]}/{item.n}" for item in played if 0 < found[item] < item.n]:
        yield f"fewer scenes than the benchmark has ({', '.join(missing)})"
    if repeats := sum(group.repeats.get(suite, 0) for suite in layout.suites):
        yield f"{repeats} episodes repeat a trajectory under another seed and are not counted again"
    if errors := {suite: group.errors[suite] for suite in layout.suites if group.errors.get(suite)}:
        named = ", ".join(f"{suite} {count}" for suite, count in errors.items())
        yield f"episodes that ended in an error and count nowhere: {named}"


def _full_name(item: Item) -> str:
    return f"{item.group}: {item.label}" if item.group else item.label


def _marks(run: Run) -> list[str]:
    policy = run.run.get("policy")
    return list(policy.get("marks", ())) if isinstance(policy, Mapping) else []


def _conditions(group: Group, marks: Sequence[str]) -> Iterable[str]:
    """What must be equal before two measured rows may be compared, and what must be known before one is believed."""
    conditions, run = group.conditions, group.run.run
    protocol = run.get("protocol") or {}
    version = f" v{protocol['version']}" if protocol.get("name") == conditions.protocol and "version" in protocol else ""
    yield f"protocol {conditions.protocol}{version}"
    if conditions.pack:
        yield f"{_pack(conditions.pack)} ({conditions.fingerprint})"
    if conditions.backend:
        yield f"played by {conditions.backend}"
    if renderer := (run.get("gl") or {}).get("renderer"):
        yield f"drawn by {renderer}"
    yield from _drawing(group)
    if steps := _cut(group.run):
        yield f"episodes cut at {steps} steps, not at the protocol's budget"
    until = run.get("until") or {}
    if until.get("stop"):
        bounds = f"{100 * until['low']:.1f} to {100 * until['high']:.1f}"
        yield f"stopped early ({until['text']}); the interval over all tasks that is valid under this rule is {bounds}"
    if "untrained" in marks:
        yield "untrained weights: no result of any model"
    if "privileged" in marks:
        yield "sees the simulator's state, which no robot can"


def _drawing(group: Group) -> Iterable[str]:
    """How pictures were made, where episodes say so; tasks by the way."""
    ways: dict[str, dict[str, None]] = {}
    for record in group.records:
        if record.renderer:
            ways.setdefault(record.renderer, {})[record.task] = None
    if len(ways) == 1:
        yield f"pictures by {next(iter(ways))}"
    elif ways:
        yield "pictures by " + ", ".join(f"{way} ({', '.join(tasks)})" for way, tasks in ways.items())


def _cut(run: Run) -> int | None:
    """Steps after which `--max-steps` ended episodes, whatever the protocol allows."""
    return (run.run.get("config") or {}).get("max_steps")


def _pack(name: str) -> str:
    return "stand-in assets, not the benchmark's pictures" if name == "standin" else f"{name} assets"


def delta(layout: Layout, first: Row, second: Row) -> Line:
    """The row of differences, second minus first, paired where both played the same scenes."""
    cells = {}
    for item in layout.items:
        for metric in layout.metrics:
            key = (item.name, metric.name)
            if key in first[0].cells and key in second[0].cells:
                cells[key] = _delta_cell(layout, item, metric.name, first, second)
    note = "second measured row minus the first, ± 95 %; paired by scene, p-values exact"
    if differs := [name for name, a, b in _unlike(first[1].conditions, second[1].conditions) if a != b]:
        note += f"; not the policies alone differ, but also their {' and '.join(differs)}"
    return Line("Δ measured", "delta", cells, (note,))


def _unlike(a: Conditions, b: Conditions) -> Iterable[tuple[str, str, str]]:
    yield "protocols", a.protocol, b.protocol
    yield "assets", a.fingerprint, b.fingerprint
    yield "simulators", a.backend, b.backend
    yield "renderers", a.renderer, b.renderer


def _delta_cell(layout: Layout, item: Item, metric: str, first: Row, second: Row) -> Cell:
    found = paired(layout, item, metric, first[1], second[1])
    if found is None:
        return _unpaired(first[0].cells[item.name, metric], second[0].cells[item.name, metric])
    low, mean, high = (100 * value for value in (found.low, found.mean, found.high))
    return Cell(f"{mean:+.1f}", mean, (p_text(found.p),) if found.p <= 0.05 else (), low, high, n=found.pairs)


def paired(layout: Layout, item: Item, metric: str, a: Group, b: Group) -> Difference | None:
    """B minus A on the scenes that both played; None where a part of the item has none."""
    pairs: list[Pair] = []
    weights: dict[tuple[str, str, str], float] = {}
    for part in parts(layout, item, metric):
        own = pair(
            [record for record in a.records if belongs(record, part)],
            [record for record in b.records if belongs(record, part)],
            metric,
        )
        share = shares({(p.a.task, p.a.part): None for p in own}, part)
        if not share:
            return None
        pairs += own
        weights |= {(part.suite, *task): weight / len(layout.parts(item)) for task, weight in share.items()}
    return difference(pairs, weights)


def _unpaired(first: Cell, second: Cell) -> Cell:
    """Difference of two independent rates with Newcombe's interval (Statistics in Medicine 17, 1998, method 10)."""
    note = "no scene in common: unpaired"
    mean = second.value - first.value
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return Cell(f"{mean:+.1f}", mean, (note,))
    low = mean - ((second.value - second.low) ** 2 + (first.high - first.value) ** 2) ** 0.5
    high = mean + ((second.high - second.value) ** 2 + (first.value - first.low) ** 2) ** 0.5
    return Cell(f"{mean:+.1f}", mean, (note,), low, high)
