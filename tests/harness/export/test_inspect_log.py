"""The log is read by Inspect itself."""

import pytest

pytest.importorskip("inspect_ai", reason="pip install 'nora-bench[dev]'")


@pytest.fixture
def exported(bench, trouble, cli, tmp_path):
    """A run with an error and two seeds, and the log that Inspect reads."""
    from inspect_ai.log import read_eval_log

    order = {"kind": "raise", "phase": "step", "scene": "toy/task1/init1/seed0", "times": 9}
    run = bench("--episodes", 2, "--seeds", 2, "--retries", 0, "--assets", trouble(order), policy="fakes:Stagger")
    ended = cli("export", run.folder, "--format", "inspect", "--out", tmp_path / "log.json")
    assert ended.code == 0, ended.err
    return run, read_eval_log(str(tmp_path / "log.json"))


def test_every_episode_is_a_sample_and_every_seed_an_epoch(exported):
    run, log = exported
    assert (log.status, log.eval.task, log.eval.model) == ("success", "nora_bench/toy", "nora_bench/fakes:Stagger")
    samples = {(sample.id, sample.epoch): sample for sample in log.samples}
    assert set(samples) == {(record.key.partition("/seed")[0], record.seed + 1) for record in run.records.values()}
    for record in run.records.values():
        sample = samples[record.key.partition("/seed")[0], record.seed + 1]
        assert (sample.input, sample.metadata["steps"]) == (record.instruction, record.steps)
        if record.success is None:
            assert sample.error.message == record.error
        else:
            assert sample.scores["success"].value == int(record.success)


def test_its_score_is_the_runs(exported):
    _, log = exported
    (score,) = log.results.scores
    assert score.metrics["accuracy"].value == score.metrics["toy_mean"].value
    assert score.metrics["toy_low"].value <= score.metrics["toy_mean"].value <= score.metrics["toy_high"].value
    assert (log.results.total_samples, log.results.completed_samples) == (12, 11)


def test_an_episode_that_was_lost_is_no_success(exported):
    """Accuracy over the scored episodes alone gave a policy 100 % that lost what it was about to fail."""
    run, log = exported
    succeeded = sum(bool(record.success) for record in run.records.values())
    (score,) = log.results.scores
    assert score.metrics["accuracy"].value == pytest.approx(succeeded / 12)
    assert score.metrics["toy_upper"].value == pytest.approx((succeeded + 1) / 12)


def test_inspect_finds_it_by_its_usual_name(bench, cli, tmp_path, monkeypatch):
    pytest.importorskip("pyarrow", reason="pip install 'nora-bench[export]'")
    from inspect_ai.analysis import samples_df

    monkeypatch.chdir(tmp_path)
    cli("export", bench("--episodes", 1).folder, "--format", "inspect")
    assert len(samples_df(str(tmp_path))) == 3


def test_another_ending_is_refused(bench, cli, tmp_path):
    ended = cli("export", bench("--episodes", 1).folder, "--format", "inspect", "--out", tmp_path / "log.txt")
    assert ended.code == 2
    assert "suffix .json" in ended.err
