import json

import pytest
from nora_bench.results.store.records import EpisodeRecord

LIBERO = ("libero_spatial", "libero_object", "libero_goal", "libero_10")


@pytest.fixture
def evaluation(tmp_path):
    """Writes the run of a whole LIBERO evaluation without actions: `evaluation(suites=("libero_goal",), failures=5, errors=1)`.

    In each task the first initial states end in errors, the next ones fail. `states`, `pack` and `name` as their names say.
    """

    def write(suites=LIBERO, failures=5, errors=0, states=50, pack="official", name="evaluation"):
        def outcome(state):
            return None if state < errors else state >= errors + failures

        folder = tmp_path / name
        folder.mkdir()
        episodes = [
            episode(suite, task, state, outcome(state), pack) for suite in suites for task in range(10) for state in range(states)
        ]
        (folder / "episodes.jsonl").write_text("".join(json.dumps(one.to_json()) + "\n" for one in episodes))
        (folder / "run.json").write_text(json.dumps(run_file(suites, episodes)))
        return folder

    return write


def episode(suite, task, state, success, pack):
    """One record."""
    return EpisodeRecord(
        key=f"{suite}/task{task}/init{state}/seed0@libero/openvla",
        suite=suite,
        task=f"task_{task}",
        task_id=task,
        instruction=f"do task {task}",
        init_state=state,
        seed=0,
        protocol="libero/openvla",
        policy="nora",
        success=success,
        steps=100 + state,
        decisions=20,
        termination="error" if success is None else "success" if success else "budget",
        error="step: exploded" if success is None else None,
        cause="machine" if success is None else "",
        assets={"pack": pack, "fingerprint": "0" * 16},
        seconds={"total": 2.0, "policy": 0.5},
    )


def run_file(suites, episodes):
    """`run.json` of these episodes."""
    return {
        "version": 1,
        "status": "finished",
        "created": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-02T00:00:00+00:00",
        "suites": list(suites),
        "protocol": {"name": "libero/openvla", "version": 1},
        "policy": {"name": "nora", "args": {}, "marks": []},
        "assets": {"pack": "official", "fingerprint": "0" * 16},
        "versions": {"nora-bench": "1.0"},
        "counts": {"planned": len(episodes), "done": len(episodes), "errors": sum(one.success is None for one in episodes)},
    }
