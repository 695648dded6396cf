"""RLDS sets, read from TFRecord files without TensorFlow."""

import numpy as np
import pytest
from nora_bench.training.data.demonstrations import DataError
from nora_bench.training.data.images import ImageSpec
from nora_bench.training.data.readers import read
from nora_bench.training.data.rlds import RldsSet, find_rlds

from .. import others

pytest.importorskip("google.protobuf", reason="no protobuf: pip install 'nora-bench[train]'")
pytest.importorskip("PIL.Image", reason="no Pillow: pip install 'nora-bench[nora]'")

SPEC = ImageSpec(size=8, frame_stride=2, jpeg=False)


def test_episodes_come_with_their_actions_and_instructions(tmp_path):
    found = read([others.rlds(tmp_path / "milk", gripper="opening")]).demonstrations
    assert [demonstration.instruction for demonstration in found] == [others.MILK] * 2
    for episode, demonstration in enumerate(found):
        wanted = others.actions((8, 6)[episode], seed=episode)
        assert demonstration.actions == pytest.approx(wanted, abs=1e-6)
        assert (demonstration.suite, demonstration.data_set) == ("milk", "milk")


def test_images_are_of_the_right_steps(tmp_path):
    data = read([others.rlds(tmp_path / "milk")])
    for camera, wrist in (("primary", False), ("wrist_image", True)):
        images = data.images(tmp_path / "kept", SPEC, "standin", camera)
        for episode, demonstration in enumerate(data.demonstrations):
            wanted = [others.shade(episode, step, wrist) for step in images.steps(demonstration)]
            assert images.get(demonstration).mean(axis=(1, 2, 3)) == pytest.approx(wanted, abs=1)


def test_set_below_its_version_is_found(tmp_path):
    others.rlds(tmp_path / "milk" / "1.0.0")
    others.rlds(tmp_path / "milk" / "1.10.0", lengths=(5, 5, 5))
    assert find_rlds(tmp_path / "milk") == tmp_path / "milk" / "1.10.0"
    found = read([tmp_path / "milk"]).demonstrations
    assert [(demonstration.suite, len(demonstration)) for demonstration in found] == [("milk", 5)] * 3


def test_episode_whose_instruction_changes_is_split(tmp_path):
    folder = others.rlds(tmp_path / "milk", lengths=(8,), tasks=(others.MILK, "stop"), task_of=lambda episode, step: step // 5)
    found = [*RldsSet(folder, "milk").demonstrations()]
    assert [(demonstration.instruction, len(demonstration)) for demonstration in found] == [(others.MILK, 5), ("stop", 3)]
    assert len({demonstration.key for demonstration in found}) == 2
    images = read([folder]).images(tmp_path / "kept", SPEC, "standin")
    assert images.get(found[1]).mean(axis=(1, 2, 3)) == pytest.approx([others.shade(0, 5), others.shade(0, 7)], abs=1)


def test_only_the_split_for_training_is_read(tmp_path):
    others.rlds(tmp_path / "milk", lengths=(8,))
    others.rlds(tmp_path / "milk", lengths=(5, 5), split="val")
    assert [len(demonstration) for demonstration in RldsSet(tmp_path / "milk", "milk").demonstrations()] == [8]


def test_truncated_file_is_named(tmp_path):
    folder = others.rlds(tmp_path / "milk")
    path = next(folder.glob("*.tfrecord*"))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"milk-train\.tfrecord.*longer than the file"):
        read([folder])


def test_damaged_message_is_named(tmp_path):
    folder = others.rlds(tmp_path / "milk")
    next(folder.glob("*.tfrecord*")).write_bytes(others.tfrecord(b"\xff" * 40))
    with pytest.raises(DataError, match=r"milk-train\.tfrecord.*Example"):
        read([folder])


def test_set_with_actions_in_parts_is_rejected_with_their_names(tmp_path):
    folder = others.rlds(tmp_path / "milk")
    features = {"steps/action/world_vector": np.zeros(6, np.float32), "steps/language_instruction": [b"pick", b"pick"]}
    next(folder.glob("*.tfrecord*")).write_bytes(others.tfrecord(others.example(features)))
    with pytest.raises(DataError, match="steps/action/world_vector"):
        read([folder])


def test_missing_camera_is_named(tmp_path):
    data = read([others.rlds(tmp_path / "milk")])
    with pytest.raises(DataError, match=r"'head'.*--camera image or wrist_image"):
        data.images(tmp_path / "kept", SPEC, "standin", "head")


@pytest.mark.parametrize("rows", [1, 3])
def test_number_of_action_values_must_match_the_steps(tmp_path, rows):
    folder = others.rlds(tmp_path / "milk")
    features = {"steps/action": np.zeros(7 * rows, np.float32), "steps/language_instruction": [b"pick"] * 4}
    next(folder.glob("*.tfrecord*")).write_bytes(others.tfrecord(others.example(features)))
    with pytest.raises(DataError, match=f"{7 * rows} numbers in 4 steps"):
        read([folder])
