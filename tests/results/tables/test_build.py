import csv
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from nora_bench.results import layouts
from nora_bench.results.tables import render
from nora_bench.results.tables.build import build, print_runs
from nora_bench.results.tables.grid import grid
from rich.console import Console

LIBERO = layouts.get("nora15/table2")


def measured(table):
    return [line for line in table.rows if line.kind == "measured"]


def text(table, width=200):
    console = Console(file=io.StringIO(), width=width)
    render.terminal(table, console)
    return console.file.getvalue()


def test_without_a_run_the_published_rows_stand_alone():
    assert [line.label for line in build(LIBERO).rows][-3:] == ["NORA-1.5", "NORA-1.5 (DPO)", "Δ from DPO"]


def test_table_with_policies_as_rows_names_the_metric_of_each_column():
    partial, success = layouts.get("nora15/table3").metrics[::2]
    laid = grid(build(replace(LIBERO, metrics=(partial, success))))
    columns, metrics = laid.headers
    assert columns[1:3] == [("Spatial", 2), ("Object", 2)]
    assert metrics[1:3] == [(partial.label, 1), (success.label, 1)]
    assert len(set(laid.names)) == len(laid.rows[-1]) == 1 + 2 * len(LIBERO.columns)


def test_a_run_stands_beside_them_with_its_interval_and_counts(run, libero):
    shown = text(build(LIBERO, [run("mine", libero(failures=5))]))
    assert re.search(r"nora · mine \[\d+\] +(90.0 \[8\d.\d, 9\d.\d\] +){4}90.0 \[88.\d, 91.\d\]", shown)
    assert "450/500" in shown
    assert "1800/2000" in shown


def test_the_average_waits_for_all_suites(run, libero):
    (line,) = measured(build(LIBERO, [run("mine", libero(suites=("libero_goal",)))]))
    assert set(line.cells) == {("Goal", "success")}


def test_packs_never_share_a_row(run, libero):
    standin = {"pack": "standin", "fingerprint": "feedfeedfeedfeed"}
    records = libero(suites=("libero_goal",)) + libero(suites=("libero_10",), assets=standin)
    goal, long = measured(build(LIBERO, [run("mine", records)]))
    assert set(goal.cells) == {("Goal", "success")}
    assert "stand-in assets, not the benchmark's images (feedfeedfeedfeed)" in long.notes[0]


@pytest.mark.parametrize(("mark", "words"), [("untrained", "not the result of a model"), ("privileged", "simulator's state")])
def test_marks_of_the_policy_stand_in_label_and_footnote(run, libero, mark, words):
    (line,) = measured(build(LIBERO, [run("mine", libero(), policy={"marks": [mark]})]))
    assert f"nora ({mark})" in line.label
    assert words in line.notes[0]


def test_protocol_version_and_renderer_stand_in_the_footnote(run, libero):
    (line,) = measured(build(LIBERO, [run("mine", libero(), gl={"renderer": "llvmpipe"})]))
    assert "protocol libero/openvla v1" in line.notes[0]
    assert "rendered by llvmpipe" in line.notes[0]


def test_suites_without_a_column_are_named(run, libero):
    table = build(LIBERO, [run("mine", libero(suites=("libero_90",)))])
    assert any(note.startswith("Not in this table: libero_90 of run") for note in table.notes)


def test_trials_fill_the_table_with_partial_success_and_distractors(run, record):
    tasks = [column.name for column in layouts.get("nora15/table3").columns if column.suite]
    records = [
        record("galaxea-a1", task, init, success=init < 8, measures={"partial": init < 9, "distractor": init == 9})
        for task in tasks
        for init in range(10)
    ]
    (line,) = measured(build(layouts.get("nora15/table3"), [run("mine", records)]))
    shown = {metric: line.cells["Average", metric].value for metric in ("partial", "distractor", "success")}
    assert shown == pytest.approx({"partial": 90, "distractor": 10, "success": 80})
    assert ("Put eggplant in bowl", "distractor") not in line.cells


def test_the_runner_prints_the_table_that_fits(write, libero):
    console = Console(file=io.StringIO(), width=200)
    print_runs([write("mine", libero(suites=("libero_goal",)))], console)
    assert "nora · mine" in console.file.getvalue()


