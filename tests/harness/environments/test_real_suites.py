"""LIBERO and SimplerEnv as gymnasium environments: the states of a run, bit for bit."""

import nora_bench
import pytest
from nora_bench.results.store.integrity import read_actions
from nora_bench.results.store.reader import read_run

pytest.importorskip("gymnasium", reason="pip install 'nora-bench[libero]'")


@pytest.mark.libero
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_libero_task_repeats_a_run_and_passes_gymnasiums_check(cli, tmp_path):
    pytest.importorskip("libero", reason="nora-bench doctor --fix")
    from gymnasium.utils.env_checker import check_env

    args = ("--suite", "libero_goal", "--tasks", 3, "--init-states", 7, "--max-steps", 12, "--assets", "standin", "--workers", 1)
    assert cli("run", *args, "--policy", "random", "--out", tmp_path / "run").code == 0
    run = read_run(tmp_path / "run")
    env = nora_bench.make("libero_goal/task3", assets="standin", image_size=32, max_steps=12)
    check_env(env, skip_render_check=True)
    assert env.reset(options={"init_state": 7})[1]["instruction"] == run.records[0].instruction
    for action in read_actions(run, run.records[0]):
        *_, truncated, info = env.step(action)
    env.close()
    assert truncated
    assert info["trajectory_sha256"] == run.records[0].trajectory_sha256


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("name", "joints"), [("simpler-widowx/task0", 8), ("simpler-vm/task2", 11)])
def test_simpler_task_passes_gymnasiums_check(name, joints):
    pytest.importorskip("sapien", reason="pip install 'nora-bench[simpler]'")
    from gymnasium.utils.env_checker import check_env

    env = nora_bench.make(name, assets="standin", cameras=(), max_steps=2)
    check_env(env, skip_render_check=True)
    observation, info = env.reset(seed=0)
    env.close()
    assert info["key"].startswith(name)
    assert observation["proprio"]["joint_pos"].shape == (joints,)
