"""Demonstrations: HDF5 files and LeRobot data sets."""

import io
import json
import shutil

import numpy as np
import pytest
from hypothesis import given, strategies as st

h5py = pytest.importorskip("h5py", reason="pip install 'nora-bench[train]'")
pa = pytest.importorskip("pyarrow", reason="pip install 'nora-bench[train]'")

import pyarrow.parquet as pq  # noqa: E402
from nora_bench.training.data.demonstrations import DataError, keys, read_file  # noqa: E402
from nora_bench.training.data.images import ImageSpec  # noqa: E402
from nora_bench.training.data.lerobot import open_lerobot  # noqa: E402
from nora_bench.training.data.stored_images import LeRobotImages  # noqa: E402
from PIL import Image  # noqa: E402

from .mutations import STRANGE, damaged, documents  # noqa: E402
from .reading import reads  # noqa: E402

STEPS = 4
OWN = {
    "key": "libero_goal/task0/init0/seed0@x",
    "suite": "libero_goal",
    "fixtures": {"stove_1": [0.0] * 7},
    "columns": {"a_joint0": 1},
}
INSTRUCTION = {"problem_name": "p", "language_instruction": "push it"}
PARTS = {"actions": 7, "states": 9, "labels": 7, "robot_states": 9, "seen_qpos": 4}


def demonstrations(path, own=json.dumps(OWN), info=json.dumps(INSTRUCTION), change=lambda group: None):  # noqa: B008
    """A file of one demonstration, changed by a function."""
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["problem_info"] = info
        group = data.create_group("demo_0")
        for name, size in PARTS.items():
            group.create_dataset(name, data=np.ones((STEPS, size)), compression="gzip")
        group.create_dataset("pushed", data=np.zeros(STEPS, bool))
        group.attrs["model_file"] = "<mujoco/>"
        group.attrs["nora_bench"] = own
        change(group)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demonstrations")


@pytest.fixture(scope="module")
def whole(folder):
    """A file's bytes."""
    demonstrations(folder / "whole_demo.hdf5")
    return (folder / "whole_demo.hdf5").read_bytes()


def read(path):
    """Everything that is read of a file."""
    keys(path)
    for found in read_file(path, model=True):
        assert len(found.states) == len(found.actions) == STEPS
        assert np.isfinite(found.actions).all()


@given(documents(OWN), documents(INSTRUCTION))
def test_what_a_demonstration_says_of_itself_is_read_or_refused(folder, own, info):
    path = folder / "said_demo.hdf5"
    try:
        demonstrations(path, own.decode("utf-8", "replace")[:60_000], info.decode("utf-8", "replace")[:60_000])
    except ValueError:  # HDF5 holds no such text
        return
    reads("demonstrations' attributes", lambda: list(read_file(path)))


def replaced(name, make):
    def change(group):
        del group[name]
        make(group, name)

    return change


@st.composite
def arrays(draw):
    """What may stand in an array's place."""
    shape = tuple(draw(st.lists(st.sampled_from([0, 1, 4, 7, 2**20, 2**40]), max_size=3)))
    dtype = draw(
        st.sampled_from(["f8", "f4", "i8", "u1", "?", "S3", "c16", "f8,i4", h5py.string_dtype(), h5py.vlen_dtype("f8"), "f2"])
    )
    huge = np.prod([float(size) for size in shape]) > 1e5
    options = {"chunks": tuple(max(1, min(size, 64)) for size in shape)} if shape and huge and 0 not in shape else {}
    return lambda group, name: group.create_dataset(name, shape, dtype, **options)


LINKS = [
    lambda group, name: group.__setitem__(name, h5py.ExternalLink("whole_demo.hdf5", "/data/demo_0/actions")),
    lambda group, name: group.__setitem__(name, h5py.SoftLink("/data/demo_0")),
    lambda group, name: group.__setitem__(name, h5py.SoftLink("/nowhere")),
    lambda group, name: group.create_group(name),
    lambda group, name: group.create_dataset(name, (STEPS, 7), "u1", external=[("/etc/hostname", 0, STEPS * 7)]),
    lambda group, name: group.create_dataset(name, data=np.full((STEPS, 7), np.nan)),
]


@given(st.sampled_from([*PARTS, "pushed"]), st.one_of(arrays(), st.sampled_from(LINKS)))
def test_an_array_of_a_demonstration_is_read_or_refused(folder, whole, name, make):
    path = folder / "array_demo.hdf5"
    demonstrations(path, change=replaced(name, make))
    reads("demonstrations' arrays", lambda: read(path))