@pytest.mark.parametrize("id", layouts.ids())
@pytest.mark.parametrize("form", render.FORMATS)
def test_every_table_comes_out_in_every_form(id, form):
    assert render.render(build(layouts.get(id)), form)


@pytest.mark.parametrize("id", layouts.ids())
@pytest.mark.parametrize("width", [80, 100, 140])
def test_every_table_fits_a_terminal_and_cuts_nothing(id, width):
    table = build(layouts.get(id))
    shown = text(table, width=width)
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown


def test_names_of_measured_rows_are_wrapped_at_80_columns(run, libero):
    shown = text(build(LIBERO, [run("a-run-with-quite-a-long-name", libero())]), width=80)
    label = "".join(re.split(r"\s{2,}|\s(?=\[?\d)", line.strip())[0] for line in shown.splitlines())
    assert "nora·a-run-with-quite-a-long-name" in label.replace(" ", "")


def test_json_holds_bounds_counts_and_notes(run, libero):
    cells = json.loads(render.to_json(build(LIBERO, [run("mine", libero(failures=5))])))["cells"]
    cell = next(c for c in cells if c["kind"] == "measured" and c["item"] == "Goal")
    assert (cell["k"], cell["n"]) == (450, 500)
    assert cell["low"] < cell["value"] < cell["high"]


def test_csv_has_one_line_per_printed_cell():
    rows = list(csv.DictReader(io.StringIO(render.to_csv(build(LIBERO)))))
    assert len(rows) == 75
    assert rows[0]["value"] == "84.6"


