"""Data sets of others: read as what they are, held against themselves, and refused with what decides."""

import numpy as np
import pytest
from nora_bench.training.data.dataset import openings
from nora_bench.training.data.demonstrations import DataError, suite_of, task_files
from nora_bench.training.data.images import ImageSpec
from nora_bench.training.data.lerobot import open_lerobot
from nora_bench.training.data.readers import no_sets, read, without_noops

from .. import others

pytest.importorskip("h5py", reason="no h5py: pip install 'nora-bench[train]'")
pytest.importorskip("pyarrow", reason="no pyarrow: pip install 'nora-bench[train]'")
pytest.importorskip("imageio_ffmpeg", reason="no imageio-ffmpeg: pip install 'nora-bench[train]'")

SPEC = ImageSpec(size=8, frame_stride=1, jpeg=False)
LAYOUTS = [("v2.0", False), ("v2.1", False), ("v2.1", True), ("v3.0", False), ("v3.0", True)]


def opened(demonstration):
    """Opening at the first step, in the middle and at the last."""
    return openings(demonstration.labels)[[0, len(demonstration) // 2, -1], -1].tolist()


def greys(data, tmp_path, demonstration, camera=None, spec=SPEC):
    return data.images(tmp_path / "kept", spec, "standin", camera).get(demonstration).mean(axis=(1, 2, 3))


@pytest.mark.parametrize(("version", "video"), LAYOUTS)
def test_images_of_lerobot_sets_match_their_rows(tmp_path, version, video):
    data = read([others.lerobot(tmp_path / "set", version, video=video)])
    for episode, demonstration in enumerate(data.demonstrations):
        wanted = [others.shade(episode, step) for step in range(len(demonstration))]
        assert greys(data, tmp_path, demonstration) == pytest.approx(wanted, abs=3)


@pytest.mark.parametrize("gripper", ["command", "opening"])
def test_gripper_convention_is_inferred_from_its_values(tmp_path, gripper):
    data = read([others.lerobot(tmp_path / "set", lengths=(30,), gripper=gripper)])
    assert opened(data.demonstrations[0]) == [1, 0, 1]
    assert len(data.notes) == (gripper == "opening")


@pytest.mark.parametrize(("stored", "said"), [("closing", "closing"), ("reversed", "opening")])
def test_undetermined_gripper_is_rejected_without_option(tmp_path, stored, said):
    folder = others.lerobot(tmp_path / "set", lengths=(30, 30), gripper=stored)
    with pytest.raises(DataError, match="--gripper"):
        read([folder])
    assert opened(read([folder], gripper=said).demonstrations[0]) == [1, 0, 1]


@pytest.mark.parametrize(("kind", "told"), [("poses", "absolute"), ("degrees", "degrees")])
@pytest.mark.parametrize("layout", ["hdf5", "lerobot"])
def test_absolute_actions_are_rejected(tmp_path, layout, kind, told):
    getattr(others, layout)(tmp_path / "set", kind=kind)
    with pytest.raises(DataError, match=told):
        read([tmp_path / "set"])


def test_poses_around_the_origin_are_detected_by_the_next_state(tmp_path):
    def path(episode, steps):
        return np.cumsum(np.random.default_rng(episode).normal(0, 0.1, (steps, 8)), axis=0)

    folder = others.lerobot(tmp_path / "set", lengths=(40,), states=path)
    (demonstration,) = open_lerobot(folder, "set").demonstrations()
    poses = np.hstack([np.roll(demonstration.robot_states[:, :3], -1, axis=0), demonstration.actions[:, 3:]])
    from nora_bench.training.data.conventions import check_motion

    check_motion([demonstration], folder)
    with pytest.raises(DataError, match=r"observation\.state"):
        check_motion([others_like(demonstration, poses)], folder)


def others_like(demonstration, actions):
    from dataclasses import replace

    return replace(demonstration, actions=actions, labels=actions)


@pytest.mark.parametrize("width", [6, 8, 14])
def test_actions_of_another_width_are_rejected(tmp_path, width):
    with pytest.raises(DataError, match=f"{width} numbers"):
        read([others.hdf5(tmp_path / "set", width=width)])


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_short_video_is_rejected_with_its_numbers(tmp_path, version):
    data = read([others.lerobot(tmp_path / "set", version, video=True, short=2)])
    with pytest.raises(DataError, match="4 images of episode 1, which has 6"):
        greys(data, tmp_path, data.demonstrations[1])


def test_video_with_more_frames_than_rows_is_rejected(tmp_path):
    data = read([others.lerobot(tmp_path / "set", video=True)])
    others.film(tmp_path / "set/videos/chunk-000/image/episode_000001.mp4", [50] * 9)
    with pytest.raises(DataError, match="9 images of episode 1, which has 6"):
        greys(data, tmp_path, data.demonstrations[1])


def test_missing_video_is_reported_before_reading(tmp_path):
    data = read([others.lerobot(tmp_path / "set", video=True)])
    (tmp_path / "set/videos/chunk-000/image/episode_000001.mp4").unlink()
    with pytest.raises(DataError, match=r"episode_000001\.mp4 not found"):
        data.images(tmp_path, SPEC, "standin")


@pytest.mark.parametrize("column", ["frame_index", "timestamp"])
def test_missing_rows_are_reported(tmp_path, column):
    import pyarrow.parquet as parquet

    folder = others.lerobot(tmp_path / "set", lengths=(8,))
    path = folder / "data/chunk-000/episode_000000.parquet"
    table = parquet.read_table(path)
    other = {"frame_index", "timestamp"} - {column}
    kept = table.drop_columns([*other]).take([0, 1, 2, 4, 5, 6, 7])
    parquet.write_table(kept, path)
    (folder / "meta/episodes.jsonl").unlink()
    with pytest.raises(DataError, match=f"episode 0: {column} of row 3"):
        read([folder])


def test_contradicting_rows_and_metadata_are_rejected(tmp_path):
    import pyarrow.parquet as parquet

    folder = others.lerobot(tmp_path / "set")
    path = folder / "data/chunk-000/episode_000001.parquet"
    parquet.write_table(parquet.read_table(path).slice(0, 4), path)
    with pytest.raises(DataError, match="episode 1 has 4 rows; the metadata state 6"):
        read([folder])


def test_wrist_camera_is_not_the_main_one(tmp_path):
    data = read([others.lerobot(tmp_path / "set", cameras=("a_wrist_image", "image"))])
    wanted = others.shade(0, np.arange(8))
    assert greys(data, tmp_path, data.demonstrations[0]) == pytest.approx(wanted, abs=1)
    wrist = greys(data, tmp_path, data.demonstrations[0], "a_wrist_image")
    assert wrist == pytest.approx([others.shade(0, 0, wrist=True)] * 8)


def test_ambiguous_cameras_are_named(tmp_path):
    data = read([others.lerobot(tmp_path / "set", cameras=("left", "right"))])
    with pytest.raises(DataError, match="--camera left or --camera right"):
        data.images(tmp_path, SPEC, "standin")


def test_episode_with_changing_instruction_is_split(tmp_path):
    tasks = ("open the drawer", "close the drawer")
    data = read([others.lerobot(tmp_path / "set", lengths=(8,), tasks=tasks, task_of=lambda episode, step: step // 5)])
    assert [(d.instruction, len(d)) for d in data.demonstrations] == [(tasks[0], 5), (tasks[1], 3)]
    assert greys(data, tmp_path, data.demonstrations[1]) == pytest.approx(others.shade(0, np.arange(5, 8)))


def test_removed_steps_lose_their_images(tmp_path):
    data = read([others.lerobot(tmp_path / "set", lengths=(8,))])
    still = data.demonstrations[0]
    still.labels[2:4, :6] = 0.0
    kept = without_noops(others_like(still, still.labels))
    rows = kept.source.rows
    assert len(rows) < 8
    assert greys(data, tmp_path, kept) == pytest.approx(others.shade(0, rows))


def test_openvla_file_has_the_task_of_its_name(tmp_path):
    data = read([others.hdf5(tmp_path / "libero_object_no_noops", "openvla").parent])
    assert {(d.suite, d.instruction) for d in data.demonstrations} == {("libero_object", others.MILK)}


def test_stored_images_are_used(tmp_path):
    data = read([others.hdf5(tmp_path / "libero_object_no_noops", "openvla", seen="before").parent])
    assert greys(data, tmp_path, data.demonstrations[1]) == pytest.approx(others.shade(1, np.arange(12)), abs=1)


def test_images_that_follow_the_actions_are_rejected(tmp_path):
    data = read([others.hdf5(tmp_path / "libero_object", "openvla", seen="after").parent])
    with pytest.raises(DataError, match="model_file"):
        data.images(tmp_path, SPEC, "standin")


def test_file_without_instruction_and_task_is_rejected(tmp_path):
    with pytest.raises(DataError, match="problem_info"):
        read([others.hdf5(tmp_path / "mine", "openvla", task="stack_the_cups")])


def test_scene_of_no_suite_cannot_be_rendered(tmp_path):
    data = read([others.hdf5(tmp_path / "mine", task="stack_the_cups")])
    with pytest.raises(DataError, match="stack_the_cups"):
        data.images(tmp_path, SPEC, "standin")


@pytest.mark.parametrize(
    ("name", "tasks", "suite"),
    [
        ("libero_object_no_noops", [others.TASK], "libero_object"),
        ("downloads", [others.TASK], "libero_object"),
        ("libero_goal", [others.TASK], "libero_object"),
        ("libero_object_of_mine", ["stack_the_cups"], "libero_object_of_mine"),
        ("libero_100", [], "libero_100"),
    ],
)
def test_suite_follows_from_folder_name_and_contents(name, tasks, suite):
    assert suite_of(name, tasks) == suite


def test_lerobot_set_with_libero_instructions_gets_the_suite(tmp_path):
    data = read([others.lerobot(tmp_path / "libero_object_no_noops_1.0.0_lerobot")])
    assert {d.suite for d in data.demonstrations} == {"libero_object"}


def test_advised_command_never_writes_into_third_party_data(tmp_path):
    others.lerobot(tmp_path / "set")
    with pytest.raises(DataError) as told:
        task_files([tmp_path / "set"])
    assert "collect" not in str(told.value)
    with pytest.raises(DataError, match="is a LeRobot set, which cannot fly"):
        no_sets([tmp_path / "set"], "cannot fly")


def test_metadata_are_read_once(tmp_path, monkeypatch):
    import pyarrow.parquet as parquet

    found = open_lerobot(others.lerobot(tmp_path / "set", "v3.0", lengths=(3,) * 40), "set")
    read_table, read = parquet.read_table, []
    monkeypatch.setattr(parquet, "read_table", lambda path, *given, **more: read.append(path) or read_table(path, *given, **more))
    for demonstration in found.demonstrations():
        found.where(int(demonstration.source.entry))
    assert len(read) == len(set(map(str, read)))
