"""The data set as LeRobot's own reader sees it, where it is at hand; else file by file."""

import io
import json
import os
import subprocess

import numpy as np
import pytest

pq = pytest.importorskip("pyarrow.parquet", reason="pip install 'nora-bench[export]'")

READ = """
import json, sys
import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset
data = LeRobotDataset("local/rollouts", root=sys.argv[1])
rows = [data[index] for index in range(len(data))]
print(json.dumps({
    "episodes": data.num_episodes,
    "fps": data.fps,
    "tasks": [row["task"] for row in rows],
    "action": [row["action"].tolist() for row in rows],
    "pixel": [(row["observation.images.primary"][:, 0, 0] * 255).round().tolist() for row in rows],
    "timestamp": [float(row["timestamp"]) for row in rows],
    "mean": data.meta.stats["action"]["mean"].tolist(),
    "shape": list(rows[0]["observation.images.wrist"].shape),
}))
"""


@pytest.fixture
def run(bench):
    return bench("--episodes", 2, "--tasks", "0,2", "--protocol", "toy/chunk-end", policy="fakes:Stagger")


@pytest.fixture
def exported(run, cli, tmp_path):
    ended = cli("export", run.folder, "--format", "lerobot", "--out", tmp_path / "data")
    assert ended.code == 0, ended.err
    return tmp_path / "data"


def rows(exported):
    """Every row, episode after episode."""
    return [row for path in sorted(exported.glob("data/*/*.parquet")) for row in pq.read_table(path).to_pylist()]


def actions(run):
    """All executed actions, as float32, in the order of the records."""
    return np.concatenate([np.load(run.folder / record.actions) for record in run.records.values()]).astype(np.float32)


def test_every_step_is_a_row_with_the_executed_action(run, exported):
    found = rows(exported)
    assert np.array_equal(np.array([row["action"] for row in found], np.float32), actions(run)[:, 0])
    assert [row["index"] for row in found] == list(range(len(found)))
    assert json.loads((exported / "meta" / "info.json").read_text())["total_frames"] == len(found)


def test_a_row_shows_what_was_seen_before_its_action(run, exported):
    from PIL import Image

    for row in rows(exported):
        position = row["observation.state"]
        image = np.asarray(Image.open(io.BytesIO(row["observation.images.primary"]["bytes"])))
        assert (image == int(abs(position)) % 256).all()
    first = [row for row in rows(exported) if row["frame_index"] == 0]
    second = [row for row in rows(exported) if row["frame_index"] == 1]
    for before, after in zip(first, second, strict=True):
        assert after["observation.state"] == pytest.approx(before["observation.state"] + before["action"], rel=1e-5)


def test_episodes_say_where_they_come_from(run, exported):
    episodes = pq.read_table(exported / "meta" / "episodes" / "chunk-000" / "file-000.parquet").to_pylist()
    assert {one["nora_bench/key"]: one["nora_bench/success"] for one in episodes} == {
        key: record.success for key, record in run.records.items()
    }
    assert [one["length"] for one in episodes] == [record.steps for record in run.records.values()]


def test_statistics_are_those_of_the_rows(run, exported):
    stats = json.loads((exported / "meta" / "stats.json").read_text())
    wanted = actions(run).astype(np.float64)
    assert stats["action"]["mean"] == pytest.approx(wanted.mean(0), rel=1e-6)
    assert stats["action"]["max"] == pytest.approx(wanted.max(0), rel=1e-6)
    assert np.shape(stats["observation.images.wrist"]["mean"]) == (3, 1, 1)


def test_an_episode_whose_replay_is_another_is_left_out(run, cli, tmp_path):
    lines = [json.loads(line) for line in (run.folder / "episodes.jsonl").read_text().splitlines()]
    lines[1]["trajectory_sha256"] = "0" * 64
    (run.folder / "episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    ended = cli("export", run.folder, "--format", "lerobot", "--out", tmp_path / "data", "--json")
    assert ended.code == 1
    assert json.loads(ended.out)["left_out"] == [f"{lines[1]['key']}: the replay differs from the record"]
    assert json.loads((tmp_path / "data" / "meta" / "info.json").read_text())["total_episodes"] == 3


@pytest.mark.slow
def test_lerobots_own_reader_reads_it(run, exported):
    """`NORA_BENCH_LEROBOT` names an interpreter that has `lerobot` (0.4): it and nora-bench want different versions of things."""
    python = os.environ.get("NORA_BENCH_LEROBOT")
    if not python:
        pytest.skip("set NORA_BENCH_LEROBOT to the Python of a virtual environment with lerobot in it")
    done = subprocess.run([python, "-c", READ, str(exported)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["episodes"], found["fps"], found["shape"]) == (4, 20, [3, 8, 8])
    assert np.array_equal(np.array(found["action"], np.float32).reshape(actions(run).shape), actions(run))
    assert set(found["tasks"]) == {"go home, number 0", "go home, number 2"}
    assert found["mean"] == pytest.approx(actions(run).astype(np.float64).mean(0), rel=1e-6)


def test_episode_that_cannot_be_replayed_is_omitted_by_name(run, cli, tmp_path):
    key, record = next(iter(run.records.items()))
    (run.folder / record.actions).unlink()
    ended = cli("export", run.folder, "--format", "lerobot", "--out", tmp_path / "data", "--json")
    written = json.loads(ended.out)
    assert (ended.code, written["episodes"], len(written["left_out"])) == (1, 3, 1)
    assert key in written["left_out"][0]


def test_seed_of_more_than_64_bits_is_omitted(bench, cli, tmp_path):
    run = bench("--tasks", 0, "--episodes", 1, "--seeds", f"{2**62},", policy="zero")
    path = run.folder / "episodes.jsonl"
    line = json.loads(path.read_text())
    changed = {**line, "seed": 2**80, "key": line["key"].replace(str(2**62), str(2**80))}
    changed.pop("crc32")
    path.write_text(json.dumps(changed) + "\n")
    ended = cli("export", run.folder, "--format", "lerobot", "--out", tmp_path / "data")
    assert (ended.code, "Traceback" in ended.err) == (2, False)
    assert not (tmp_path / "data").exists()
