"""Our control step against robosuite's own, bit for bit."""

import numpy as np
import pytest

pytestmark = pytest.mark.libero

TASKS = [("libero_goal", 3), ("libero_object", 0), ("libero_10", 8), ("libero_spatial", 4), ("libero_10", 9)]


@pytest.fixture(params=TASKS, ids=lambda task: f"{task[0]}-{task[1]}")
def pair(request, env):
    """The same task twice: LIBERO's own environment and our scene, both at the same initial state."""
    from libero.libero.envs.env_wrapper import ControlEnv
    from nora_bench.envs.libero.init_states import load_init_states
    from nora_bench.envs.libero.sim.install import libero_root
    from nora_bench.envs.libero.sim.scene import LiberoScene
    from nora_bench.envs.libero.tasks import load_tasks

    suite, task = request.param
    name = load_tasks(suite)[task].name
    bddl = str(libero_root() / "bddl_files" / suite / f"{name}.bddl")
    theirs = ControlEnv(bddl_file_name=bddl, has_offscreen_renderer=False, use_camera_obs=False)
    ours = LiberoScene(bddl)
    row = load_init_states(libero_root() / "init_files" / suite / f"{name}.pruned_init", ours.state_size)[7]
    theirs.env.object_property_initializers.clear()
    theirs.seed(11)
    theirs.reset()
    theirs.sim.data.qacc_warmstart[:] = 0.0
    ours.reset(11)
    assert np.array_equal(ours.state(), theirs.get_sim_state()), "hard reset and ours differ"
    theirs.set_init_state(row)
    ours.set_state(row)
    return theirs, ours


def test_states_goal_and_robot_observations_are_bit_identical(pair):
    theirs, ours = pair
    rng = np.random.default_rng(0)
    for step in range(50):
        action = np.append(rng.uniform(-0.6, 0.6, 6) * (step >= 10), 1.0 if step % 20 > 9 else -1.0)
        seen = {}
        ours.step(action, lambda seen=seen: seen.update(ours.robot_state()))
        observation, _, done, _ = theirs.step(action)
        assert np.array_equal(ours.state(), theirs.get_sim_state()), f"step {step}"
        assert all(np.array_equal(seen[key], observation[f"robot0_{key}"]) for key in ("eef_pos", "eef_quat", "gripper_qpos"))
        assert ours.goal.holds() == bool(done)


def test_sampling_clock_keeps_its_substep_for_thousands_of_steps(env):
    from nora_bench.envs.libero.sim.osc import SUBSTEPS
    from nora_bench.envs.libero.sim.scene import SAMPLE_SUBSTEP
    from robosuite.utils.observables import Observable, sensor

    clock, taken = Observable("probe", sensor(modality="test")(lambda cache: np.zeros(1)), sampling_rate=20), []
    clock.reset()
    for _ in range(2):
        clock.update(0.002, {}, force=True)
    for substep in range(2000 * SUBSTEPS):
        cache = {}
        clock.update(0.002, cache)
        taken += [substep % SUBSTEPS] * len(cache)
    assert taken == [SAMPLE_SUBSTEP] * 2000
