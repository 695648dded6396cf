import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from nora_bench.results.store.reader import read_run


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
