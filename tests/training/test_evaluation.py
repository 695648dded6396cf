import json

import pytest
from nora_bench.results.statistics.intervals import clopper_pearson
from nora_bench.training.engine.config import TrainingError
from nora_bench.training.evaluation import EvaluationSettings, Evaluator, summary


def run_with(folder, results):
    """A run's folder with these (suite, success) records."""
    folder.mkdir()
    lines = [
        {"key": str(i), "suite": suite, "task_id": 0, "init_state": i, "success": won} for i, (suite, won) in enumerate(results)
    ]
    (folder / "episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_the_score_weighs_suites_equally(tmp_path):
    run = run_with(tmp_path / "run", [("a", True), ("a", True), ("a", True), ("b", False)])
    found = summary(run)
    assert (found["score"], found["a"], found["b"], found["episodes"]) == (0.5, 1.0, 0.0, 4.0)


def test_the_interval_is_of_all_episodes(tmp_path):
    found = summary(run_with(tmp_path / "run", [("a", True)] * 45 + [("a", False)] * 5))
    assert (found["low"], found["high"]) == pytest.approx(clopper_pearson(45, 50))


def test_episodes_that_repeat_an_initial_state_make_the_interval_no_narrower(tmp_path):
    run = run_with(tmp_path / "run", [("a", True)] * 45 + [("a", False)] * 5)
    lines = (run / "episodes.jsonl").read_text()
    once = summary(run)
    (run / "episodes.jsonl").write_text(lines * 3)
    thrice = summary(run)
    assert (thrice["low"], thrice["high"]) == pytest.approx((once["low"], once["high"]), abs=1e-3)


def test_checkpoints_are_chosen_on_states_that_are_neither_trained_on_nor_tested(tmp_path):
    command = Evaluator(EvaluationSettings(), tmp_path).command(tmp_path / "step-000010", tmp_path / "step-000010")
    assert command[command.index("--init-states") + 1] == "35-39"


def test_an_evaluation_that_was_stopped_goes_on(tmp_path):
    run = tmp_path / "step-000010"
    run.mkdir()
    evaluator = Evaluator(EvaluationSettings(), tmp_path)
    assert "--resume" not in evaluator.command(run, run)
    (run / "run.json").write_text("{}")
    assert "--resume" in evaluator.command(run, run)


def test_a_checkpoint_that_cannot_be_played_is_an_error_with_the_reason(tmp_path):
    pytest.importorskip("torch", reason="pip install 'nora-bench[nora]'")
    with pytest.raises(TrainingError, match="no checkpoint"):
        Evaluator(EvaluationSettings(), tmp_path / "evaluations")(tmp_path / "nowhere")
