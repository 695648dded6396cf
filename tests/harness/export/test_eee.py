"""The files as Every Eval Ever's own validator sees them, where it is installed; else field by field."""

import hashlib
import json
import os
import subprocess

import pytest


@pytest.fixture
def exported(evaluation, cli, tmp_path):
    """A run with errors, exported: (folder, aggregate, samples)."""
    run = evaluation(suites=("libero_goal", "libero_10"), errors=1, failures=4)
    ended = cli("export", run, "--format", "eee", "--model", "org/nora", "--organization", "lab", "--out", tmp_path / "eee")
    assert ended.code == 0, ended.err
    (path,) = (tmp_path / "eee").glob("data/libero/org/nora/*.json")
    samples = path.with_name(f"{path.stem}_samples.jsonl")
    return tmp_path / "eee", json.loads(path.read_text()), [json.loads(line) for line in samples.read_text().splitlines()]


def test_every_episode_is_a_sample_of_its_suites_result(exported):
    _, aggregate, samples = exported
    results = {result["evaluation_result_id"]: result for result in aggregate["evaluation_results"]}
    assert sorted(result["evaluation_name"] for result in results.values()) == ["libero_10", "libero_goal"]
    assert len(samples) == len({sample["sample_id"] for sample in samples}) == 1000
    for name, result in results.items():
        own = [sample for sample in samples if sample["evaluation_result_id"] == name]
        assert result["score_details"]["score"] == pytest.approx(sum(sample["evaluation"]["score"] for sample in own) / len(own))


def test_episode_with_error_is_a_sample_with_an_error_and_covered_by_the_interval(exported):
    _, aggregate, samples = exported
    failed = [sample for sample in samples if sample["error"]]
    assert {sample["error"] for sample in failed} == {"step: exploded"}
    assert [sample["evaluation"]["is_correct"] for sample in failed] == [False] * 20
    score = aggregate["evaluation_results"][0]["score_details"]
    assert (score["score"], score["details"]["errors"]) == (pytest.approx(0.9), "10")
    assert float(score["details"]["score_with_errors_as_successes"]) == pytest.approx(0.92)
    assert score["uncertainty"]["confidence_interval"]["upper"] > 0.92


def test_the_aggregate_names_the_file_of_samples_with_its_digest(exported):
    folder, aggregate, samples = exported
    detail = aggregate["detailed_evaluation_results"]
    content = (folder / detail["file_path"]).read_bytes()
    assert (detail["checksum"], detail["total_rows"]) == (hashlib.sha256(content).hexdigest(), len(samples))


@pytest.mark.parametrize(("changes", "name"), [({"states": 5}, "5 of 50"), ({"pack": "standin"}, "standin assets")])
def test_part_of_a_suite_and_standins_are_not_named_like_the_benchmark(evaluation, cli, tmp_path, changes, name):
    run = evaluation(suites=("libero_goal",), **changes)
    assert cli("export", run, "--format", "eee", "--out", tmp_path / "eee").code == 0
    (path,) = (tmp_path / "eee").glob("data/libero/local/nora/*.json")
    (result,) = json.loads(path.read_text())["evaluation_results"]
    assert result["evaluation_name"].startswith("libero_goal (")
    assert name in result["evaluation_name"]


def test_an_unusual_policy_name_gives_portable_folders(bench, cli, tmp_path):
    assert cli("export", bench("--episodes", 1).folder, "--format", "eee", "--out", tmp_path / "eee").code == 0
    assert len(list((tmp_path / "eee").glob("data/toy/local/fakes-Walk/*_samples.jsonl"))) == 1


@pytest.mark.parametrize("source", ["evaluation", "toy"])
def test_the_files_pass_the_formats_own_validator(evaluation, bench, cli, tmp_path, source):
    """`NORA_BENCH_EEE` names a Python 3.12 that has `every-eval-ever` 0.3.0, which this Python may not run."""
    python = os.environ.get("NORA_BENCH_EEE")
    if not python:
        pytest.skip("set NORA_BENCH_EEE to the Python (3.12) of a virtual environment with every-eval-ever 0.3.0 in it")
    run = evaluation(errors=1) if source == "evaluation" else bench("--episodes", 1).folder
    out = tmp_path / "eee"
    assert cli("export", run, "--format", "eee", "--model", "org/nora", "--out", out).code == 0
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.json*"))
    command = [python, "-m", "every_eval_ever.validator.validate", "--format", "json", *files]
    ended = subprocess.run(command, cwd=out, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert [report["valid"] for report in json.loads(ended.stdout)] == [True, True]
