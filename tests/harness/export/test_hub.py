"""The file as `huggingface_hub` reads it."""

import pytest
import yaml

hub = pytest.importorskip("huggingface_hub", minversion="1.4", reason="pip install 'huggingface_hub>=1.4'")


def test_the_hub_reads_the_result_of_each_suite(evaluation, cli, tmp_path):
    run = evaluation(suites=("libero_goal", "libero_10"), failures=5, errors=1)
    out = tmp_path / "hf"
    ended = cli("export", run, "--format", "hf", "--dataset", "org/libero", "--url", "https://example.org/run", "--out", out)
    assert ended.code == 0, ended.err
    entries = hub.parse_eval_result_entries(yaml.safe_load((out / ".eval_results" / "evaluation.yaml").read_text()))
    assert [(entry.dataset_id, entry.task_id, entry.value) for entry in entries] == [
        ("org/libero", "libero_goal", 88.0),
        ("org/libero", "libero_10", 88.0),
    ]
    assert {(entry.date, entry.source_url) for entry in entries} == {("2026-01-02", "https://example.org/run")}
    assert "10 errors counted as failures" in entries[0].notes


def test_a_suite_that_is_not_whole_is_omitted_by_name(evaluation, cli, tmp_path):
    whole, part = evaluation(suites=("libero_goal",)), evaluation(suites=("libero_10",), states=7, name="part")
    with (whole / "episodes.jsonl").open("a") as handle:
        handle.write((part / "episodes.jsonl").read_text())
    ended = cli("export", whole, "--format", "hf", "--dataset", "org/libero", "--out", tmp_path / "hf")
    assert (ended.code, "libero_10: 7 of 50" in ended.out) == (1, True)
    (entry,) = yaml.safe_load((tmp_path / "hf" / ".eval_results" / "evaluation.yaml").read_text())
    assert entry["dataset"]["task_id"] == "libero_goal"


@pytest.mark.parametrize(
    ("changes", "options"),
    [({"pack": "standin"}, ["--dataset", "a/b"]), ({"states": 3}, ["--dataset", "a/b"]), ({}, []), ({}, ["--dataset", "b"])],
)
def test_export_without_a_benchmark_result_or_data_set_is_rejected(evaluation, cli, tmp_path, changes, options):
    ended = cli("export", evaluation(suites=("libero_goal",), **changes), "--format", "hf", *options, "--out", tmp_path / "hf")
    assert (ended.code, (tmp_path / "hf").exists()) == (2, False)
