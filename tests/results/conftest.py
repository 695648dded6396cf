import hashlib
import json

import pytest
from nora_bench.results.store.reader import read_run
from nora_bench.results.store.records import EpisodeRecord


@pytest.fixture
def record():
    """Makes the record of one episode: `record("libero_goal", task=3, init=0, success=True)`."""

    def make(suite="libero_goal", task=0, init=0, seed=0, success=True, **fields):
        name = task if isinstance(task, str) else f"task_{task}"
        number = 0 if isinstance(task, str) else task
        return EpisodeRecord(
            **{
                "key": f"{suite}/{name}/init{init}/seed{seed}@libero/openvla",
                "suite": suite,
                "task": name,
                "task_id": number,
                "instruction": "do it",
                "init_state": init,
                "seed": seed,
                "protocol": "libero/openvla",
                "policy": "nora",
                "success": success,
                "steps": 100 if success else 300,
                "decisions": 20,
                "termination": "error" if success is None else "success" if success else "budget",
                "assets": {"pack": "official", "fingerprint": "0123456789abcdef"},
                "seconds": {"reset": 0.1, "step": 1.0, "render": 0.5, "policy": 0.2, "total": 2.0},
                "trajectory_sha256": hashlib.sha256(f"{suite}{task}{init}{seed}".encode()).hexdigest(),
                **fields,
            }
        )

    return make


@pytest.fixture
def write(tmp_path):
    """Writes a run's folder by hand, as any program may: `write("name", records, policy={...})`."""

    def make(name, records, **run):
        folder = tmp_path / name
        folder.mkdir()
        protocol = {"name": "libero/openvla", "version": 1}
        (folder / "run.json").write_text(json.dumps({"version": 1, "protocol": protocol, **run}))
        (folder / "episodes.jsonl").write_text("".join(json.dumps(r.to_json()) + "\n" for r in records))
        return folder

    return make


@pytest.fixture
def run(write):
    """Writes a run and reads it: `run("name", records)`."""
    return lambda *args, **facts: read_run(write(*args, **facts))


@pytest.fixture
def libero(record):
    """The records of a LIBERO evaluation with `failures` failed episodes in each task's first initial states."""

    def make(
        tasks=10, inits=50, seeds=1, failures=0, suites=("libero_spatial", "libero_object", "libero_goal", "libero_10"), **fields
    ):
        return [
            record(suite, task, init, seed, success=init >= failures, **fields)
            for suite in suites
            for task in range(tasks)
            for init in range(inits)
            for seed in range(seeds)
        ]

    return make
