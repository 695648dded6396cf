"""Files are replaced in one step, digests are of the content, and YAML is read without repeated keys."""

import hashlib
import os
import subprocess
import sys

import pytest
from nora_bench.envs.safe_io import atomic_write, delete_leftovers, file_digest, parse_yaml


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


def test_leftover_of_a_killed_process_is_deleted_and_that_of_a_running_one_kept(tmp_path):
    path = tmp_path / "episode[1].mp4"
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    dead, running = (tmp_path / f".{path.name}.{process}.1.mp4" for process in (child.pid, os.getpid()))
    other = tmp_path / f".{path.name}.txt"
    for file in (dead, running, other):
        file.touch()
    delete_leftovers(path)
    assert {*tmp_path.iterdir()} == {running, other}


def test_digest_is_the_sha256_of_the_content(tmp_path):
    (tmp_path / "file").write_bytes(bytes(3 << 20))
    assert file_digest(tmp_path / "file") == hashlib.sha256(bytes(3 << 20)).hexdigest()


@pytest.mark.parametrize("text", ["suite: a\nseeds: 1\nsuite: b\n", "loop: {steps: 1, steps: 2}", "[{a: 1, a: 1}]"])
def test_repeated_yaml_key_is_rejected(text):
    with pytest.raises(ValueError, match=r"line \d repeats the key"):
        parse_yaml(text)


def test_yaml_keys_may_repeat_in_other_mappings():
    assert parse_yaml("a: {n: 1}\nb: {n: 2}\n1: x\n'1': y\n") == {"a": {"n": 1}, "b": {"n": 2}, 1: "x", "1": "y"}
