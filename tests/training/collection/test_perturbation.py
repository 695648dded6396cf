import numpy as np
import pytest
from nora_bench.training.cli.collect import collect
from nora_bench.training.collection.demonstrator import GRIPPING, Perturbation, PerturbationConfig
from typer.main import get_command

MOVE = np.array([0.5, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0])
STAND = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0])
NONE = PerturbationConfig(noise_std=0.0, push_probability=0.0)
ALWAYS = PerturbationConfig(noise_std=0.0, push_probability=1.0)


def play(noise, actions, height=1.0, seed=0):
    """Executed actions and pushes of one episode."""
    disturbance, rng = Perturbation(noise), np.random.default_rng(seed)
    rows = [disturbance.apply(action, height, rng) for action in actions]
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows])


def test_zero_noise_leaves_the_expert_unchanged():
    executed, pushed = play(NONE, [MOVE] * 20)
    assert (executed == MOVE).all() and not pushed.any()


def test_smooth_noise_has_the_requested_deviation():
    executed, _ = play(PerturbationConfig(noise_std=0.06, push_probability=0.0), [MOVE] * 4000)
    assert (executed - MOVE)[:, :6].std() == pytest.approx(0.06, rel=0.05)


def test_smooth_noise_lasts_for_steps():
    executed, _ = play(PerturbationConfig(noise_std=0.06, push_probability=0.0), [STAND] * 4000)
    assert np.corrcoef(executed[:-1, 0], executed[1:, 0])[0, 1] == pytest.approx(0.7, abs=0.05)


def test_gripper_is_unchanged():
    executed, _ = play(PerturbationConfig(noise_std=0.5, push_probability=0.5), [MOVE] * 200)
    assert (executed[:, 6] == -1.0).all()


def test_no_push_starts_while_the_gripper_stands_still():
    assert not play(ALWAYS, [STAND] * 100)[1].any()


def test_push_ends_when_the_gripper_stands_still():
    assert play(ALWAYS, [MOVE] * 3 + [STAND] * 5)[1].tolist() == [True] * 3 + [False] * 5


def test_no_push_while_the_fingers_are_closing():
    closing = MOVE.copy()
    closing[6] = 1.0
    pushed = play(ALWAYS, [MOVE] * 4 + [closing] * 30)[1]
    assert pushed[:4].all() and not pushed[4 : 4 + GRIPPING].any() and pushed[4 + GRIPPING :].any()


def test_pushes_near_the_ground_go_upwards_only():
    low, _ = play(ALWAYS, [MOVE] * 300, height=0.05)
    high, _ = play(ALWAYS, [MOVE] * 300, height=0.5)
    assert low[:, 2].min() >= 0.0 > high[:, 2].min()


def test_push_keeps_a_part_of_the_experts_motion():
    executed, _ = play(PerturbationConfig(noise_std=0.0, push_probability=1.0, push_strength=(0.0, 0.0)), [MOVE])
    assert executed[0, 0] == pytest.approx(0.3 * 0.5)


def test_perturbed_actions_stay_in_range():
    executed, _ = play(PerturbationConfig(noise_std=1.0, push_probability=0.5), [MOVE] * 300)
    assert np.abs(executed).max() == 1.0


def test_command_has_the_default_perturbation():
    defaults = {parameter.name: parameter.default for parameter in get_command(collect).params}
    config = PerturbationConfig()
    assert (defaults["noise_std"], defaults["push_probability"]) == (config.noise_std, config.push_probability)
