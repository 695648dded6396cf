"""Other files of others: initial states, asset packs, recordings, task files, trials."""

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from nora_bench.envs import manifest, safe_io
from nora_bench.envs.errors import SuiteError
from nora_bench.envs.libero import parity as libero_parity
from nora_bench.envs.libero.assets import required_files as libero_contents
from nora_bench.envs.libero.init_states import load_init_states
from nora_bench.envs.safe_io import read_arrays
from nora_bench.envs.simpler import recordings as simpler_recordings
from nora_bench.envs.simpler.assets import required_files as simpler_contents
from nora_bench.results import trials
from nora_bench.training.data import scene_targets

from .mutations import damaged, documents, texts
from .reading import reads

STATES = np.arange(12.0).reshape(3, 4)
CSV = "task,trial,start,success,partial,distractor\nPut eggplant in bowl,1,1,1,1,\nPut apple in plate,2,,0,0,\n"
XML = '<mujoco><asset><mesh name="a" file="a.msh"/><texture name="t" file="../textures/t.png"/></asset></mujoco>'
LAUGHS = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
BDDL = "(define (problem LIBERO) (:language push) (:obj_of_interest milk_1 basket_1) (:goal (And (In milk_1 basket_1))))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


def archive(content, name="archive/data.pkl", compression=zipfile.ZIP_STORED):
    """A zip archive as `torch.save` writes it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        file.writestr(name, content)
    return out.getvalue()


PICKLES = [pickle.dumps(STATES, protocol) for protocol in (2, 4)]
FILES = st.one_of(
    *(damaged(one).map(archive) for one in PICKLES),
    *(damaged(archive(PICKLES[0], compression=kind)) for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)),
)


@given(FILES)
def test_a_file_of_initial_states_is_read_or_refused(folder, data):
    (folder / "a.pruned_init").write_bytes(data)
    reads("initial states", lambda: load_init_states(folder / "a.pruned_init", 4))


class Code:
    """Runs a function with arguments when a pickle of it is loaded."""

    def __init__(self, function, *arguments):
        self.does = function, arguments

    def __reduce__(self):
        return self.does


@pytest.mark.parametrize(
    "code", [Code(eval, "open('taken', 'w')"), Code(Path.touch, Path("taken")), Code(np.load, "x", None, True)]
)
def test_a_pickle_runs_nothing(tmp_path, monkeypatch, code):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pruned_init").write_bytes(archive(pickle.dumps([code], 2)))
    with pytest.raises(SuiteError, match="no array needs"):
        load_init_states(tmp_path / "a.pruned_init", 4)
    assert not (tmp_path / "taken").exists()


def test_a_pickle_of_a_few_bytes_takes_no_memory(folder):
    """An unpickler makes room for as many remembered values as the largest number that one is remembered by."""
    (folder / "a.pruned_init").write_bytes(archive(b"\x80\x02Nr\xff\xff\xff\x7f."))
    assert not reads("initial states", lambda: load_init_states(folder / "a.pruned_init", 4))


def zipped(arrays):
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


ARRAYS = zipped({"states": STATES, "names": np.array(["a", "b"]), "done": np.array([True])})


@given(st.one_of(damaged(ARRAYS), damaged(archive(b"\x93NUMPY\x01\x00" + bytes(90), "a.npy"))))
def test_an_archive_of_arrays_is_read_or_refused(folder, data):
    (folder / "a.npz").write_bytes(data)
    reads("archives of arrays", lambda: read_arrays(folder / "a.npz"), ValueError)


def test_an_archive_cannot_be_larger_inside_than_is_read(folder, monkeypatch):
    monkeypatch.setattr(safe_io, "LARGEST_ARRAYS", 1 << 20)
    (folder / "a.npz").write_bytes(archive(bytes(1 << 21), "a.npy", zipfile.ZIP_DEFLATED))
    with pytest.raises(ValueError, match="exceed"):
        read_arrays(folder / "a.npz")


LIBERO = {"suite": "libero_goal", "task": "t", "bddl": "t.bddl", "init_states_file": "t.pruned_init", "init_state": 0, "seed": 0}
SIMPLER = {name: {"a": 1} for name in simpler_recordings.FACTS}


@given(documents(LIBERO), documents(SIMPLER))
def test_a_recordings_facts_are_read_or_refused(folder, libero, simpler):
    for name, facts, module in (("libero", libero, libero_parity), ("simpler", simpler, simpler_recordings)):
        wanted = ("states", "actions", "done", "body_pos", "body_quat", *libero_parity.OBSERVED, *simpler_recordings.ARRAYS)
        (folder / f"{name}.json").write_bytes(facts)
        (folder / f"{name}.npz").write_bytes(zipped(dict.fromkeys(wanted, STATES)))
        read = module._read if module is libero_parity else module.read
        reads("recordings", lambda read=read, name=name: read(folder / name))


def test_a_recording_cannot_name_a_task_file_elsewhere(folder):
    (folder / "x.json").write_text(json.dumps({**LIBERO, "bddl": "../../theirs.bddl"}))
    (folder / "x.npz").write_bytes(ARRAYS)
    with pytest.raises(SuiteError, match="is not a file name"):
        libero_parity._read(folder / "x")


@given(documents({"source": "hub", "files": {"scenes/a.xml": [3, "0" * 64], "b.png": [0, "1" * 64]}}))
def test_a_packs_manifest_is_read_or_refused(folder, data):
    (folder / "manifest.json").write_bytes(data)
    reads("packs' manifests", lambda: manifest.damaged_files(folder))


def test_a_manifest_names_no_file_outside_the_pack(folder):
    (folder / "manifest.json").write_text(json.dumps({"files": {"../manifest.json": [1, ""]}}))
    assert manifest.absent_files(folder) == ["manifest.json"]


@given(st.one_of(texts(XML), texts(f"<!DOCTYPE a [{LAUGHS}]><a>&i;</a>")))
def test_a_packs_models_are_read_or_refused(folder, data):
    place = folder / "pack" / libero_contents.XML_FILES[0]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    reads("packs' models (LIBERO)", lambda: libero_contents.missing_files(folder / "pack"))


@given(texts('<robot><mesh filename="a.obj"/></robot>', '<mesh filename="../../../x.obj"/>'))
def test_a_robots_models_are_read_or_refused(folder, data):
    place = folder / "simpler" / f"{simpler_contents.ROBOT}.urdf"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    reads("packs' models (SimplerEnv)", lambda: simpler_contents.missing_files(folder / "simpler"))


@given(texts(BDDL))
def test_a_task_file_is_read_or_refused(folder, data):
    task = folder / "bddl_files" / "libero_goal" / "t.bddl"
    task.parent.mkdir(parents=True, exist_ok=True)
    task.write_bytes(data)
    reads("task files (BDDL)", lambda: scene_targets.words_of(task, ("milk", "basket")))


MODEL = '<mujoco><worldbody><camera name="agentview" pos="0 0 1" quat="1 0 0 0" fovy="45"/></worldbody></mujoco>'


@given(texts(MODEL))
def test_a_demonstrations_model_is_read_or_refused(data):
    reads("demonstrations' models", lambda: scene_targets.camera_of(data.decode("utf-8", "replace")))


@given(texts(CSV))
def test_a_list_of_trials_is_read_or_refused(folder, data):
    (folder / "trials.csv").write_bytes(data)

    def read():
        found = trials.read(folder / "trials.csv", "galaxea-a1")
        assert all(record.key for record in trials.records(found, "galaxea-a1", "p"))

    reads("trials", read, trials.TrialError)


def test_what_is_whole_is_read(folder):
    for name, data in (("w.pruned_init", archive(PICKLES[0])), ("w.npz", ARRAYS), ("w.csv", CSV.encode())):
        (folder / name).write_bytes(data)
    assert np.array_equal(load_init_states(folder / "w.pruned_init", 4), STATES)
    assert read_arrays(folder / "w.npz").keys() == {"states", "names", "done"}
    assert len(trials.read(folder / "w.csv", "galaxea-a1")) == 2
    assert scene_targets.camera_of(MODEL).fovy == 45
