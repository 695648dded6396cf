"""The files as vla-eval's own code sees them, where it is at hand; else field by field."""

import json
import os
import subprocess
import sys

import pytest

READ = """
import json, sys
import msgspec
from vla_eval.results.collector import BenchmarkResult, ResultCollector
body = json.loads(open(sys.argv[1]).read())
typed = msgspec.convert(body, BenchmarkResult)
again = ResultCollector(typed["benchmark"], typed["mode"], typed["metric_keys"])
for task in typed["tasks"]:
    for episode in task["episodes"]:
        again.record(task["task"], dict(episode))
found = again.get_benchmark_result(typed["config"])
names = ("num_episodes", "num_errors", "avg_steps", "mean_success")
print(json.dumps({
    "tasks": [{name: task.get(name) for name in names} for task in found["tasks"]],
    "total": [found["mean_success"], found["num_errors"]],
}))
"""


@pytest.fixture
def exported(evaluation, cli, tmp_path):
    ended = cli("export", evaluation(errors=1), "--format", "vla-eval", "--model", "org/nora", "--out", tmp_path / "vla")
    assert ended.code == 0, ended.err
    return tmp_path / "vla"


def test_each_suite_is_a_result_file_with_all_episodes(exported):
    names = sorted(path.stem for path in exported.glob("LIBERO*.json"))
    assert names == [f"LIBEROBenchmark_libero_{name}" for name in ("10", "goal", "object", "spatial")]
    body = json.loads((exported / "LIBEROBenchmark_libero_goal.json").read_text())
    assert (len(body["tasks"]), body["num_errors"], body["mean_success"]) == (10, 10, 0.88)
    failed = [episode for task in body["tasks"] for episode in task["episodes"] if episode.get("failure_reason")]
    assert {(one["failure_reason"], one["failure_detail"], one["metrics"]["success"]) for one in failed} == {
        ("step", "step: exploded", False)
    }


def test_the_leaderboards_row_has_the_mean_of_the_four_suites(exported):
    (row,) = json.loads((exported / "leaderboard.json").read_text())["results"]
    assert (row["model"], row["benchmark"], row["overall_score"]) == ("nora", "libero", 88.0)
    assert row["suite_scores"] == dict.fromkeys(("libero_spatial", "libero_object", "libero_goal", "libero_10"), 88.0)


def test_a_row_of_fewer_suites_has_no_overall_score(evaluation, cli, tmp_path):
    assert cli("export", evaluation(suites=("libero_goal",)), "--format", "vla-eval", "--out", tmp_path / "vla").code == 0
    (row,) = json.loads((tmp_path / "vla" / "leaderboard.json").read_text())["results"]
    assert row["overall_score"] is None


def test_standins_have_results_and_no_row(evaluation, cli, tmp_path):
    ended = cli("export", evaluation(pack="standin"), "--format", "vla-eval", "--out", tmp_path / "vla")
    assert (ended.code, ended.out.count("omitted: leaderboard row")) == (1, 4)
    assert (len(list((tmp_path / "vla").glob("*.json"))), (tmp_path / "vla" / "leaderboard.json").exists()) == (4, False)


def test_its_own_collector_counts_the_same(exported):
    """`NORA_BENCH_VLA_EVAL` names a folder with the package `vla_eval` 0.8 in it (of an unpacked wheel, or site-packages)."""
    folder = os.environ.get("NORA_BENCH_VLA_EVAL")
    if not folder:
        pytest.skip("set NORA_BENCH_VLA_EVAL to a folder that holds the package vla_eval: pip install --target FOLDER vla-eval")
    path = exported / "LIBEROBenchmark_libero_goal.json"
    command = [sys.executable, "-c", READ, str(path)]
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": folder}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found, body = json.loads(ended.stdout), json.loads(path.read_text())
    assert found["total"] == [body["mean_success"], body["num_errors"]]
    names = ("num_episodes", "num_errors", "avg_steps", "mean_success")
    assert found["tasks"] == [{name: task.get(name) for name in names} for task in body["tasks"]]
