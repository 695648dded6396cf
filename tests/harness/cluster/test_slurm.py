"""docs/slurm/evaluate.sbatch on a fake Slurm: every node of a job becomes a node of one Ray cluster on this machine."""

import json
import re
import shlex
from collections import Counter
from pathlib import Path

import pytest
from fake_slurm import Slurm
from nora_bench.results.store.reader import read_run
from test_docs import DOCS

pytest.importorskip("ray", reason="pip install 'nora-bench[ray]'")
pytestmark = pytest.mark.slow
SCRIPT = DOCS / "slurm" / "evaluate.sbatch"
STORE = str(80 << 20)
"""Bytes of shared memory per node."""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("NORA_BENCH_TRUST", "placed:toy")
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES", STORE)
    with Slurm(tmp_path / "slurm") as slurm:
        yield slurm


def submit(slurm, tmp_path, assets, *words, nodes, cpus):
    (tmp_path / "placed").touch()
    words = ("--suite", "placed:toy", "--policy", "placed:Placed", "--policy-arg", f"file={tmp_path / 'placed'}", *words)
    options = [f"--nodes={nodes}", "--gpus-per-node=1", f"--cpus-per-task={cpus}"]
    return slurm.submit(SCRIPT, *words, "--episodes", 2, "--assets", assets, options=options, OUT=str(tmp_path / "run"))


def places(*files):
    """Kind of process -> Counter of nodes and GPUs."""
    found = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return {kind: Counter((node, *gpus) for k, node, gpus in found if k == kind) for kind in ("replica", "environment")}


def test_job_at_its_time_limit_is_requeued_and_resumes_the_run(slurm, tmp_path, trouble):
    assets = trouble({"kind": "hang", "phase": "step", "scene": "toy/task1/init1/seed0"})
    job = submit(slurm, tmp_path, assets, nodes=2, cpus=2)
    episodes = tmp_path / "run" / "episodes.jsonl"
    job.wait_for(lambda: episodes.exists() and episodes.read_text().count("\n") == 5)
    found = places(tmp_path / "placed", assets / "placed")
    assert [*found["replica"].values()] == [1, 1] and sum(found["environment"].values()) == 2
    job.reach_time_limit()
    assert job.succeeds()
    run = read_run(tmp_path / "run")
    assert [record.success for record in run.records] == [True] * 6
    assert [session["status"] for session in run.metadata.to_json()["sessions"]] == ["killed", "finished"]


def test_nodes_of_a_job_without_gpus_join_and_run_the_environments(slurm, tmp_path, trouble):
    assets = trouble()
    job = submit(slurm, tmp_path, assets, "--workers", 2, nodes=2, cpus=1)
    job.wait_for(lambda: "waiting for the cluster" in job.output.read_text())
    address = re.search(r"Ray cluster: (\S+)", job.output.read_text())
    line = next(
        line
        for line in (DOCS / "guide" / "scaling.md").read_text().splitlines()
        if line.startswith("sbatch") and "--wrap" in line
    )
    *options, wrapped = shlex.split(line)[1:]
    join = tmp_path / "join.sbatch"
    join.write_text(wrapped.removeprefix("--wrap=").replace("HEAD:PORT", address[1]).replace("=64", "=2"))
    slurm.submit(join, options=[*options, "--nodes=1", "--cpus-per-task=2"])
    assert job.succeeds()
    found = places(tmp_path / "placed", assets / "placed")
    replicas, environments = ({node for node, *_ in found[kind]} for kind in ("replica", "environment"))
    assert len(replicas) == 2 and len(environments) == 1
    assert not environments & replicas
