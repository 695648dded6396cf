"""The same run on a real Ray cluster of several nodes on this machine: same results, also when parts of it are lost."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import nora_bench
import pytest
from nora_bench.results.store.reader import read_run
from placed import places

ray = pytest.importorskip("ray", reason="pip install 'nora-bench[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SCENE = "toy/task1/init1/seed0"
KEY = f"{SCENE}@toy/plain"
QUICK = {"health_check_period_ms": 1000}
"""A node that is gone is missed after some seconds."""
STORE = 80 << 20
"""Bytes of shared memory per node."""


def start_cluster(attempts=3):
    """Ray gives a node half a minute to start, whatever else the machine does; a loaded one may need another try."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": STORE, "_system_config": QUICK, "include_dashboard": False}
    for _ in range(attempts - 1):
        with suppress(Exception):  # Ray raises no narrower one
            return Cluster(initialize_head=True, head_node_args=head)
    return Cluster(initialize_head=True, head_node_args=head)


@pytest.fixture
def cluster():
    """A cluster whose head plays nothing; nodes are added by `cluster.add_node(num_cpus=1)`."""
    cluster = start_cluster()
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    add = cluster.add_node

    def add_and_see(**args):
        before = len(ray.nodes())
        node = add(**{"object_store_memory": STORE, **args})
        wait_for(lambda: len(ray.nodes()) > before)
        return node

    cluster.add_node = add_and_see
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_cluster_run_equals_local_run(bench, cluster):
    for _ in range(2):
        cluster.add_node(num_cpus=2)
    local = bench("--episodes", 3, "--seeds", 2, "--workers", 1, policy="fakes:Stagger", out="local")
    remote = bench("--episodes", 3, "--seeds", 2, "--executor", "ray", "--policy-replicas", 2, policy="fakes:Stagger", out="ray")
    assert remote.code == 0, remote.err
    assert remote.trajectories == local.trajectories
    for name in ("success", "steps", "decisions", "chunk_status", "attempts"):
        assert {key: getattr(one, name) for key, one in remote.records.items()} == {
            key: getattr(one, name) for key, one in local.records.items()
        }
    assert "2 workers" in remote.out, "four CPUs less one for each replica"
    used = remote.run["utilisation"]["policy"]["replicas"]
    assert sum(one["observations"] for one in used) == sum(one.decisions for one in remote.records.values())


