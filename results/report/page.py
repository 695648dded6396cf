"""Report of runs as one self-contained HTML page that fetches nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

from .. import layouts
from ..comparisons.comparison import compare
from ..comparisons.standings import rank
from ..conditions import Incomparable
from ..grouping import Group, groups
from ..store.reader import StoredRun
from ..store.records import EpisodeRecord
from ..summary import group_suites, outcome_name, remarks, seconds
from ..tables import build, render, robust
from . import charts, curves, delays, robustness, sections
from .videos import embed_videos, video_id

PAGE = Path(__file__).with_name("page")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; media-src data:"
"""Content security policy: the browser itself refuses every request."""


def page(runs: Sequence[StoredRun], *, sample: int = 12, megabytes: float = 100) -> str:
    """The HTML page.

    Args:
        runs: runs to present; compared on common scenes.
        sample: videos shown at once, spread evenly over suites and outcomes; those of failures can all be opened.
        megabytes: total size of embedded videos; failures come first.
    """
    every = _named(runs)
    by_name = {name: _without_perturbed(run) for name, run in every.items()}
    by_group = _grouped(by_name)
    videos = embed_videos(every, megabytes)
    table = build.build(layouts.fitting({record.suite for run in runs for record in run.records}), runs)
    parts = {
        "Results": render.html(table) + charts.forest(table),
        "Tasks": charts.heat_map({name: group_suites(group) for name, group in by_group.items()}),
        "Success over steps": curves.charts(by_group),
        "Comparison": _comparison(runs),
        "Robustness": _robustness(runs),
        "Success against delay": delays.section(runs),
        "How episodes ended": sections.endings(every),
        "Failure classes": sections.failure_classes(by_name, videos),
        "Where the time went": charts.time_bars({name: seconds(run.records) for name, run in every.items()}),
        "Videos": sections.gallery(every, videos, sample),
        "Episodes": sections.episode_list(every),
        "Provenance": "".join(sections.provenance(name, run) for name, run in every.items()),
    }
    return _assemble(every, {title: body for title, body in parts.items() if body}, videos)


def _named(runs: Sequence[StoredRun]) -> dict[str, StoredRun]:
    """Runs by name; equal names are followed by their folder."""
    counted = Counter(run.name for run in runs)
    return {run.name if counted[run.name] == 1 else f"{run.name} ({run.folder})": run for run in runs}


def _robustness(runs: Sequence[StoredRun]) -> str:
    """Table and forest plot of the runs' perturbed episodes; empty without any."""
    if not any(record.perturbation for run in runs for record in run.records):
        return ""
    try:
        return render.html(robust.build(runs)) + robustness.forest(robust.build(runs, levels=True))
    except Incomparable as error:
        return f"<p>{escape(str(error))}</p>"


def _without_perturbed(run: StoredRun) -> StoredRun:
    """The run with the benchmark's own episodes only."""
    return replace(run, records=tuple(record for record in run.records if not record.perturbation))


def _grouped(by_name: Mapping[str, StoredRun]) -> dict[str, Group]:
    """Groups by name: that of the run, with the distinguishing conditions if a run has several groups."""
    found = {}
    for name, run in by_name.items():
        own = groups(run)
        for group in own:
            key = group.key
            conditions = ", ".join(filter(None, (key.policy, key.protocol, key.pack, key.fingerprint, key.backend, key.renderer)))
            found[name if len(own) == 1 else f"{name} ({conditions})"] = group
    return found


def _comparison(runs: Sequence[StoredRun]) -> str:
    """Comparison of two runs, or ranking of several; empty for one."""
    if len(runs) < 2:
        return ""
    try:
        return sections.comparison(compare(runs[0], runs[1])) if len(runs) == 2 else sections.ranking(rank(runs))
    except ValueError as error:  # incomparable, or no scene in common
        return f"<p>{escape(str(error))}</p>"


def _assemble(by_name: Mapping[str, StoredRun], parts: Mapping[str, str], videos: Mapping[str, str]) -> str:
    title = "nora-bench: " + ", ".join(by_name)
    anchors = {name: "section-" + name.lower().replace(" ", "-") for name in parts}
    links = "".join(f'<a href="#{anchor}">{escape(name)}</a>' for name, anchor in anchors.items())
    body = "\n".join(f'<section id="{anchors[name]}"><h2>{escape(name)}</h2>\n{text}</section>' for name, text in parts.items())
    style, script = ((PAGE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<nav>{links}</nav>
{body}
<dialog id="video"><h3 id="video-title"></h3><div></div><form method="dialog"><button>Close</button></form></dialog>
<script type="application/json" id="data">{_json(_data(by_name))}</script>
<script type="application/json" id="videos">{_json(videos)}</script>
<script>{script}</script>
</body>
</html>
"""


def _json(values: Any) -> str:
    """JSON that cannot close the surrounding script element."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _data(by_name: Mapping[str, StoredRun]) -> dict[str, Any]:
    rows = [[*_row(name, record), record.key, video_id(name, record)] for name, run in by_name.items() for record in run.records]
    folders = {name: str(run.folder) for name, run in by_name.items()}
    return {"columns": [*sections.COLUMNS, "key", "video"], "episodes": rows, "folders": folders}


def _row(run: str, record: EpisodeRecord) -> list[Any]:
    task = f"{record.task_id} {record.task.replace('_', ' ')}" + (f" ({record.variant})" if record.variant else "")
    task += f" +{record.perturbation}" if record.perturbation else ""
    total = round(record.seconds.get("total", 0.0), 1)
    return [
        run,
        record.suite,
        task,
        record.init_state,
        record.seed,
        outcome_name(record),
        record.steps,
        total,
        "; ".join(remarks(record)),
    ]
