"""The scripted expert wins, moves smoothly, repeats itself, and recovers from noise."""

import numpy as np
import pytest
from nora_bench.results.store.reader import read_run

pytestmark = [pytest.mark.libero, pytest.mark.slow]

SKILLS = {
    "pick and place": ("libero_spatial", 4),
    "a carton with a fold": ("libero_object", 9),
    "open a drawer": ("libero_goal", 0),
    "push a plate": ("libero_goal", 5),
    "turn a knob": ("libero_goal", 7),
    "into the microwave": ("libero_10", 9),
    "open a microwave": ("libero_90", 35, 0),
    "onto a shelf's board": ("libero_90", 40, 0),
    "lean a book into a shelf": ("libero_90", 89, 0),
}


@pytest.fixture(scope="module")
def play(tmp_path_factory, pytestconfig):
    """Plays one episode of a task on stand-ins and returns its record and actions."""
    from nora_bench.harness.cli import main

    def run(suite, task, state=45, *options):
        folder = tmp_path_factory.mktemp("expert") / "run"
        chosen = ["--suite", suite, "--tasks", str(task), "--init-states", str(state), "--policy", "scripted"]
        with pytest.raises(SystemExit):
            main(["run", *chosen, "--assets", "standin", "--workers", "1", "--out", str(folder), *options])
        record = read_run(folder).records[0]
        return record, np.load(folder / str(record.actions))

    return run


@pytest.mark.parametrize("skill", SKILLS)
def test_an_episode_of_every_skill_is_won_with_smooth_motion(play, skill):
    record, actions = play(*SKILLS[skill])
    assert record.success, record.error
    assert np.abs(actions).max() <= 1.0
    assert np.abs(np.diff(actions[:, :6], axis=0)).max() <= 0.3 + 1e-9


def test_the_same_episode_is_played_the_same_twice(play):
    (first, _), (second, _) = play("libero_object", 3), play("libero_object", 3)
    assert first.trajectory_sha256 == second.trajectory_sha256


def test_noise_makes_another_trajectory_that_still_wins(play):
    plain, _ = play("libero_object", 3)
    noisy, _ = play("libero_object", 3, 45, "--policy-arg", "noise=0.1")
    assert noisy.success
    assert noisy.trajectory_sha256 != plain.trajectory_sha256
