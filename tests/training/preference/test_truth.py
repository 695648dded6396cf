"""Rewards against outcomes: the order of outcomes, accuracy, phases, and rollouts of restored states."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[train]'")
from nora_bench.training.engine.config import TrainingError
from nora_bench.training.preference.pairs import Part, joined
from nora_bench.training.preference.truth import (
    CandidateRoller,
    RolledOut,
    accuracy,
    better,
    chosen_rows,
    phase_of,
    read_outcomes,
    require_same_candidates,
    roll_out_missing,
    spread,
    states_with_pair,
)

OUTCOME = RolledOut("d", 4, "carry", (True, False, True, False), (30, 90, 20, 90))


def part(totals=((0.0, -1.0, 1.0, -1.0),), keys=("d",)):
    rows, count = len(totals), len(totals[0])
    candidates = np.arange(rows * count * 2 * 7, dtype=np.float32).reshape(rows, count, 2, 7)
    total = np.array(totals, np.float32)
    pairs = np.stack([total.argmax(1), total.argmin(1)], axis=1)
    states = [{"key": key, "step": 4, "suite": "libero_object", "instruction": "x"} for key in keys]
    zeros = np.zeros((rows, count), np.float32)
    images = np.zeros((rows, 8, 8, 3), np.uint8)
    return Part(images, candidates, candidates[:, 0], zeros, {"gta": zeros}, {"gta": total}, {"gta": pairs}, states)


def test_success_is_better_than_failure_and_then_fewer_steps():
    assert better(OUTCOME, 0, 1) == 1 and better(OUTCOME, 1, 0) == -1
    assert better(OUTCOME, 0, 2) == -1
    assert better(OUTCOME, 1, 3) == 0


def test_accuracy_counts_pairs_with_an_order():
    assert accuracy(part(), [OUTCOME], "gta") == {"all": (5, 5), "carry": (5, 5)}
    assert accuracy(part(((1.0, 2.0, 0.0, 2.0),)), [OUTCOME], "gta")["all"] == (0, 5)
    assert accuracy(part(((0.0, 0.0, 0.0, 0.0),)), [OUTCOME], "gta")["all"] == (2, 5)  # equal rewards are half right
    assert accuracy(part(), [OUTCOME], "gta", chosen=True)["all"] == (1, 1)


def test_states_with_a_pair_are_counted():
    two = part(((0.0, 1.0), (0.0, 0.0)), ("d", "e"))
    two.pairs["gta"][1] = -1
    assert states_with_pair(two) == {"gta": (1, 2)}


def test_phase_follows_the_gripper_commands():
    commands = np.array([-1.0] * 40 + [1.0] * 40 + [-1.0] * 40)
    labels = np.concatenate([np.zeros((120, 6)), commands[:, None]], axis=1)
    demonstration = SimpleNamespace(labels=labels)
    assert [phase_of(demonstration, step) for step in (5, 35, 45, 60, 75, 85)] == [
        *("approach", "grasp", "grasp", "carry", "release", "release")
    ]


@pytest.mark.libero
def test_running_grip_moves_by_a_fixed_amount():
    from nora_bench.envs.libero.sim.continuation import running_grip

    assert running_grip([], closed=False) == -1.0 and running_grip([], closed=True) == 1.0
    assert -1.0 < running_grip([1.0], closed=False) < 1.0
    assert running_grip([1.0] * 10, closed=False) == 1.0 and running_grip([1.0] * 10 + [-1.0] * 10, closed=False) == -1.0


def test_label_sets_with_other_candidates_are_rejected():
    require_same_candidates({"a": part(), "b": part()})
    with pytest.raises(TrainingError, match="b has other states"):
        require_same_candidates({"a": part(), "b": replace(part(), candidates=part().candidates + 1)})


def test_labels_of_several_folders_are_joined():
    both = joined([part(), part(((3.0, 1.0, 0.0, 2.0),), ("e",))])
    assert [state["key"] for state in both.states] == ["d", "e"] and both.pairs["gta"].tolist() == [[2, 1], [0, 2]]
    with pytest.raises(TrainingError, match="different shapes"):
        joined([part(), replace(part(), images=np.zeros((1, 4, 4, 3), np.uint8))])


def test_spread_is_the_distance_of_candidates_over_that_to_the_demonstration():
    same = replace(part(), candidates=np.ones((1, 4, 2, 7), np.float32), demonstrated=np.zeros((1, 2, 7), np.float32))
    assert spread(same) == 0.0 and spread(part()) > 0


def test_rows_are_spread_evenly():
    assert chosen_rows(100, 3) == [0, 50, 99] or chosen_rows(100, 3) == [0, 49, 99]
    assert chosen_rows(2, 5) == [0, 1]


def test_rolling_out_resumes_after_a_torn_line(tmp_path):
    called = []

    class Roller:
        def roll_out(self, demonstration, step, candidates):
            called.append(demonstration)
            return replace(OUTCOME, key=demonstration)

    labels = part(((0.0, 1.0, 2.0, 3.0),) * 2, ("d", "e"))
    demonstrations = {"d": "d", "e": "e"}
    first = roll_out_missing(Roller(), labels, demonstrations, [0], tmp_path)
    with (tmp_path / "outcomes.jsonl").open("a") as file:
        file.write('{"key": "e", "st')
    both = roll_out_missing(Roller(), labels, demonstrations, [0, 1], tmp_path)
    assert called == ["d", "e"] and both[0] == first[0] and read_outcomes(tmp_path) == both
    with pytest.raises(TrainingError, match="no demonstration f"):
        roll_out_missing(Roller(), part(keys=("f",)), demonstrations, [0], tmp_path)


class Line:
    """A gripper on a line: the goal holds beyond 3; actions move it by their first number."""

    def open(self, suite, task):
        self.at = 0.0

    def start(self, state, fixtures, commands, *, closed):
        self.at, self.commands = float(state[0]), commands

    def step(self, action, size=None):
        self.at += float(action[0])
        return self.at >= 3, np.zeros((8, 8, 3), np.uint8) if size else None


def test_policy_continues_after_the_candidate_until_goal_or_budget():
    class Forward:
        model = SimpleNamespace(config=SimpleNamespace(image_size=8))

        def stats(self, suite):
            return SimpleNamespace(unnormalise=lambda chunk: chunk.copy())

        def sample(self, images, texts, generators, candidates):
            chunk = np.zeros((1, 1, 2, 7), np.float32)
            chunk[..., 0] = 0.5
            return chunk

    demonstration = SimpleNamespace(
        key="d",
        suite="libero_object",
        task="t",
        instruction="x",
        facts={"fixtures": {}},
        robot_states=np.zeros((9, 9)),
        actions=-np.ones((9, 7)),
        labels=-np.ones((9, 7)),
        states=np.zeros((9, 1)),
    )
    chunks = np.zeros((2, 2, 7), np.float32)
    chunks[0, :, 0], chunks[1, :, 0] = 1.0, -3.0
    roller = CandidateRoller(Line(), Forward(), 14, 8)
    found = roller.roll_out(demonstration, 4, chunks)
    assert found.success == (True, False) and found.steps == (4, 10) and found.phase == "approach"
    assert roller.roll_out(demonstration, 4, chunks) == found