@given(st.data())
def test_a_damaged_file_of_demonstrations_is_read_or_refused(folder, whole, data):
    path = folder / "damaged_demo.hdf5"
    path.write_bytes(data.draw(damaged(whole)))
    reads("demonstrations' files (HDF5)", lambda: [keys(path), *read_file(path)])


@pytest.mark.parametrize("make", [LINKS[0], LINKS[4]], ids=["link", "external data"])
def test_a_demonstration_shows_nothing_of_another_file(folder, whole, make):
    path = folder / "link_demo.hdf5"
    demonstrations(path, change=replaced("actions", make))
    with pytest.raises(DataError, match="another file"):
        list(read_file(path))


@pytest.mark.parametrize("suite", ["../../elsewhere", "/tmp", "a/b", ".", "", 7])
def test_a_demonstrations_suite_is_no_path(folder, suite):
    path = folder / "path_demo.hdf5"
    demonstrations(path, own=json.dumps({**OWN, "suite": suite}))
    with pytest.raises(DataError, match="suite"):
        list(read_file(path))


INFO = {
    "codebase_version": "v2.1",
    "chunks_size": 1000,
    "fps": 20,
    "video_path": None,
    "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
    "features": {"action": {"dtype": "float32"}, "observation.state": {"dtype": "float32"}, "image": {"dtype": "image"}},
}
TASK = {"task_index": 0, "task": "push it"}


def png():
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    return out.getvalue()


ROWS = {
    "action": [[0.0] * 7] * STEPS,
    "observation.state": [[0.0] * 8] * STEPS,
    "image": [{"bytes": png(), "path": "a.png"}] * STEPS,
    "episode_index": [0] * STEPS,
    "task_index": [0] * STEPS,
}


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    """A LeRobot data set of one episode, and its table's bytes."""
    place = tmp_path_factory.mktemp("lerobot")
    table = place / "data" / "chunk-000" / "episode_000000.parquet"
    table.parent.mkdir(parents=True)
    (place / "meta").mkdir()
    pq.write_table(pa.table(ROWS), table)
    return place, table, table.read_bytes()


def read_set(place):
    """Everything that is read of a data set."""
    found = open_lerobot(place, "theirs")
    demonstrations = list(found.demonstrations())
    kept = place.parent / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    for one in demonstrations[:1]:
        LeRobotImages(kept, ImageSpec(size=8, jpeg=False), found).get(one)


def write_set(data_set, info=None, tasks=None, table=None):
    place, path, bytes_ = data_set
    (place / "meta" / "info.json").write_bytes(info or json.dumps(INFO).encode())
    (place / "meta" / "tasks.jsonl").write_bytes(tasks or json.dumps(TASK).encode())
    path.write_bytes(bytes_ if table is None else table)
    return place


@given(documents(INFO), documents(TASK), st.booleans())
def test_what_a_lerobot_set_says_of_itself_is_read_or_refused(data_set, info, tasks, first):
    place = write_set(data_set, info if first else None, None if first else tasks)
    reads("LeRobot sets' settings", lambda: read_set(place))


@given(st.data())
def test_a_table_of_a_lerobot_set_is_read_or_refused(data_set, data):
    place = write_set(data_set, table=data.draw(damaged(data_set[2])))
    reads("LeRobot sets' tables (Parquet)", lambda: read_set(place))


CELLS = st.sampled_from([one for one in STRANGE if not isinstance(one, int) or abs(one) < 2**63])


@given(st.sampled_from([*ROWS]), st.lists(CELLS, min_size=STEPS, max_size=STEPS), st.booleans())
def test_a_column_of_a_lerobot_set_is_read_or_refused(data_set, name, cells, nested):
    try:
        table = pa.table({**ROWS, name: [[cell] for cell in cells] if nested else cells})
        out = io.BytesIO()
        pq.write_table(table, out)
    except (pa.ArrowException, UnicodeEncodeError, TypeError):  # no column of such a kind
        return
    place = write_set(data_set, table=out.getvalue())
    reads("LeRobot sets' columns", lambda: read_set(place))


@pytest.mark.parametrize("path", ["../{episode_index}.parquet", "/etc/passwd", "{secret}", "a\0"])
def test_a_lerobot_set_names_no_file_outside_itself(data_set, path):
    place = write_set(data_set, json.dumps({**INFO, "data_path": path, "features": INFO["features"]}).encode())
    found = open_lerobot(place, "theirs")
    with pytest.raises(DataError, match="is not a file of the set"):
        found.file("data_path", {"episode_index": 0})


def test_what_is_whole_is_read(folder, whole, data_set):
    assert reads("whole files", lambda: read(folder / "whole_demo.hdf5"))
    assert reads("whole files", lambda: read_set(write_set(data_set)))
