"""LeRobot-format sets, written here as the format's description says, in its three layouts."""

import io
import json

import numpy as np
import pytest
from nora_bench.training.data.demonstrations import DataError
from nora_bench.training.data.images import ImageSpec
from nora_bench.training.data.lerobot import open_lerobot
from nora_bench.training.data.readers import read
from nora_bench.training.data.stored_images import LeRobotImages

pa = pytest.importorskip("pyarrow", reason="no pyarrow: pip install 'nora-bench[train]'")
parquet = pytest.importorskip("pyarrow.parquet")
Image = pytest.importorskip("PIL.Image", reason="no Pillow: pip install 'nora-bench[nora]'")

LENGTHS = (4, 3)
TASKS = ("put the bowl on the plate", "turn on the stove")
SPEC = ImageSpec(size=16, frame_stride=2, jpeg=False)


def actions(episode):
    rows = np.full((LENGTHS[episode], 7), 0.1 * (episode + 1), np.float32)
    rows[:, 6] = [-1.0, 1.0, 1.0, 1.0][: len(rows)]
    return rows


def shade(episode, step):
    """Every image has a grey of its own."""
    return 40 * episode + 10 * step + 20


def png(value):
    buffer = io.BytesIO()
    Image.fromarray(np.full((16, 16, 3), value, np.uint8)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def rows(episode, *, images):
    steps = range(LENGTHS[episode])
    table = {
        "action": actions(episode).tolist(),
        "observation.state": [[float(step)] * 8 for step in steps],
        "episode_index": [episode] * len(steps),
        "task_index": [episode] * len(steps),
    }
    return {**table, "image": [png(shade(episode, step)) for step in steps]} if images else table


def write_table(path, columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns), path)


def write_info(folder, version, paths, dtype="image"):
    features = {"action": {"dtype": "float32"}, "observation.state": {"dtype": "float32"}, "image": {"dtype": dtype}}
    info = {"codebase_version": version, "chunks_size": 1000, "fps": 10, "features": features, **paths}
    (folder / "meta").mkdir(parents=True, exist_ok=True)
    (folder / "meta" / "info.json").write_text(json.dumps(info))


def version_2(folder):
    """One table per episode, images within."""
    place = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
    write_info(folder, "v2.1", {"data_path": place, "video_path": None})
    (folder / "meta" / "tasks.jsonl").write_text(
        "".join(json.dumps({"task_index": i, "task": task}) + "\n" for i, task in enumerate(TASKS))
    )
    for episode in (0, 1):
        write_table(folder / place.format(episode_chunk=0, episode_index=episode), rows(episode, images=True))


def version_3(folder, *, images=True):
    """All episodes in one table."""
    place = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
    films = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    write_info(folder, "v3.0", {"data_path": place, "video_path": films}, "image" if images else "video")
    import pandas as pd

    pd.DataFrame({"task_index": [0, 1]}, index=list(TASKS)).to_parquet(folder / "meta" / "tasks.parquet")
    where = {"episode_index": [0, 1], "data/chunk_index": [0, 0], "data/file_index": [0, 0]}
    where |= {"videos/image/chunk_index": [0, 0], "videos/image/file_index": [0, 0], "videos/image/from_timestamp": [0.0, 0.4]}
    write_table(folder / "meta" / "episodes" / "chunk-000" / "file-000.parquet", where)
    parts = [rows(episode, images=images) for episode in (0, 1)]
    write_table(folder / place.format(chunk_index=0, file_index=0), {name: parts[0][name] + parts[1][name] for name in parts[0]})


def version_3_with_videos(folder):
    """All episodes in one table and one film."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="no imageio-ffmpeg: pip install 'nora-bench[train]'")
    version_3(folder, images=False)
    path = folder / "videos" / "image" / "chunk-000" / "file-000.mp4"
    path.parent.mkdir(parents=True)
    film = ffmpeg.write_frames(str(path), (16, 16), fps=10, quality=10, macro_block_size=16)
    film.send(None)
    for episode in (0, 1):
        for step in range(LENGTHS[episode]):
            film.send(np.full((16, 16, 3), shade(episode, step), np.uint8).tobytes())
    film.close()


@pytest.fixture(params=[version_2, version_3, version_3_with_videos], ids=lambda write: write.__name__)
def data(request, tmp_path):
    request.param(tmp_path / "set")
    return open_lerobot(tmp_path / "set", "libero_goal")


def test_episodes_come_with_their_actions_and_instructions(data):
    found = [*data.demonstrations()]
    assert [demonstration.instruction for demonstration in found] == list(TASKS)
    for episode, demonstration in enumerate(found):
        assert demonstration.actions == pytest.approx(actions(episode))
        assert demonstration.robot_states[:, 0].tolist() == list(range(LENGTHS[episode]))


def test_images_are_of_the_right_steps(data, tmp_path):
    stored = LeRobotImages(tmp_path / "kept", SPEC, data)
    for episode, demonstration in enumerate(data.demonstrations()):
        wanted = [shade(episode, step) for step in stored.steps(demonstration)]
        assert stored.get(demonstration).mean(axis=(1, 2, 3)) == pytest.approx(wanted, abs=4)


def test_folder_is_read_by_its_format(data):
    assert [found.suite for found in read([data.folder]).demonstrations] == ["set", "set"]


def test_missing_camera_is_named(data, tmp_path):
    with pytest.raises(DataError, match=r"'wrist'; known: image"):
        LeRobotImages(tmp_path, SPEC, data, "wrist")


def test_folder_without_set_is_rejected(tmp_path):
    with pytest.raises(DataError, match=r"meta/info\.json"):
        open_lerobot(tmp_path, "libero_goal")


def test_unknown_version_is_rejected(tmp_path):
    write_info(tmp_path, "v4.0", {})
    with pytest.raises(DataError, match=r"v4\.0"):
        open_lerobot(tmp_path, "libero_goal")


def test_episode_with_fractional_index_is_rejected(tmp_path):
    version_2(tmp_path)
    path = next(tmp_path.glob("data/*/episode_000000.parquet"))
    write_table(path, {**rows(0, images=True), "episode_index": [0.5] * LENGTHS[0]})
    with pytest.raises(DataError, match="episode_index is float64, not whole numbers"):
        [*open_lerobot(tmp_path, "libero_goal").demonstrations()]


def test_step_without_image_is_reported(tmp_path):
    version_3(tmp_path)
    found = next(iter(open_lerobot(tmp_path, "libero_goal").demonstrations()))
    path = next(tmp_path.glob("data/*/*.parquet"))
    table = parquet.read_table(path)
    parquet.write_table(table.slice(1), path)
    stored = LeRobotImages(tmp_path / "kept", ImageSpec(size=8, jpeg=False), open_lerobot(tmp_path, "libero_goal"))
    with pytest.raises(DataError, match=f"has {LENGTHS[0] - 1} images of episode 0, which has {LENGTHS[0]} rows"):
        stored.get(found)
