"""Sections of the report as HTML text."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from ..failures.classify import UNKNOWN, counted, failure_classes as classes_of
from ..failures.rules import rule_set
from ..store.reader import StoredRun
from ..store.records import EpisodeRecord
from ..summary import PROVENANCE, outcome_name, remarks
from .charts import html_table
from .videos import stratified_sample, strip_uri, video_id

if TYPE_CHECKING:
    from ..comparisons.comparison import ColumnComparison, Comparison
    from ..comparisons.standings import Ranking
    from ..rates import Rate

COLUMNS = ("run", "suite", "task", "init", "seed", "outcome", "steps", "seconds", "remarks")
"""Columns of the list of episodes, in printed order."""
OPTIONAL = {"run", "init", "seed", "seconds", "remarks"}
"""Columns hidden on narrow screens."""
FACTS = ("status", "created", "finished", "policy", "protocol", "assets", "gl", "config", "counts", "utilisation", *PROVENANCE)
"""Fields of run.json in the section on provenance."""


def endings(by_name: Mapping[str, StoredRun]) -> str:
    """Episodes without success, grouped by how they ended."""
    rows = []
    for name, run in by_name.items():
        counted = Counter((_place(r), outcome_name(r), next(remarks(r), "")) for r in run.records if not r.success)
        for (suite, ended, how), count in sorted(counted.items(), key=lambda entry: (entry[0][0], -entry[1])):
            rows.append([escape(name), escape(suite), f'<span class="{ended}">{ended}</span>', str(count), escape(how)])
    return (
        html_table(["Run", "Suite", "Ended in", "Episodes", "How"], rows, "text") if rows else "<p>Every episode succeeded.</p>"
    )


def _place(record: EpisodeRecord) -> str:
    """Suite and perturbation."""
    return f"{record.suite} +{record.perturbation}" if record.perturbation else record.suite


def failure_classes(by_name: Mapping[str, StoredRun], videos: Mapping[str, str]) -> str:
    """Failures by class, with a video or a strip of images of each class, or the command that renders it; empty without
    failures."""
    rows, figures, notes = [], [], []
    for name, run in by_name.items():
        classes, missing = classes_of(run), []
        for kind, count in counted(classes.values()).items():
            own = [record for record in run.records if classes.get(record.key) == kind]
            example, figure = _example(name, run, own, videos)
            rows.append([*map(escape, (name, kind.replace("_", " "), str(count), _meaning(kind, run), example.key))])
            if figure:
                figures.append(f"<div><p>{escape(kind.replace('_', ' '))}</p>{figure}</div>")
            else:
                missing.append(kind.replace("_", " "))
        if missing:
            notes.append(f"<p>{escape(name)}: no images of {escape(', '.join(missing))}. {_how_to_render(run)}</p>")
    if not rows:
        return ""
    heads = ["Run", "Class", "Episodes", "Meaning", "Example"]
    shown = f'<div class="videos">{"".join(figures)}</div>' if figures else ""
    version = f"<p>Rules version {rule_set().version} (docs/guide/failures.md).</p>"
    return html_table(heads, rows, "text") + shown + "".join(notes) + version


def _meaning(kind: str, run: StoredRun) -> str:
    if kind == UNKNOWN and not run.metadata.imported:
        return f"recorded without features; to add them, type: nora-bench failures {run.folder} --replay"
    return rule_set().classes.get(kind, "")


def _example(name: str, run: StoredRun, own: Sequence[EpisodeRecord], videos: Mapping[str, str]) -> tuple[EpisodeRecord, str]:
    """The episode that stands for a class, and its figure: a video, a strip of images, or empty."""
    for record in own:
        if video_id(name, record) in videos:
            return record, _figure(name, record, videos[video_id(name, record)])
    for record in own:
        if uri := strip_uri(run.folder, record.key):
            caption = f'<figcaption class="{outcome_name(record)}">{escape(name)}: {escape(record.key)}</figcaption>'
            return record, f'<figure class="strip"><img alt="twelve images of the episode" src="{uri}">{caption}</figure>'
    return own[0], ""


def _how_to_render(run: StoredRun) -> str:
    if run.metadata.imported:
        return "The run was imported and has no actions to render them from."
    command = f"nora-bench report {shlex.quote(str(run.folder))} --examples"
    return f"To render an episode of each by a replay, type: <code>{escape(command)}</code>"


def comparison(found: Comparison) -> str:
    """Two runs compared, a row per column."""
    if not found.columns:
        return "<p>The runs have no scene in common.</p>"
    heads = ["Column", "Initial states", "A %, 95 %", "B %, 95 %", "B − A, 95 % simultaneous", "Better for A, B", "p, Holm", ""]
    paired = all(column.paired for column in found.columns)
    how = "paired by initial state" if paired else "of two independent samples per task"
    title = (
        f"<p>A: {escape(found.a.name)}, B: {escape(found.b.name)}; exact test {how}, p and intervals for all columns of a table "
        "together.</p>"
    )
    unlike = "".join(f"<li>{escape(one.text)}</li>" for one in found.condition_differences)
    notes = f"<p>Besides the policies, the runs differ in:</p><ul>{unlike}</ul>" if unlike else ""
    return title + html_table(heads, [_comparison_row(column) for column in found.columns]) + notes


def _comparison_row(column: ColumnComparison) -> list[str]:
    found = column.difference
    means = dict.fromkeys(f"{100 * mean:+.1f}" for mean in found.means)
    return [
        escape(column.name) + (f" <small>{escape(column.part)}</small>" if column.part else ""),
        str(found.scenes),
        _rate(column.a),
        _rate(column.b),
        f"{' to '.join(means)} <small>{100 * found.low:+.1f} to {100 * found.high:+.1f}</small>",
        f"{found.lost}, {found.gained}" if column.paired else "not paired",
        f"{column.p:.2g}",
        column.verdict,
    ]


def _rate(rate: Rate) -> str:
    """The rate (both readings with uncertain episodes) and its interval."""
    low, high = rate.bounds
    ends = dict.fromkeys(f"{100 * mean:.1f}" for mean in (rate.low.mean, rate.high.mean))
    return f"{' to '.join(ends)} <small>{100 * low:.1f} to {100 * high:.1f}</small>"


def ranking(found: Ranking) -> str:
    """Several runs ranked, a row per run."""
    rows = [[str(one.rank), one.letters, escape(one.run.name), _rate(one.rate), str(one.left_out or "")] for one in found.ranked]
    by = found.column.name + (f" ({found.part})" if found.part else "")
    note = (
        f"<p>By {escape(by)}. Runs that share a letter cannot be distinguished (exact tests paired by initial state, "
        "Holm-corrected over all pairs).</p>"
    )
    unlike = dict.fromkeys(
        f"{pair.a.name} (A), {pair.b.name} (B): {one.text}" for pair in found.pairs for one in pair.condition_differences
    )
    listed = "".join(f"<li>{escape(text)}</li>" for text in unlike)
    return (
        html_table(["Rank", "Letters", "Run", "Success %, 95 %", "Episodes omitted"], rows)
        + note
        + (f"<ul>{listed}</ul>" if listed else "")
    )


def gallery(by_name: Mapping[str, StoredRun], videos: Mapping[str, str], count: int) -> str:
    """A stratified sample of videos; empty without videos."""
    with_video = [(name, record) for name, run in by_name.items() for record in run.records if video_id(name, record) in videos]
    if not with_video:
        return ""
    shown = stratified_sample(with_video, count)
    figures = "".join(_figure(name, record, videos[video_id(name, record)]) for name, record in shown)
    note = (
        f"{len(shown)} of {len(with_video)} videos, evenly over runs, suites and outcomes; "
        "the rest open from the list of episodes."
    )
    return f'<p>{note}</p><div class="videos">{figures}</div>'


def _figure(name: str, record: EpisodeRecord, video: str) -> str:
    source = f'data-video="{escape(video_id(name, record))}"'
    element = (
        f'<img alt="" {source}>'
        if video.startswith("data:image/")
        else f"<video controls muted loop playsinline {source}></video>"
    )
    return (
        f'<figure>{element}<figcaption class="{outcome_name(record)}">{escape(name)}: {escape(record.key)}</figcaption></figure>'
    )


def episode_list(by_name: Mapping[str, StoredRun]) -> str:
    """Container of the list of episodes, filled by the page's script."""
    suites = sorted({record.suite for run in by_name.values() for record in run.records})
    heads = "".join(f'<th data-column="{name}"{_optional(name)} tabindex="0">{name}</th>' for name in COLUMNS)
    return f"""<div class="filters">
<input id="find" type="search" placeholder="task, key, remark" aria-label="Find episodes">
{_select("run", by_name)}{_select("suite", suites)}{_select("outcome", ("success", "failure", "error"))}
<span id="count" class="faint"></span></div>
<div class="wide"><table id="episodes" class="text"><thead><tr>{heads}<th></th></tr></thead><tbody></tbody></table></div>
<button id="more">Show more</button>"""


def _optional(name: str) -> str:
    return ' class="optional"' if name in OPTIONAL else ""


def _select(name: str, values: Iterable[str]) -> str:
    options = "".join(f"<option>{escape(value)}</option>" for value in values)
    return f'<select id="{name}" aria-label="{name}"><option value="">every {name}</option>{options}</select>'


def provenance(name: str, run: StoredRun) -> str:
    """Provenance of a run's numbers, from run.json."""
    text = json.dumps(run.metadata.select(FACTS), indent=2, ensure_ascii=False)
    notes = "".join(f"<p>{escape(note)}</p>" for note in run.notes)
    summary = f"<summary>{escape(name)} <span class='faint'>{escape(str(run.folder))}</span></summary>"
    return f"<details open>{summary}{notes}<pre>{escape(text)}</pre></details>"
