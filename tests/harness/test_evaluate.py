import threading

import nora_bench
import pytest
from fakes import Stagger, Walk
from nora_bench.envs.errors import InputError, PolicyError


@pytest.fixture(autouse=True)
def at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path / "cache"))


def trajectories(run):
    return {record.key: record.trajectory_sha256 for record in run.records}


@pytest.mark.parametrize("policy", ["fakes:Stagger", Stagger, Stagger(), lambda: Stagger()])
def test_evaluate_runs_the_episodes_of_the_command_line(bench, policy):
    played = bench("--episodes", 2, "--tasks", "0,2", "--seeds", 2, policy="fakes:Stagger")
    run = nora_bench.evaluate(policy, suite="fakes:toy", episodes=2, tasks="0,2", seeds=2)
    assert trajectories(run) == played.trajectories
    assert run.metadata.status == "finished"


def test_policy_object_stays_open():
    class Learning(Walk):
        closed = False

        def close(self):
            self.closed = True

    policy = Learning()
    for chunk in (1, 2):
        policy.chunk_size = chunk
        run = nora_bench.evaluate(policy, suite="fakes:toy", episodes=1)
        assert {record.decisions for record in run.records} == {-(-record.steps // chunk) for record in run.records}
    assert not policy.closed


def test_every_evaluation_has_its_own_folder(tmp_path):
    folders = [nora_bench.evaluate(Walk(), suite="fakes:toy", episodes=1).folder for _ in range(2)]
    assert [folder.as_posix() for folder in folders] == ["runs/toy-walk", "runs/toy-walk-2"]
    named = nora_bench.evaluate(Walk(), suite="fakes:toy", episodes=1, name="mine", out=tmp_path / "here")
    assert (named.folder, named.metadata.policy["name"]) == (tmp_path / "here", "mine")


def test_evaluate_prints_nothing_by_default(capsys):
    nora_bench.evaluate(Walk(), suite="fakes:toy", episodes=1)
    assert capsys.readouterr() == ("", "")
    nora_bench.evaluate(Walk(), suite="fakes:toy", episodes=1, progress=True)
    assert "3/3 episodes" in capsys.readouterr().out


def test_evaluate_works_outside_the_main_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(nora_bench.evaluate(Walk(), suite="fakes:toy", episodes=1)))
    thread.start()
    thread.join()
    assert len(found[0].records) == 3


def test_run_has_data_frames():
    run = nora_bench.evaluate(Walk(), suite="fakes:toy", episodes=2)
    assert run.frame().success.all()
    assert run.tasks().k.tolist() == [2, 2, 2]
    assert run.rates()["mean"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("options", "says"),
    [({"episode": 3}, "did you mean episodes"), ({"tasks": "9"}, "has no task 9"), ({"workers": 0}, "a whole number from 1")],
)
def test_invalid_option_is_rejected_like_on_the_command_line(options, says):
    with pytest.raises(InputError, match=says):
        nora_bench.evaluate(Walk(), suite="fakes:toy", **options)


def test_unknown_policy_argument_is_rejected():
    with pytest.raises(PolicyError, match="did you mean chunk"):
        nora_bench.evaluate("fakes:Walk", suite="fakes:toy", policy_arg={"chunks": "2"})
