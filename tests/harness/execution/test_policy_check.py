"""The policy check rejects policies that mix episodes up, and leaves others unchanged."""

from typing import ClassVar

import numpy as np
import pytest
from fakes import Walk
from nora_bench.policies.base import ActionChunk

TWO = ("--tasks", "0,1", "--episodes", 2, "--workers", 2, "--max-steps", 12)


def own(observation):
    """A number of this episode alone, close to those of others."""
    return 0.01 + 0.001 * observation.spec.init_state + 0.0001 * observation.spec.task_id


class OneQueue(Walk):
    """One queue of actions for all episodes, emptied at decision 0."""

    def __init__(self):
        super().__init__()
        self.queue = []

    def act_one(self, observation):
        if observation.decision == 0:
            self.queue = []
        if not self.queue:
            self.queue = [np.full((1, 1), own(observation))] * 3
        return ActionChunk(self.queue.pop(0))


class OneBuffer(Walk):
    """Reuses one output array for all rows of a batch."""

    out = np.zeros((1, 1))

    def act(self, observations):
        for one in observations:
            self.out[:] = own(one)
        return [ActionChunk(self.out)] * len(observations)


class Dice(Walk):
    """Samples from a generator of its own."""

    dice = np.random.default_rng()

    def act_one(self, observation):
        return ActionChunk(self.dice.normal(size=(1, 1)))


class Rounds(Walk):
    """Returns other last bits in a batch than alone."""

    def act(self, observations):
        step = -0.1 * (1 + 1e-6 * len(observations))
        return [ActionChunk(np.full((1, 1), step)) for _ in observations]


class ByKey(Walk):
    """Keeps state by key, and records whether all of it was dropped."""

    kept: ClassVar[set[str]] = set()
    queries = 0

    def act_one(self, observation):
        type(self).queries += 1
        if observation.decision == 0:
            self.kept.add(observation.key)
        assert observation.key in self.kept
        return super().act_one(observation)

    def end_episode(self, key):
        self.kept.remove(key)


class OnlyItsOwn(Walk):
    """Accepts keys of the run only."""

    def act_one(self, observation):
        if "#" in observation.key:
            raise KeyError(observation.key)
        return super().act_one(observation)


@pytest.mark.parametrize("policy", ["OneQueue", "OneBuffer"])
def test_policy_that_mixes_episodes_up_ends_the_run(bench, policy):
    played = bench(*TWO, policy=f"{__name__}:{policy}")
    assert played.code == 4
    assert all(text in played.err for text in ("mixes episodes up", "observation.key", "--workers 1", "--no-policy-check"))
    assert all(counts["policy_losses"] == 0 for counts in played.run["unfinished"].values())


@pytest.mark.parametrize("extra", [("--no-policy-check",), ("--workers", 1)], ids=str)
def test_check_is_skipped_by_option_and_for_one_worker(bench, extra):
    assert bench(*TWO, *extra, policy=f"{__name__}:OneQueue").code == 0


@pytest.mark.parametrize(
    ("policy", "note"), [("Dice", "for the same observation"), ("Rounds", "rounding"), ("OnlyItsOwn", "skipped")]
)
def test_other_differences_are_noted_and_the_run_finishes(bench, policy, note):
    played = bench(*TWO, policy=f"{__name__}:{policy}")
    assert (played.code, len(played.records)) == (0, 4)
    assert note in " ".join(played.out.split())


def test_check_changes_no_episode_and_leaves_no_policy_state(bench):
    with_check = bench(*TWO, policy=f"{__name__}:ByKey", out="a")
    queries, ByKey.queries = ByKey.queries, 0
    without = bench(*TWO, "--no-policy-check", policy=f"{__name__}:ByKey", out="b")
    assert with_check.code == without.code == 0
    assert with_check.trajectories == without.trajectories
    assert queries - ByKey.queries == 5
    assert not ByKey.kept


def test_stochastic_policy_with_episode_randomness_passes(bench):
    played = bench(*TWO, policy="fakes:Stagger")
    assert played.code == 0
    assert "policy check" not in played.out