def test_each_replica_has_a_gpu_and_environments_fill_nodes_without_first(bench, cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("NORA_BENCH_TRUST", "placed:toy")
    gpus = {}
    for cpus, count in ((3, 2), (3, 2), (2, 0), (2, 0)):
        gpus[cluster.add_node(num_cpus=cpus, num_gpus=count).node_id] = count

    def run(replicas, environments):
        """(node, GPU) -> replicas; GPUs of each environment's node."""
        assets = tmp_path / f"{replicas}-{environments}"
        assets.mkdir()
        note = assets / "placed"
        args = ["--policy-replicas", replicas, "--workers", environments, "--episodes", 4, "--assets", assets]
        args += ["--policy-arg", f"file={note}", "--policy-arg", f"environments={environments}"]
        ended = bench(*args, "--executor", "ray", suite="placed:toy", policy="placed:Placed", out=assets / "run")
        assert ended.code == 0, ended.err
        counts = places(note, "environment")
        return places(note, "replica"), sorted((gpus[node], count) for (node,), count in counts.items())

    replicas, environments = run(4, 4)
    assert [*replicas.values()] == [1] * 4
    assert environments == [(0, 2), (0, 2)]
    replicas, environments = run(4, 6)
    assert [*replicas.values()] == [1] * 4
    assert environments == [(0, 2), (0, 2), (2, 1), (2, 1)]
    replicas, _ = run(5, 1)
    assert max(replicas.values()) == 2


def test_environments_use_the_replica_of_their_node_up_to_its_share():
    from nora_bench.harness.cluster.executor import RayPolicyPool

    pool = object.__new__(RayPolicyPool)
    pool._replicas, pool._nodes, pool._load, pool._share = ["one", "other"], ["node1", "node2"], Counter(), 2
    assert [pool.nearest("node1") for _ in range(3)] == ["one", "one", "other"]
    pool.release("one")
    assert [pool.nearest("node3"), pool.nearest("node1")] == ["one", "other"]


def test_environments_leave_room_for_a_replica_that_waits_for_its_gpu(cluster, tmp_path, monkeypatch, capsys):
    from nora_bench.harness.cluster import executor

    monkeypatch.setattr(executor, "NOTE_S", 1)
    cluster.add_node(num_cpus=2, num_gpus=1)
    with ThreadPoolExecutor(1) as side:  # nodes can be added by the main thread only
        options = {"executor": "ray", "workers": 3, "policy_replicas": 2, "policy_gpus": 1, "out": tmp_path / "ray"}
        running = side.submit(nora_bench.evaluate, "fakes:Slow", suite="fakes:toy", episodes=2, progress=True, **options)
        said = []
        wait_for(lambda: said.append(capsys.readouterr().out) or "the cluster has 2 CPUs and 1 GPUs" in "".join(said))
        cluster.add_node(num_cpus=1, num_gpus=1)
        run = running.result(timeout=300)
    assert all(record.success for record in run.records)
    utilisation = read_run(run.folder).metadata.utilisation
    rounds = [replica["rounds"] for replica in utilisation["policy"]["replicas"]]
    assert utilisation["policy_s"] == pytest.approx(0.05 * sum(rounds) / 2, rel=0.5), "busy, not waited for"


def test_episodes_of_a_killed_node_are_retried_on_another(bench, cluster, trouble, tmp_path):
    """The only world waits for a node to join, hangs there in an episode until that node is killed, and waits for the next."""
    calm = bench("--episodes", 2, out="calm").trajectories
    assets = trouble({"kind": "hang", "phase": "step", "scene": SCENE})
    cluster.add_node(num_cpus=1)
    wait_for(lambda: ray.available_resources().get("CPU", 0) == 1)
    with ThreadPoolExecutor(1) as side:  # nodes can be added by the main thread only
        options = {"executor": "ray", "workers": 1, "assets": assets, "out": tmp_path / "ray"}
        playing = side.submit(nora_bench.evaluate, "fakes:Walk", suite="fakes:toy", episodes=2, **options)
        wait_for(lambda: ray.available_resources().get("CPU", 0) == 0)  # the replica has its node
        doomed = cluster.add_node(num_cpus=1)
        wait_for(lambda: (assets / "struck-0-0").exists())
        cluster.remove_node(doomed, allow_graceful=False)
        cluster.add_node(num_cpus=1)
        run = playing.result(timeout=300)
    assert {one.key: one.trajectory_sha256 for one in run.records} == calm
    assert {one.key: one.attempts for one in run.records if one.attempts > 1} == {KEY: 2}
    assert f"{KEY}: its process or node is gone" in (run.folder / "logs" / "cluster.log").read_text()
    assert [(lost["key"], lost["attempt"], lost["by"]) for lost in run.lost_attempts] == [(KEY, 1, "machine")]


@pytest.mark.libero
def test_libero_run_with_a_killed_node_equals_local_run(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path / "cache"))
    plan = {"suite": "libero_object", "tasks": "0,1", "episodes": 2, "workers": 1}
    local = nora_bench.evaluate("scripted", **plan, out=tmp_path / "local")
    cluster.add_node(num_cpus=1)
    wait_for(lambda: ray.available_resources().get("CPU", 0) == 1)
    with ThreadPoolExecutor(1) as side:  # nodes can be added by the main thread only
        playing = side.submit(nora_bench.evaluate, "scripted", **plan, executor="ray", out=tmp_path / "ray")
        wait_for(lambda: ray.available_resources().get("CPU", 0) == 0)  # the replica has its node
        doomed = cluster.add_node(num_cpus=1)
        kept = tmp_path / "ray" / "episodes.jsonl"
        wait_for(lambda: playing.done() or (kept.exists() and "\n" in kept.read_text()))
        cluster.remove_node(doomed, allow_graceful=False)
        cluster.add_node(num_cpus=1)
        remote = playing.result(timeout=600)
    reported = [{one.key: (one.trajectory_sha256, one.success, one.steps) for one in run.records} for run in (local, remote)]
    assert len(reported[0]) == 4
    assert reported[0] == reported[1]


