"""Initial-state files are data: arrays are read, code is refused."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from nora_bench.envs.errors import SuiteError
from nora_bench.envs.libero.init_states import load_init_states


class Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


def archive(path: Path, payload: bytes, member: str = "archive/data.pkl") -> Path:
    with zipfile.ZipFile(path, "w") as out:
        out.writestr(member, payload)
    return path


def states_file(path: Path, content: object) -> Path:
    return archive(path, pickle.dumps(content))


def test_stored_array_is_read_unchanged(tmp_path):
    states = np.random.default_rng(0).normal(size=(50, 79))
    path = states_file(tmp_path / "a.pruned_init", states)
    assert np.array_equal(load_init_states(path, 79), states)


def test_pickle_with_code_is_rejected_and_not_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SuiteError, match="no array needs"):
        load_init_states(states_file(tmp_path / "bomb.pruned_init", Bomb()), 79)
    assert not Path("exploded").exists()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (np.zeros((50, 78)), "rows of 78 numbers"),
        (np.full((50, 79), np.nan), "not finite"),
        (np.zeros((50, 79), np.float32), "one float64 matrix"),
        ([1, 2, 3], "no array needs"),
    ],
)
def test_other_content_is_rejected(tmp_path, content, complaint):
    with pytest.raises(SuiteError, match=complaint):
        load_init_states(states_file(tmp_path / "odd.pruned_init", content), 79)


@pytest.mark.parametrize("payload", [b"", b"\x80\x04.", b"not a pickle", pickle.dumps(np.zeros((50, 79)))[:-40]])
def test_broken_pickle_is_rejected(tmp_path, payload):
    with pytest.raises(SuiteError, match=r"cannot be read|hold"):
        load_init_states(archive(tmp_path / "torn.pruned_init", payload), 79)


def test_file_without_archive_is_rejected(tmp_path):
    (tmp_path / "x.pruned_init").write_bytes(io.BytesIO(b"plain").getvalue())
    with pytest.raises(SuiteError, match=r"x\.pruned_init"):
        load_init_states(tmp_path / "x.pruned_init", 79)
