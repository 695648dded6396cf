"""The table of robustness in its formats."""

import csv
import io
import json
from dataclasses import replace

import pytest
from nora_bench.envs.errors import InputError
from nora_bench.results.report.page import page
from nora_bench.results.report.robustness import forest
from nora_bench.results.tables import render, robust
from rich.console import Console

GOAL = {"suites": ("libero_goal",), "tasks": 10, "inits": 5}


def perturbed(records, name, *, fails=0, **fields):
    return [
        replace(
            record,
            perturbation=name,
            key=f"{record.key}+{name}",
            success=record.success and record.init_state >= fails,
            **fields,
        )
        for record in records
    ]


@pytest.fixture
def mine(run, libero):
    plain = libero(**GOAL)
    late = {"delay_steps": 2.0, "stale": 0.1, "held": 0.2, "decisions_per_s": 3.0, "control_hz": 20.0}
    return run(
        "mine",
        plain
        + perturbed(plain, "latency-50ms", latency={**late, "delay_steps": 1.0})
        + perturbed(plain, "latency-100ms", fails=1, latency=late),
    )


def rows(table, kind):
    return [line for line in table.rows if line.kind == kind]


def test_cell_is_the_difference_in_points_with_interval_and_p(mine):
    (line,) = rows(robust.build([mine], levels=True), "measured")
    cell = line.cells["latency-100ms", "success"]
    assert cell.value == pytest.approx(-20)
    assert cell.low < -20 < cell.high < 0
    assert cell.p < 0.05
    assert line.cells["control", "success"].value == 100


def test_delays_are_in_the_notes_of_their_level(mine):
    (line,) = rows(robust.build([mine], levels=True), "measured")
    assert line.cells["latency-100ms", "success"].notes[0].startswith("answers 2.0 control steps late")
    (line,) = rows(robust.build([mine]), "measured")
    assert line.cells["latency", "success"].notes == ()


def test_absolute_rates_on_request(mine):
    (line,) = rows(robust.build([mine], absolute=True), "measured")
    assert line.cells["latency", "success"].value == pytest.approx(90)
    assert line.cells["latency", "success"].p is None


def test_published_rates_share_no_row_and_no_cell_with_measured_ones(run, libero):
    plain = libero(**GOAL)
    table = robust.build([run("mine", plain + perturbed(plain, "camera1"))])
    plus = rows(table, "published")
    assert next(line for line in plus if line.label == "NORA").cells["LIBERO-Plus", "success"].value == 39.0
    assert "another protocol" in plus[0].section
    assert all("LIBERO-Plus" not in {name for name, _ in line.cells} for line in rows(table, "measured"))


def test_published_rates_are_absent_where_none_is_of_a_column(mine):
    assert rows(robust.build([mine]), "published") == []


def test_published_rates_stand_alone_without_runs():
    table = robust.build([])
    nora = next(line for line in table.rows if line.label == "NORA")
    assert nora.cells["camera", "success"].value == 2.2
    assert nora.cells["noise", "success"].value == 12.8


def test_published_libero_rates_are_not_beside_other_benchmarks(run, record):
    plain = [record("simpler-vm", init=init) for init in range(3)]
    assert rows(robust.build([run("mine", plain + perturbed(plain, "latency-50ms"))]), "published") == []


def test_missing_controls_are_in_a_footnote(run, libero):
    plain = libero(**GOAL)
    table = robust.build([run("mine", plain[1:] + perturbed(plain, "latency-50ms"))])
    assert "1 perturbed episodes have no control" in rows(table, "measured")[0].notes[0]


def test_blind_policy_and_missing_instruction_are_floors(run, libero, mine):
    plain = libero(**GOAL, policy="blind")
    blind = run("blind", plain + perturbed(plain, "latency-50ms"))
    words = libero(**GOAL)
    spoken = run("spoken", words + perturbed(words, "language-none", fails=3))
    table = robust.build([mine, spoken], [blind])
    floors = rows(table, "floor")
    assert [line.label.partition(" ·")[0] for line in floors] == ["blind", "nora without instruction"]
    assert floors[1].cells["control", "success"].value == pytest.approx(40)


def test_runs_without_perturbed_episodes_are_rejected(run, libero):
    with pytest.raises(InputError, match="--perturb"):
        robust.build([run("plain", libero(**GOAL))])


def test_terminal_form_fits_80_columns(mine):
    console = Console(file=io.StringIO(), width=80)
    render.terminal(robust.build([mine], levels=True), console)
    assert max(map(len, console.file.getvalue().splitlines())) <= 80


@pytest.mark.parametrize("form", ["markdown", "latex", "html"])
def test_text_forms_have_the_difference(mine, form):
    assert "20.0" in render.render(robust.build([mine], levels=True), form)


def test_json_and_csv_have_every_bound(mine):
    table = robust.build([mine], levels=True)
    (cell,) = [one for one in json.loads(render.to_json(table))["cells"] if one["item"] == "latency-100ms"]
    (line,) = [one for one in csv.DictReader(io.StringIO(render.to_csv(table))) if one["item"] == "latency-100ms"]
    assert cell["value"] == float(line["value"]) == -20
    assert cell["low"] < cell["value"] < cell["high"]


def test_forest_plot_has_an_interval_per_level(mine):
    drawn = forest(robust.build([mine], levels=True))
    assert drawn.count("<circle") == 2
    assert "latency-100ms" in drawn


def test_report_has_robustness_and_success_against_delay(mine):
    text = page([mine])
    assert 'id="section-robustness"' in text
    assert 'id="section-success-against-delay"' in text


def test_report_without_perturbed_episodes_has_neither(run, libero):
    text = page([run("plain", libero(**GOAL))])
    assert "section-robustness" not in text and "section-success-against-delay" not in text
