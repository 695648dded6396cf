"""Perturbed episodes in everything that reads runs: never mixed with the benchmark's own episodes."""

import json
from dataclasses import replace

import pytest
from nora_bench.harness.export.publication import suite_results
from nora_bench.results import layouts
from nora_bench.results.comparisons.noninferiority import noninferiority_test
from nora_bench.results.comparisons.reports import report_comparison, report_ranking
from nora_bench.results.comparisons.study_plan import find_pilots
from nora_bench.results.conditions import conditions
from nora_bench.results.coverage import unfinished
from nora_bench.results.summary import summarise
from nora_bench.results.tables.build import build
from nora_bench.results.tables.trace import trace

LIBERO = layouts.get("nora15/table2")
SUITE = {"suites": ("libero_goal",)}


def perturbed(records, name="camera2", success=False):
    return [replace(one, perturbation=name, key=one.key.replace("@", f"+{name}@"), success=success) for one in records]


@pytest.fixture
def mixed(run, libero):
    """A complete evaluation of a suite, all successes, and as many perturbed episodes, all failures."""

    def make(name="mixed", **fields):
        plain = libero(**SUITE, **fields)
        counts = {"planned": 1000, "perturbed": 500}
        return run(name, plain + perturbed(plain), counts=counts, status="finished", policy={"name": "nora"})

    return make


def test_paper_tables_have_the_benchmarks_own_episodes_only(mixed):
    table = build(LIBERO, [mixed()])
    (line,) = [line for line in table.rows if line.kind == "measured"]
    assert line.cells["Goal", "success"].value == 100
    assert line.part == ""  # the perturbed episodes are no shortfall
    assert any("500 perturbed episodes" in note for note in table.notes)


def test_cell_lists_the_benchmarks_own_episodes_only(mixed):
    found, *_ = trace(LIBERO, mixed(), "nora/Goal")
    assert len(found.counted) == 500


def test_interrupted_run_still_names_what_it_lacks(run, libero):
    plain = libero(**SUITE)
    short = run("short", plain[:400] + perturbed(plain[:300]), counts={"planned": 1000, "perturbed": 500}, status="finished")
    own = [record for record in short.records if not record.perturbation]
    assert list(unfinished(conditions(short, own))) == ["400 of 500 episodes"]
    assert list(unfinished(conditions(short))) == ["700 of 1000 episodes"]


def test_comparison_takes_like_with_like(mixed):
    a, b = mixed("a"), mixed("b")
    plain = report_comparison(a, b).comparison
    late = report_comparison(a, b, perturbation="camera2").comparison
    assert [column.a.low.mean for column in plain.columns] == [1.0]
    assert [column.a.low.mean for column in late.columns] == [0.0]
    assert late.to_json()["perturbation"] == "camera2"


def test_run_with_perturbed_episodes_is_compared_with_a_plain_one(mixed, run, libero):
    other = run("other", libero(**SUITE, failures=5))
    (column,) = report_comparison(mixed(), other).comparison.columns
    assert (column.only_a, column.only_b) == (0, 0)
    assert noninferiority_test(other, mixed("b"), 0.02).missing == 0


def test_comparison_without_episodes_of_the_kind_names_the_options(mixed, run, libero):
    only = run("only", perturbed(libero(**SUITE)))
    for arguments in ({}, {"perturbation": "light1"}):
        with pytest.raises(ValueError, match="--perturbation"):
            report_comparison(mixed(f"a{len(arguments)}"), only, **arguments)


def test_ranking_takes_the_benchmarks_own_episodes(mixed):
    ranked = report_ranking([mixed("a"), mixed("b"), mixed("c")]).ranking.ranked
    assert [one.rate.low.mean for one in ranked] == [1.0] * 3


def test_summary_lists_perturbations_apart(mixed):
    suites = summarise(mixed())["suites"]
    assert [(suite["perturbation"], suite["mean"]) for suite in suites] == [("", 1.0), ("camera2", 0.0)]


def test_show_prints_a_line_per_perturbation(mixed, cli):
    shown = cli("show", mixed().folder).out
    assert "camera2, libero_goal" in shown
    assert "nora-bench table robust" in shown


def test_pilot_of_a_plan_is_the_benchmarks_own_result(mixed):
    assert find_pilots(mixed(), LIBERO)["Goal"].base == 1.0


def test_leaderboards_get_the_benchmarks_own_results(mixed):
    (result,) = suite_results(mixed())
    assert (result.values["mean"], result.shortfall) == (1.0, "")


def test_inspect_log_keeps_samples_apart(mixed, cli, tmp_path):
    assert cli("export", mixed().folder, "--format", "inspect", "--out", tmp_path / "log.json").code == 0
    log = json.loads((tmp_path / "log.json").read_text())
    assert len({sample["id"] for sample in log["samples"]}) == 1000
    metrics = log["results"]["scores"][0]["metrics"]
    assert metrics["accuracy"]["value"] == 1.0
    assert metrics["libero_goal_camera2_mean"]["value"] == 0.0


def test_compare_verb_takes_a_perturbation(mixed, cli):
    a, b = mixed("a").folder, mixed("b").folder
    assert json.loads(cli("compare", a, b, "--perturbation", "camera2", "--json").out)["perturbation"] == "camera2"
    assert cli("compare", a, b, "--perturbation", "light1").code == 2


def test_table_verb_has_the_table_of_robustness(mixed, cli):
    folder = mixed().folder
    cells = json.loads(cli("table", "robust", folder, "--json").out)["cells"]
    assert {cell["item"]: cell["value"] for cell in cells if cell["kind"] == "measured"} == {"camera": -100, "control": 100}
    assert cli("table", folder, "--levels").code == 2
    assert cli("table", "robust", folder, "--over-seeds").code == 2
