"""Files are replaced in one step, and digests are of the content."""

import hashlib

import pytest
from nora_bench.envs.safe_io import atomic_write, file_digest


def test_written_file_replaces_the_old_one_and_leaves_no_scratch_file(tmp_path):
    path = tmp_path / "file.json"
    path.write_text("old")
    with atomic_write(path) as scratch:
        scratch.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [*tmp_path.iterdir()] == [path]


def test_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "file.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as scratch:
        scratch.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_digest_is_the_sha256_of_the_content(tmp_path):
    (tmp_path / "file").write_bytes(bytes(3 << 20))
    assert file_digest(tmp_path / "file") == hashlib.sha256(bytes(3 << 20)).hexdigest()
