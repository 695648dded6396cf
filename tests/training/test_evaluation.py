import msgspec
import pytest
from nora_bench.results.statistics.intervals import clopper_pearson
from nora_bench.results.store.records import EpisodeRecord
from nora_bench.training.engine.config import TrainingError
from nora_bench.training.evaluation import EvaluationSettings, Evaluator, summary


def run_with(folder, results):
    """A run's folder with these (suite, success) records."""
    folder.mkdir()
    write(folder, [record(suite, state, success) for state, (suite, success) in enumerate(results)])
    return folder


def write(folder, records):
    (folder / "episodes.jsonl").write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))


def record(suite, state, success, seed=0):
    return EpisodeRecord(
        key=f"{suite}/task0/init{state}/seed{seed}@libero/openvla",
        suite=suite,
        task="task",
        task_id=0,
        instruction="do it",
        init_state=state,
        seed=seed,
        protocol="libero/openvla",
        policy="toy",
        success=success,
        steps=1,
        decisions=1,
        termination="success" if success else "budget",
    )


def test_the_score_weighs_suites_equally(tmp_path):
    run = run_with(tmp_path / "run", [("a", True), ("a", True), ("a", True), ("b", False)])
    found = summary(run)
    assert (found["score"], found["a"], found["b"], found["episodes"]) == (0.5, 1.0, 0.0, 4.0)


def test_interval_is_over_all_episodes(tmp_path):
    found = summary(run_with(tmp_path / "run", [("a", True)] * 45 + [("a", False)] * 5))
    assert (found["low"], found["high"]) == pytest.approx(clopper_pearson(45, 50))


def test_repeated_initial_states_do_not_narrow_the_interval(tmp_path):
    run = run_with(tmp_path / "run", [("a", True)] * 45 + [("a", False)] * 5)
    once = summary(run)
    write(run, [record("a", state, state < 45, seed) for state in range(50) for seed in range(3)])
    thrice = summary(run)
    assert (thrice["low"], thrice["high"]) == pytest.approx((once["low"], once["high"]), abs=1e-3)


def test_model_selection_uses_its_own_initial_states(tmp_path):
    command = Evaluator(EvaluationSettings(), tmp_path).command(tmp_path / "step-000010", tmp_path / "step-000010")
    assert command[command.index("--init-states") + 1] == "35-39"


def test_interrupted_evaluation_resumes(tmp_path):
    run = tmp_path / "step-000010"
    run.mkdir()
    evaluator = Evaluator(EvaluationSettings(), tmp_path)
    assert "--resume" not in evaluator.command(run, run)
    (run / "run.json").write_text("{}")
    assert "--resume" in evaluator.command(run, run)


def test_failed_evaluation_raises_with_the_reason(tmp_path):
    pytest.importorskip("torch", reason="pip install 'nora-bench[nora]'")
    with pytest.raises(TrainingError, match="checkpoint not found"):
        Evaluator(EvaluationSettings(), tmp_path / "evaluations")(tmp_path / "nowhere")
