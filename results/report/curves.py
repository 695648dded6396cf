"""Success over steps: the share of episodes solved within so many control steps, with the band of its 95 % interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ..grouping import Group, task_weights, uncertain
from ..layouts import Column
from ..statistics.intervals import strata_of, stratified
from ..store.records import EpisodeRecord
from .charts import legend, percent_grid

WIDTH, HEIGHT, LEFT, BOTTOM = 360, 200, 34, 24
POINTS = 40
"""Points of a curve at most."""


@dataclass(frozen=True, slots=True)
class Point:
    """The success rate within so many steps; fractions."""

    step: int
    mean: float
    low: float
    high: float


def success_by_steps(group: Group, suite: str) -> list[Point]:
    """Curve of one suite: its last point is the suite's success rate, with equal task weights and initial states as units.

    Episodes with an error, and successes after the policy had lost the episode before, count as never solved.
    """
    records = group.suites.get(suite, ())
    solved = sorted({record.steps for record in records if _solved(record)})
    stride = max(1, -(-len(solved) // POINTS))
    last = max((record.steps for record in records), default=0)
    steps = sorted({*solved[stride - 1 :: stride], *solved[-1:], last})
    weights = task_weights(dict.fromkeys((record.task, record.part) for record in records), Column(suite, suite=suite))
    found = (_at(records, weights, step) for step in steps)
    return [point for point in found if point]


def _solved(record: EpisodeRecord) -> bool:
    return bool(record.success) and not uncertain(record)


def _at(records: Sequence[EpisodeRecord], weights: Mapping[tuple[str, str], float], step: int) -> Point | None:
    solved = (((r.task, r.part), r.init_state, _solved(r) and r.steps <= step) for r in records)
    rate = stratified(strata_of(solved, weights))
    return rate and Point(step, rate.mean, rate.low, rate.high)


def charts(groups: Mapping[str, Group]) -> str:
    """One chart per suite with a curve and its band for each group, as HTML and SVG text."""
    suites = dict.fromkeys(suite for group in groups.values() for suite in group.suites)
    drawn = (_chart(suite, [success_by_steps(group, suite) for group in groups.values()]) for suite in suites)
    return f'{legend(list(groups))}<div class="charts">{"".join(drawn)}</div>'


def _chart(suite: str, curves: Sequence[Sequence[Point]]) -> str:
    longest = max((points[-1].step for points in curves if points), default=1) or 1
    lines = "".join(_curve(points, number, longest) for number, points in enumerate(curves) if points)
    grid = percent_grid(LEFT, WIDTH, _y)
    ticks = "".join(
        f'<text x="{_x(longest * part, longest):.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{longest * part:.0f}</text>'
        for part, anchor in ((0, "start"), (0.5, "middle"), (1, "end"))
    )
    caption = f'<figcaption>{escape(suite)} <span class="faint">solved (%) within steps, 95 % band</span></figcaption>'
    inside = grid + ticks + lines
    return f'<figure>{caption}<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(suite)}">{inside}</svg></figure>'


def _curve(points: Sequence[Point], number: int, longest: int) -> str:
    """The curve as steps, and the area between its bounds."""
    colour = f"var(--run{number % 6})"
    mean = _stairs([(point.step, point.mean) for point in points], longest)
    upper = _stairs([(point.step, point.high) for point in points], longest)
    lower = _stairs([(point.step, point.low) for point in points], longest)
    band = f'<polygon class="band" style="fill:{colour}" points="{" ".join([*upper, *reversed(lower)])}"/>'
    return f'{band}<polyline class="curve" style="stroke:{colour}" points="{" ".join(mean)}"/>'


def _stairs(values: Sequence[tuple[int, float]], longest: int) -> list[str]:
    """Corners of a step function that is 0 until the first value and keeps the last."""
    corners, height = [(0.0, 0.0)], 0.0
    for step, share in values:
        corners += [(step, height), (step, share)]
        height = share
    corners.append((longest, height))
    return [f"{_x(step, longest):.1f},{_y(share):.1f}" for step, share in corners]


def _x(step: float, longest: int) -> float:
    return LEFT + (WIDTH - LEFT - 4) * step / longest


def _y(share: float) -> float:
    return 8 + (HEIGHT - BOTTOM - 8) * (1 - share)
