import json

import numpy as np
import pytest
from nora_bench.training.collection.writer import append
from nora_bench.training.data.demonstrations import DataError, keys, read_file, read_files, task_file, task_files

from ..made import made

pytest.importorskip("libero", reason="no hf-libero: pip install 'nora-bench[libero]' && nora-bench doctor --fix")
h5py = pytest.importorskip("h5py", reason="no h5py: pip install 'nora-bench[train]'")
pytestmark = pytest.mark.libero  # a file names its task's BDDL text, which hf-libero holds


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "libero_object"
    folder.mkdir()
    for number in (0, 1):
        append(folder, made(number, steps=5 + number))
    return folder


@pytest.fixture
def path(folder):
    return task_file(folder, made().task)


def test_demonstration_is_read_as_written(path):
    found, wanted = next(read_file(path, model=True)), made(0, steps=5)
    for name in ("actions", "states", "labels", "pushed", "robot_states", "seen_qpos"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name))
    for name in ("key", "suite", "task", "instruction", "model", "facts"):
        assert getattr(found, name) == getattr(wanted, name)


def test_demonstrations_come_in_the_order_of_writing(path):
    assert [len(found) for found in read_file(path)] == [5, 6]


def test_existing_demonstration_is_not_written_twice(folder, path):
    append(folder, made(1, steps=6))
    assert keys(path) == [made(0).key, made(1).key]


def test_no_temporary_file_is_left(folder, path):
    assert [*folder.iterdir()] == [path]


def test_failed_write_leaves_the_file_unchanged(folder, path):
    before = path.read_bytes()
    with pytest.raises(TypeError):
        append(folder, made(2, facts={"what": object()}))
    assert path.read_bytes() == before and [*folder.iterdir()] == [path]


def test_attributes_are_those_of_liberos_tools(path):
    """What `scripts/get_dataset_info.py` and the training code of LIBERO look at."""
    with h5py.File(path) as file:
        data = file["data"]
        assert json.loads(data.attrs["problem_info"])["language_instruction"] == made().instruction
        assert json.loads(data.attrs["env_args"])["env_kwargs"]["robots"] == ["Panda"]
        assert data.attrs["bddl_file_content"].startswith("(define (problem LIBERO_Floor_Manipulation)")
        assert (data.attrs["num_demos"], data.attrs["total"]) == (2, 11)
        demo = data["demo_1"]
        assert demo.attrs["num_samples"] == 6 and demo.attrs["model_file"] == "<mujoco/>"
        assert np.array_equal(demo.attrs["init_state"], demo["states"][0])
        assert demo["dones"][:].tolist() == demo["rewards"][:].tolist() == [0, 0, 0, 0, 0, 1]


def test_libero_file_is_read_without_additional_arrays(tmp_path):
    path = tmp_path / "libero_object" / "pick_up_the_milk_and_place_it_in_the_basket_demo.hdf5"
    path.parent.mkdir()
    actions = np.linspace(-1, 1, 21).reshape(3, 7)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["problem_info"] = json.dumps({"language_instruction": ["pick", "the", "milk"]})
        demo = data.create_group("demo_0")
        demo.attrs["model_file"] = "<mujoco/>"
        demo["actions"], demo["states"], demo["robot_states"] = actions, np.zeros((3, 9)), np.zeros((3, 9))
    (found,) = read_file(path)
    assert (found.suite, found.instruction, found.model) == ("libero_object", "pick the milk", "<mujoco/>")
    assert np.array_equal(found.labels, actions) and not found.pushed.any() and found.seen_qpos is None


def test_folders_are_searched_for_files(folder, path):
    assert task_files([folder.parent]) == [path]
    assert [*map(len, read_files(task_files([folder, path])))] == [5, 6, 5, 6]


def test_folder_without_demonstrations_names_the_command(tmp_path):
    with pytest.raises(DataError, match="nora-bench collect"):
        task_files([tmp_path])
