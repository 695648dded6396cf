"""Success against the delay of the policy's answers: table and plot of the perturbation `latency`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean

from ..comparisons.robustness import Effect, Robustness, axis_of, robustness
from ..conditions import Incomparable
from ..rates import Rate
from ..store.reader import StoredRun
from ..summary import latency_means
from ..tables.cells import difference_text, rate_cell
from .charts import html_table, legend, percent_grid

AXIS = "latency"
HEADS = ("Policy", "Delay", "Control steps", "Success %, 95 %", "Difference, points", "Stale", "Held", "Decisions per s")
WIDTH, HEIGHT, LEFT, BOTTOM = 640, 220, 34, 24


@dataclass(frozen=True, slots=True)
class DelayPoint:
    """Success at one delay."""

    milliseconds: float
    """Mean delay, in simulated time."""
    rate: Rate


@dataclass(frozen=True, slots=True)
class DelayCurve:
    """One policy, and what its robot does meanwhile."""

    name: str
    points: tuple[DelayPoint, ...]
    """By their delay; the first is of the controls."""


def section(runs: Sequence[StoredRun]) -> str:
    """Table and plot of the runs' episodes with delayed answers; empty without any."""
    if not any(record.latency for run in runs for record in run.records):
        return ""
    try:
        found = [one for run in runs for one in robustness(run, [other for other in runs if other is not run], levels=True)]
    except Incomparable as error:
        return f"<p>{escape(str(error))}</p>"
    rows = [row for one in found for row in _rows(one)]
    curves = [curve for one in found for curve in _curves(one)]
    return html_table(HEADS, rows) + (_plot(curves) if curves else "")


def _late(found: Robustness) -> list[Effect]:
    return [effect for effect in found.effects if axis_of(effect.name) == AXIS and latency_means(effect.records)]


def _rows(found: Robustness) -> Iterator[list[str]]:
    late = _late(found)
    if not late or found.control is None:
        return
    name = escape(f"{found.key.policy} · {found.run.name}")
    hz = latency_means(late[0].records)["control_hz"]
    asked = fmean(record.decisions * hz / max(1, record.steps) for record in found.controls)
    yield [name, "none", "0", escape(rate_cell(found.control).text), "", "", "", f"{asked:.2f}"]
    for effect in late:
        means = latency_means(effect.records)
        shown = [f"{means['delay_steps']:.1f}", rate_cell(effect.perturbed).text, difference_text(effect.difference)]
        shares = [f"{100 * means['stale']:.0f} %", f"{100 * means['held']:.0f} %", f"{means['decisions_per_s']:.2f}"]
        yield [name, escape(effect.name.removeprefix(f"{AXIS}-")), *map(escape, shown), *shares]


def _curves(found: Robustness) -> Iterator[DelayCurve]:
    late = _late(found)
    for hold in (False, True):
        own = [effect for effect in late if effect.name.endswith("-hold") == hold]
        if not own or found.control is None:
            continue
        points = [DelayPoint(_milliseconds(effect), effect.perturbed) for effect in own]
        ordered = sorted(points, key=lambda point: point.milliseconds)
        name = f"{found.key.policy} · {found.run.name}, {'hold' if hold else 'continue'}"
        yield DelayCurve(name, (DelayPoint(0.0, found.control), *ordered))


def _milliseconds(effect: Effect) -> float:
    means = latency_means(effect.records)
    return 1000 * means["delay_steps"] / means["control_hz"]


def _plot(curves: Sequence[DelayCurve]) -> str:
    longest = max(point.milliseconds for curve in curves for point in curve.points) or 1.0
    grid = percent_grid(LEFT, WIDTH, _y)
    ticks = "".join(
        f'<text x="{_x(longest * part, longest):.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{longest * part:.0f}</text>'
        for part, anchor in ((0, "start"), (0.5, "middle"), (1, "end"))
    )
    inside = grid + ticks + "".join(_curve(curve, number, longest) for number, curve in enumerate(curves))
    caption = "<figcaption>Success (%) against the delay of answers (ms of simulated time), 95 % intervals</figcaption>"
    drawn = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Success against delay">{inside}</svg>'
    return f"{legend([curve.name for curve in curves])}<figure>{caption}{drawn}</figure>"


def _curve(curve: DelayCurve, number: int, longest: float) -> str:
    colour = f"var(--run{number % 6})"
    places = [(_x(point.milliseconds, longest), point.rate) for point in curve.points]
    corners = " ".join(f"{x:.1f},{_y(rate.low.mean):.1f}" for x, rate in places)
    bars = "".join(
        f'<line style="stroke:{colour}" x1="{x:.1f}" x2="{x:.1f}" y1="{_y(rate.bounds[0]):.1f}" y2="{_y(rate.bounds[1]):.1f}"/>'
        f'<circle cx="{x:.1f}" cy="{_y(rate.low.mean):.1f}" r="3" style="fill:{colour}"/>'
        for x, rate in places
    )
    return f'<polyline class="curve" style="stroke:{colour}" points="{corners}"/>{bars}'


def _x(milliseconds: float, longest: float) -> float:
    return LEFT + 6 + (WIDTH - LEFT - 14) * milliseconds / longest


def _y(share: float) -> float:
    return 8 + (HEIGHT - BOTTOM - 8) * (1 - share)
