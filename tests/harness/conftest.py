import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from nora_bench.envs import suites as known_suites
from nora_bench.results.store.reader import read_run
from nora_bench.results.store.records import EpisodeRecord

LIBERO = ("libero_spatial", "libero_object", "libero_goal", "libero_10")


@dataclass(frozen=True)
class Played:
    """What a run left behind."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def run(self):
        return read_run(self.folder).metadata.to_json()

    @property
    def records(self):
        return {record.key: record for record in read_run(self.folder).records}

    @property
    def trajectories(self):
        return {key: record.trajectory_sha256 for key, record in self.records.items()}


@pytest.fixture
def bench(cli, tmp_path, monkeypatch):
    """Plays toy episodes through the command line: `bench("--episodes", 4, out="a").records`."""
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NORA_BENCH_TRUST", "fakes:toy")

    def run(*args, out="run", suite="fakes:toy", policy="fakes:Walk"):
        folder = tmp_path / out
        ended = cli("run", "--suite", suite, "--policy", policy, "--out", folder, *args)
        return Played(ended.code, ended.out, ended.err, folder)

    return run


@pytest.fixture
def trouble(tmp_path):
    """Orders misbehaviour of the toy world; gives the `--assets` that carry the order."""

    def order(*orders):
        folder = tmp_path / "trouble"
        folder.mkdir()
        (folder / "trouble.json").write_text(json.dumps(orders))
        return folder

    return order


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
        task=known_suites.get(suite).tasks[task].name,
        task_id=task,
        instruction=known_suites.get(suite).tasks[task].instruction,
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
