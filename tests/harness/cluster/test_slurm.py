"""docs/slurm/evaluate.sbatch on a fake Slurm: every node of a job becomes a node of one Ray cluster on this machine."""

import shlex
from pathlib import Path

import pytest
from fake_slurm import Slurm
from nora_bench.results.store.reader import read_run
from placed import places
from test_docs import DOCS

pytest.importorskip("ray", reason="pip install 'nora-bench[ray]'")
pytestmark = pytest.mark.slow
SCRIPT = DOCS / "slurm" / "evaluate.sbatch"


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("NORA_BENCH_TRUST", "placed:toy")
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES", str(80 << 20))
    with Slurm(tmp_path / "slurm") as slurm:
        yield slurm


def submit(slurm, tmp_path, assets, *words, nodes, cpus):
    """Two GPUs and two environments."""
    arguments = [f"--policy-arg=file={assets / 'placed'}", "--policy-arg=environments=2", "--episodes=2", "--assets", assets]
    options = [f"--nodes={nodes}", f"--gpus-per-node={2 // nodes}", f"--cpus-per-task={cpus}"]
    plan = ("--suite", "placed:toy", "--policy", "placed:Placed", *arguments, *words)
    return slurm.submit(SCRIPT, *plan, options=options, OUT=str(tmp_path / "run"))


def test_job_at_its_time_limit_is_requeued_and_resumes_the_run(slurm, tmp_path, trouble):
    assets = trouble({"kind": "hang", "phase": "step", "scene": "toy/task1/init1/seed0"})
    job = submit(slurm, tmp_path, assets, nodes=2, cpus=2)
    episodes = tmp_path / "run" / "episodes.jsonl"
    job.wait_for(lambda: episodes.exists() and episodes.read_text().count("\n") == 5)
    replicas = places(assets / "placed", "replica")
    assert len({node for node, _ in replicas}) == 2
    assert places(assets / "placed", "environment") == dict.fromkeys(((node,) for node, _ in replicas), 1)
    job.reach_time_limit()
    assert job.succeeds()
    run = read_run(tmp_path / "run")
    assert [record.success for record in run.records] == [True] * 6
    assert [session["status"] for session in run.metadata.to_json()["sessions"]] == ["killed", "finished"]


def test_nodes_of_a_job_without_gpus_join_and_run_the_environments(slurm, tmp_path, trouble):
    assets = trouble()
    job = submit(slurm, tmp_path, assets, "--workers", 2, nodes=2, cpus=1)
    job.wait_for(lambda: "episodes to run" in job.output.read_text())
    address = job.output.read_text().partition("Ray cluster: ")[2].split()[0]
    guide = (DOCS / "guide" / "scaling.md").read_text().splitlines()
    line = next(line for line in guide if line.startswith("sbatch") and "--wrap" in line)
    *options, wrapped = shlex.split(line)[1:]
    script = tmp_path / "join.sbatch"
    script.write_text(wrapped.removeprefix("--wrap=").replace("HEAD:PORT", address).replace("=64", "=2"))
    slurm.submit(script, options=[*options, "--nodes=1", "--cpus-per-task=2"])
    assert job.succeeds()
    replicas = {node for node, _ in places(assets / "placed", "replica")}
    (node,) = places(assets / "placed", "environment")
    assert len(replicas) == 2
    assert not replicas & {*node}