def test_html_is_well_formed(run, libero):
    class Tags(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open = []

        def handle_starttag(self, tag, attrs):
            self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    parser = Tags()
    parser.feed(render.html(build(LIBERO, [run("a<b>&c", libero())])))
    assert parser.open == []


@pytest.mark.parametrize("id", layouts.ids())
def test_latex_rows_have_as_many_fields_as_columns(id):
    source = render.latex(build(layouts.get(id)))
    for block in source.split(r"\begin{tabular}")[1:]:
        columns = 1 + len(re.match(r"\{p\{[^{}]*\}(r+)\}", block)[1])
        for row in (line for line in block.splitlines() if line.endswith(r"\\")):
            spanned = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", row))
            assert len(re.split(r"(?<!\\)&", row)) + spanned == columns


PAPERS = {"article": "letterpaper,margin=1in", "neurips": "letterpaper,textwidth=397pt,textheight=9in"}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex: apt-get install texlive-latex-recommended")
@pytest.mark.parametrize("paper", PAPERS)
def test_latex_of_every_table_with_measured_rows_fits_the_page(run, libero, record, tmp_path, paper):
    def trials(suite):
        items = [column for id in layouts.ids() for column in layouts.get(id).columns if column.suite == suite]
        tasks = list(dict.fromkeys(column.name for column in items))
        return [record(suite, task, init, success=init > 1, measures={"partial": True}) for task in tasks for init in range(10)]

    simpler = [
        record(suite, task, init, variant="look/part")
        for suite in ("simpler-vm", "simpler-va")
        for task in ("pick_coke_can", "move_near", "open_drawer", "close_drawer")
        for init in range(9)
    ]
    records = [*libero(failures=3), *simpler, *trials("widowx"), *trials("galaxea-a1")]
    runs = [run("a_b%c_with_a_long_name", records), run("d", records, status="interrupted", counts={"planned": 9999})]
    tables = [render.latex(build(layouts.get(id), runs)) for id in layouts.ids()]
    head = rf"\documentclass{{article}}\usepackage[{PAPERS[paper]}]{{geometry}}\usepackage{{booktabs,graphicx}}\begin{{document}}"
    (tmp_path / "all.tex").write_text(head + "\\clearpage ".join(tables) + r"\end{document}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert [float(points) for points in re.findall(r"Overfull \\[hv]box \(([\d.]+)pt", done.stdout) if float(points) > 1] == []
    assert "Float too large" not in done.stdout


def test_latex_has_no_sign_that_pdflatex_cannot_set(run, libero):
    for id in layouts.ids():
        assert render.latex(build(layouts.get(id), [run(f"r-{id.replace('/', '-')}", libero())])).isascii()


def test_footnotes_are_numbered_in_reading_order():
    shown = render.markdown(build(LIBERO))
    body, _, notes = shown.partition("\n\n<sup>1</sup>")
    marks = [int(n) for group in re.findall(r"<sup>([\d,]+)</sup>", body) for n in group.split(",")]
    assert list(dict.fromkeys(marks)) == sorted(set(marks))
    assert notes.count("<sup>") == len(set(marks)) - 1


@pytest.fixture
def two(run, libero, write):
    """Two runs on the same scenes, the second with twice as many failures; their difference row."""

    def make(failures=(5, 10), **second):
        runs = [run("first", libero(failures=failures[0])), run("second", libero(failures=failures[1], **second))]
        return next(line for line in build(LIBERO, runs).rows if line.label == "Δ measured")

    return make


def test_two_runs_add_a_row_of_differences_paired_by_scene(two):
    cell = two().cells["Goal", "success"]
    assert (cell.value, cell.n) == (pytest.approx(-10), 500)
    assert cell.low < -10 < cell.high < 0
    assert cell.p < 0.0001


def test_an_insignificant_difference_has_its_p_value_and_an_interval_around_zero(two):
    cell = two(failures=(5, 5)).cells["Goal", "success"]
    assert (cell.value, cell.p) == (0, 1)
    assert cell.low < 0 < cell.high


def test_runs_with_other_assets_have_no_difference_without_anyway(run, libero):
    runs = [run("first", libero()), run("second", libero(assets={"pack": "official", "fingerprint": "f00d"}))]
    refused, shown = (build(LIBERO, runs, anyway=anyway).rows[-1] for anyway in (False, True))
    assert (refused.kind, refused.cells) == ("delta", {})
    assert "f00d" in refused.notes[0]
    assert ("Goal", "success") in shown.cells


def test_runs_without_a_common_initial_state_have_a_difference_that_is_not_paired(run, libero):
    runs = [run("first", libero(suites=("libero_goal",))), run("second", [r for r in libero(inits=99) if r.init_state >= 50])]
    line = build(LIBERO, runs).rows[-1]
    assert (line.label, list(line.cells)) == ("Δ measured (not paired)", [("Goal", "success")])


def test_runs_without_a_common_task_have_no_difference(run, libero):
    runs = [run(name, libero(suites=(f"libero_{name}",))) for name in ("goal", "object")]
    line = next(line for line in build(LIBERO, runs).rows if line.label == "Δ measured")
    assert line.cells == {}
    assert "no initial state in common" in line.notes[0]


def test_fresh_initial_states_never_fill_the_cell_of_the_benchmark(run, libero):
    fresh = libero(init_set="fresh")
    line = next(line for line in build(LIBERO, [run("mine", fresh)]).rows if line.kind == "measured")
    assert line.part == "fresh initial states 0-49"
    assert not line.ranked


def test_fresh_and_published_initial_states_of_one_folder_are_two_rows(run, libero):
    both = [*libero(), *(replace(r, init_set="fresh", key=f"fresh/{r.key}") for r in libero(failures=50))]
    lines = [line for line in build(LIBERO, [run("mine", both)]).rows if line.kind == "measured"]
    assert [(line.part, line.cells["Goal", "success"].value) for line in lines] == [("", 100), ("fresh initial states 0-49", 0)]


def test_floor_on_other_initial_states_is_not_compared(run, libero):
    floor = run("floor", libero(init_set="fresh", policy="blind"))
    line = next(line for line in build(LIBERO, [run("mine", libero(failures=50))], [floor]).rows if line.kind == "measured")
    assert line.cells["Goal", "success"].notes == ()


def test_best_is_marked_only_where_the_difference_is_significant(run, libero):
    perfect = build(LIBERO, [run("mine", libero())]).rows[-1]
    assert {column for (column, _), cell in perfect.cells.items() if cell.best} == {
        "Spatial",
        "Object",
        "Goal",
        "Long",
        "Average",
    }
    almost = build(LIBERO, [run("almost", libero(failures=1))]).rows[-1]
    assert not almost.cells["Object", "success"].best


def test_half_a_point_on_libero_makes_nobody_the_best():
    assert not any(cell.best for line in build(layouts.get("nora15/table6")).rows for cell in line.cells.values())


@pytest.mark.parametrize("mark", ["untrained", "privileged"])
def test_a_policy_that_cheats_or_knows_nothing_is_never_the_best(run, libero, mark):
    line = build(LIBERO, [run("mine", libero(), policy={"marks": [mark]})]).rows[-1]
    assert not any(cell.best for cell in line.cells.values())


def test_a_rate_that_is_not_above_the_floor_is_marked(run, libero):
    table = build(LIBERO, [run("mine", libero(failures=10))], [run("blind", libero(failures=12))])
    assert "not significantly above the floor" in measured(table)[0].cells["Goal", "success"].notes[0]


@pytest.mark.parametrize(
    ("records", "facts"),
    [({}, {"config": {"max_steps": 3}}), ({"protocol": "libero/nora"}, {}), ({"assets": {"pack": "standin"}}, {})],
)
def test_floor_of_other_conditions_is_ignored_without_anyway(run, libero, records, facts):
    """A floor that was cut at 3 steps has no success: everything was above it."""
    mine, floor = run("mine", libero(failures=10)), run("blind", libero(failures=12, **records), **facts)
    (line,) = measured(build(LIBERO, [mine], [floor]))
    assert line.cells["Goal", "success"].notes == ()
    assert "not compared with that floor: " in line.notes[-1]
    (line,) = measured(build(LIBERO, [mine], [floor], anyway=True))
    assert "not significantly above the floor" in line.cells["Goal", "success"].notes[0]


def test_a_rate_above_the_floor_is_not_marked(run, libero):
    table = build(LIBERO, [run("mine", libero(failures=10))], [run("blind", libero(failures=30))])
    assert measured(table)[0].cells["Goal", "success"].notes == ()


@pytest.fixture
def simpler(record):
    """A visual-matching run: all cans picked, half the drawers opened, none closed."""
    tasks = {"pick_coke_can": 4, "move_near": 2, "open_drawer": 2, "close_drawer": 0}
    return [
        record("simpler-vm", task, init, success=init < wins, variant=variant, key=f"{task}/{variant}/{init}")
        for task, wins in tasks.items()
        for variant in ("base", "alt")
        for init in range(4)
    ]


def test_simpler_fills_its_columns_and_averages_opening_with_closing(run, simpler):
    lines = measured(build(layouts.get("nora15/table1"), [run("mine", simpler)]))
    shown = {column: cell.value for line in lines for (column, _), cell in line.cells.items()}
    assert shown == pytest.approx(
        {"VM Pick Coke Can": 100, "VM Move Near": 50, "VM Open/Close Drawer": 25, "VM Average": 175 / 3}
    )


def test_a_drawer_that_was_only_opened_has_no_cell(run, simpler):
    records = [r for r in simpler if r.task != "close_drawer"]
    lines = measured(build(layouts.get("nora15/table1"), [run("mine", records)]))
    assert {key for line in lines for key in line.cells} == {("VM Pick Coke Can", "success"), ("VM Move Near", "success")}


def test_simpler_runs_take_the_simpler_table(run, simpler):
    assert layouts.fitting({record.suite for record in simpler}).id == "nora15/table1"


def test_early_stop_is_noted(run, libero):
    verdict = {"stop": True, "text": "width<10: interval 80.0 to 89.0, 9.0 points wide", "low": 0.8, "high": 0.89}
    (line,) = measured(build(LIBERO, [run("mine", libero(inits=5), until=verdict)]))
    assert "stopped early (width<10" in line.notes[0]


def test_malformed_answers_are_counted_beside_the_rate(run, libero):
    records = libero(inits=5)
    some = [replace(record, chunk_status={"ok": 3, "malformed": 1}) for record in records]
    (line,), (plain,) = (measured(build(LIBERO, [run(name, own)])) for name, own in (("some", some), ("none", records)))
    assert f"{len(some)} of {4 * len(some)} action chunks (25 %)" in line.notes[0]
    assert "action chunks" not in plain.notes[0]


def test_a_run_with_its_own_step_limit_says_so_and_is_never_the_best(run, libero):
    (line,) = measured(build(LIBERO, [run("mine", libero(), config={"max_steps": 15})]))
    assert line.part == "cut at 15 steps"
    assert not any(cell.best for cell in line.cells.values())


def test_three_runs_bring_letters_of_significance(run, libero):
    runs = [run(name, libero(failures=failures)) for name, failures in (("good", 1), ("alike", 1), ("bad", 25))]
    (note,) = [note for note in build(LIBERO, runs).notes if note.startswith("Significance")]
    assert "good a" in note
    assert "alike a" in note
    assert "bad b" in note
