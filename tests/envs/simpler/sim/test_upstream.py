"""The backend `upstream` asks the original package for what its evaluator asks for, from an interpreter of its own.

The real package is played where NORA_BENCH_SIMPLER_PYTHON names an interpreter that has it (docs/reference/simplerenv.md).
"""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import upstream_stub
from nora_bench.harness.execution.worker_process import bridge
from nora_bench.results.store.reader import read_run

COMMON = {
    "robot": "google_robot_static",
    "sim_freq": 513,
    "control_freq": 3,
    "max_episode_steps": 80,
    "scene_name": "google_pick_coke_can_1_v4",
}
REPLAY = """
import json, os, sys
from pathlib import Path
import numpy as np
from nora_bench.envs.base import ObservationSpec, EnvOptions
from nora_bench.envs.simpler import recordings
from nora_bench.envs.simpler.sim.upstream import UpstreamEnv
world = UpstreamEnv(EnvOptions(sys.argv[1], "none", ""))
for stem in map(Path, sys.argv[2:]):
    recording = recordings.read(stem)
    world.begin(recording.setup, ObservationSpec(proprio=True))
    flags, error = 0, np.abs(world.observation().proprio["joint_pos"] - recording.arrays["qpos"][0]).max()
    for action, row, done in zip(recording.arrays["actions"], recording.arrays["qpos"][1:], recording.arrays["terminated"]):
        flags += world.step(action, observe=True) != bool(done)
        error = max(error, np.abs(world.observation().proprio["joint_pos"] - row).max())
    print("\\n" + json.dumps([float(error), flags]), flush=True)
os._exit(0)
"""


@pytest.fixture(scope="session")
def stubbed(new_python):
    """An interpreter with the stand-in for the original package."""
    python = new_python("stubbed")
    (site,) = Path(python).parents[1].glob("lib/python*/site-packages")
    upstream_stub.write(site)
    return python


@pytest.fixture(scope="module")
def played(stubbed, simpler_standin, tmp_path_factory):
    """Plays an episode of pick coke can on the stand-in, once; gives what was said, what was asked, and the run."""

    @cache
    def run(says="pick coke can"):
        folder = tmp_path_factory.mktemp("upstream")
        env = {**os.environ, "NORA_BENCH_HOME": str(folder / "cache"), "STUB_LOG": str(folder / "log"), "STUB_SAYS": says}
        options = ["--suite", "simpler-vm", "--tasks", "pick_coke_can", "--episodes", "1", "--policy", "zero", "--workers", "1"]
        where = ["--python", f"simpler={stubbed}", "--assets", simpler_standin, "--out", folder / "run"]
        command = [sys.executable, "-c", "from nora_bench.harness.cli import main; main()", "run", *options, *map(str, where)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, cwd=folder)
        assert (folder / "log").is_file(), done.stderr
        asked = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
        return done, asked, read_run(folder / "run")

    return run


def test_episode_is_built_and_reset_as_upstreams_evaluator_does(played):
    _, (asked,), _ = played()
    made = asked["made"]
    assert {name: made[name] for name in COMMON} == COMMON
    assert (made["env_id"], made["lr_switch"], made["urdf_version"]) == ("GraspSingleOpenedCokeCanInScene-v0", True, "None")
    assert made["control_mode"].startswith("arm_pd_ee_delta_pose_align_interpolate_by_planner")
    assert made["rgb_overlay_path"].endswith("data/real_inpainting/google_coke_can_real_eval_1.png")
    assert made["rgb_overlay_cameras"] == ["overhead_camera"]
    assert asked["reset"] == {
        "robot_init_options": {"init_xy": [0.35, 0.2], "init_rot_quat": [0.0, 0.0, 0.0, 1.0]},
        "obj_init_options": {"init_xy": [-0.35, -0.02]},
    }


def test_policy_without_images_builds_no_camera(played):
    _, (asked,), _ = played()
    assert (asked["made"]["obs_mode"], asked["made"]["camera_cfgs"]) == ("none", None)


def test_success_is_the_last_steps_and_statistics_go_to_the_record(played):
    _, _, run = played()
    (record,) = run.records
    assert record.error is None
    assert (record.success, record.success_any, record.steps, record.backend) == (True, True, 80, "upstream")
    assert record.measures == {"consec_grasp": False, "grasped": True}
    assert record.renderer == ""


def test_run_records_the_backend(played):
    ended, _, run = played()
    assert run.metadata.backend == "upstream"
    assert "backend upstream" in " ".join(ended.stdout.split())


def test_environment_with_another_instruction_is_rejected(played):
    ended, _, run = played("pick pepsi can")
    assert ended.returncode == 1
    assert "upstream's instruction 'pick pepsi can' differs from the grid's 'pick coke can'" in run.records[0].error


def test_replay_of_another_interpreters_episode_is_rejected(played, cli):
    _, _, run = played()
    ended = cli("replay", run.folder, run.records[0].key)
    assert (ended.code, "another interpreter" in ended.err) == (2, True)


@pytest.mark.slow
def test_real_package_repeats_its_own_recordings_to_the_bit(simpler_golden, simpler_official, tmp_path):
    python = os.environ.get("NORA_BENCH_SIMPLER_PYTHON")
    if not python:
        pytest.skip("no original SimplerEnv: NORA_BENCH_SIMPLER_PYTHON names no interpreter")
    names = ("pick_coke_can__vm_standing_tabletop1_grasp", "move_near__vm_v0_ep1_carry", "close_drawer__vm_top_c1_base_push")
    env = {**os.environ, "PYTHONPATH": str(bridge(tmp_path))}
    command = [python, "-c", REPLAY, str(simpler_official), *(str(simpler_golden / name) for name in names)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")] == [[0.0, 0]] * len(names), done.stderr
