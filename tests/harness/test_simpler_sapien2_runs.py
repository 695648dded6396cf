"""Runs on SAPIEN 2.2.2: trajectories depend on the episode alone, whatever the workers and sessions."""

import pytest

pytest.importorskip("sapien", reason="pip install 'nora-bench[simpler]'")

from nora_bench.envs.simpler import interpreter
from nora_bench.results.store.reader import read_run

pytestmark = pytest.mark.skipif(bool(interpreter.problem()), reason=interpreter.problem())


def test_trajectories_are_equal_with_other_workers_and_after_resume(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(interpreter.VARIABLE, str(interpreter.find_interpreter()))  # may be in the cache, which changes
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path / "cache"))
    episodes = ("--suite", "simpler-widowx", "--tasks", "carrot_on_plate,stack_cube", "--episodes", "2", "--max-steps", "2")
    options = (*episodes, "--seeds", "1", "--policy", "random", "--backend", "sapien2", "--assets", "standin")

    def trajectories(folder):
        run = read_run(tmp_path / folder)
        assert {record.error for record in run.records} == {None}
        return {record.key: record.trajectory_sha256 for record in run.records}

    assert cli("run", *options, "--out", "two", "--workers", "2").code == 0
    expected = trajectories("two")
    assert len(expected) == 4
    assert cli("run", *options, "--out", "one", "--workers", "1").code == 0
    stored = tmp_path / "one" / "episodes.jsonl"
    stored.write_text("".join(stored.read_text().splitlines(keepends=True)[:1]))
    assert cli("run", "--out", "one", "--resume").code == 0
    assert trajectories("one") == expected
