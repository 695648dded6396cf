"""Demonstrations and evaluations made by hand, for tests that need no simulator."""

import json

import numpy as np
from nora_bench.results.store.records import EpisodeRecord
from nora_bench.training.data.demonstrations import Demonstration


def made(number=0, steps=12, suite="libero_object", pushed=(), **changes):
    """A demonstration whose actions count up, so that a test can say which is which."""
    rng = np.random.default_rng(number)
    labels = np.linspace(-1, 1, steps * 7).reshape(steps, 7)
    labels[:, 6] = np.where(np.arange(steps) < steps // 2, -1.0, 1.0)
    values = {
        "key": f"{suite}/task0/init{number}/seed0@libero/openvla",
        "suite": suite,
        "task": "pick_up_the_milk_and_place_it_in_the_basket",
        "instruction": "pick up the milk and place it in the basket",
        "actions": labels + rng.normal(0, 0.01, labels.shape),
        "states": rng.normal(size=(steps, 9)),
        "labels": labels,
        "pushed": np.isin(np.arange(steps), list(pushed)),
        "robot_states": rng.normal(size=(steps, 9)),
        "seen_qpos": rng.normal(size=(steps, 4)),
        "model": "<mujoco/>",
        "facts": {"task_id": 0, "init_state": number, "fixtures": {}},
    }
    return Demonstration(**{**values, **changes})


def evaluated(folder, outcomes, weights, **changes):
    """A finished run of a policy on fresh states, in a new folder; `outcomes` are (suite, state, success)."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {"task": "t", "task_id": 0, "instruction": "do", "init_set": "fresh", "seed": 0, "protocol": "p", "policy": "nora"}
    values |= {"steps": 1, "decisions": 1, "termination": "budget", "chunk_status": {"ok": 1}, **changes}
    records = [
        EpisodeRecord(key=f"{suite}/t/fresh{state}/seed0@p", suite=suite, init_state=state, success=success, **values)
        for suite, state, success in outcomes
    ]
    policy = {"name": "nora", "fingerprint": {"weights_sha256": weights}}
    (folder / "run.json").write_text(json.dumps({"version": 1, "policy": policy, "protocol": {"name": "p", "version": 1}}))
    (folder / "episodes.jsonl").write_text("".join(json.dumps(record.to_json()) + "\n" for record in records))


class Numbered:
    """Images whose pixels all hold the number of their step."""

    def __init__(self, every=2, size=4):
        self.every, self.size = every, size

    def steps(self, demonstration):
        return range(0, len(demonstration), self.every)

    def get(self, demonstration):
        return np.stack([np.full((self.size, self.size, 3), step, np.uint8) for step in self.steps(demonstration)])