def test_dead_replica_is_restarted_and_its_episode_retried(bench, cluster, tmp_path):
    cluster.add_node(num_cpus=2)
    calm = bench("--episodes", 1, out="calm").trajectories
    args = ("--policy-arg", f"note={tmp_path / 'note'}", "--workers", 1)
    played = bench("--episodes", 1, "--executor", "ray", *args, policy="fakes:Mortal", out="ray")
    assert played.code == 0, played.err
    assert played.trajectories == calm
    assert sorted((one.attempts, one.policy_losses) for one in played.records.values()) == [(1, 0), (1, 0), (2, 1)]


def test_episode_that_a_cluster_policy_keeps_losing_is_its_error(bench, cluster, tmp_path, monkeypatch):
    """Its class stands in a file that is typed with a relative path."""
    (tmp_path / "my policy.py").write_text("from losing import Loser\n\nclass Mine(Loser):\n    pass\n")
    monkeypatch.chdir(tmp_path)
    cluster.add_node(num_cpus=2)
    args = ("--episodes", 1, "--executor", "ray", "--policy-arg", "times=9", "--workers", 1)
    played = bench(*args, policy="my policy.py:Mine", out="ray")
    assert played.code == 1, played.err
    (error,) = (one for one in played.records.values() if one.success is None)
    assert (error.cause, error.attempts, error.policy_losses) == ("policy", 3, 3)
    assert {one.conditions for one in played.records.values()} == {played.run["sessions"][0]["conditions"]}


def test_failures_on_a_cluster_are_reported_as_on_one_machine(bench, cluster, trouble):
    """One cluster for three faults: starting it takes longer than all of them."""
    cluster.add_node(num_cpus=2)
    ray_args = ("--episodes", 2, "--executor", "ray", "--workers", 1)

    failed = bench(*ray_args, "--policy-arg", "kind=raise", policy="fakes:Wrong", out="failed")
    assert failed.code == 4
    assert "raised in act: RuntimeError: out of ideas" in failed.err
    assert [*failed.run["unfinished"].values()] == [{"attempts": 1, "policy_losses": 1}]

    assets = trouble(
        {"kind": "hang", "phase": "step", "scene": SCENE},
        {"kind": "raise", "phase": "reset", "scene": "toy/task2/init0/seed0", "times": 9},
    )
    played = bench(*ray_args, "--assets", assets, "--timeout", 10, "--retries", 1, out="played")
    assert played.code == 1
    assert (played.records[KEY].attempts, played.records[KEY].success) == (2, True)
    errors = [one.error for one in played.records.values() if one.success is None]
    assert len(errors) == 1
    assert errors[0].startswith("RuntimeError: the toy broke")
    assert {one.cause for one in played.records.values() if one.success is None} == {"machine"}

    (assets / "trouble.json").write_text('[{"kind": "missing", "phase": "start", "times": 99}]')
    lacking = bench(*ray_args, "--assets", assets, out="lacking")
    assert lacking.code == 3
    assert "a texture is missing" in lacking.err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--policy-replicas", 2), "needs --executor ray"),
        (("--executor", "slurm"), "one of local, ray"),
        (("--policy-gpus", "-1"), "a number of GPUs"),
    ],
)
def test_what_makes_no_sense_is_refused(bench, args, says):
    played = bench(*args)
    assert played.code == 2
    assert says in played.err


def test_policy_object_is_rejected_by_the_ray_executor(monkeypatch, tmp_path):
    from fakes import Walk
    from nora_bench.envs.errors import InputError

    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="must be given by its name"):
        nora_bench.evaluate(Walk(), suite="fakes:toy", executor="ray")
