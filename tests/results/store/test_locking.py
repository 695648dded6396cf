"""One writer per run, also where the file system has no locks."""

import errno
import json
import os
import socket
import subprocess
import sys

import pytest
from nora_bench.envs.errors import DiskError, StoreLocked, exit_code
from nora_bench.results.store import locking
from nora_bench.results.store.run_metadata import RunMetadata
from nora_bench.results.store.writer import Store
from nora_bench.training.engine.checkpoints import locked_folder
from nora_bench.training.engine.config import TrainingError


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS], ids=["ENOLCK", "EOPNOTSUPP", "ENOSYS"])
def lockless(request, monkeypatch):
    """A file system whose `flock` gives that answer."""
    refuse(monkeypatch, request.param)


def refuse(monkeypatch, number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locking.fcntl, "flock", flock)


def test_run_is_written_and_resumed_without_locks(lockless, record, tmp_path):
    with Store.create(tmp_path / "run", RunMetadata()) as store:
        store.append(record())
    with Store.open(tmp_path / "run") as store:
        assert len(store.records()) == 1
    assert not (tmp_path / "run" / "episodes.jsonl.writer").exists()


def test_second_writer_is_rejected_with_the_first_ones_name(lockless, tmp_path):
    reported = f"process {os.getpid()} on {socket.gethostname()}.*rm .*writer"
    with Store.create(tmp_path / "run", RunMetadata()), pytest.raises(StoreLocked, match=reported):
        Store.open(tmp_path / "run")
    with Store.open(tmp_path / "run"):
        pass


def test_the_mark_of_a_process_that_was_killed_counts_for_nothing(lockless, tmp_path):
    Store.create(tmp_path / "run", RunMetadata()).close()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    mark = tmp_path / "run" / "episodes.jsonl.writer"
    mark.write_text(json.dumps([socket.gethostname(), ended.pid, 1.0]))
    Store.open(tmp_path / "run").close()
    mark.write_text(json.dumps([socket.gethostname(), os.getpid(), 1.0]))  # its number is another process's now
    Store.open(tmp_path / "run").close()


@pytest.mark.parametrize("content", [json.dumps(["another-machine", 1, 1.0]), "", "[]"], ids=["elsewhere", "empty", "short"])
def test_a_mark_that_cannot_be_judged_here_is_left_to_the_user(lockless, tmp_path, content):
    Store.create(tmp_path / "run", RunMetadata()).close()
    (tmp_path / "run" / "episodes.jsonl.writer").write_text(content)
    with pytest.raises(StoreLocked, match="rm "):
        Store.open(tmp_path / "run")


def test_mark_of_a_requeued_slurm_job_counts_for_nothing_in_its_restart_alone(lockless, tmp_path, monkeypatch):
    Store.create(tmp_path / "run", RunMetadata()).close()
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    mark = tmp_path / "run" / "episodes.jsonl.writer"
    for others in (["7", "1"], ["8", "0"], []):
        mark.write_text(json.dumps(["another-machine", 1, 1.0, *others]))
        with pytest.raises(StoreLocked, match="rm "):
            Store.open(tmp_path / "run")
    mark.write_text(json.dumps(["another-machine", 1, 1.0, "7", "0"]))
    Store.open(tmp_path / "run").close()


def test_a_training_folder_is_claimed_without_locks(lockless, tmp_path):
    with locked_folder(tmp_path), pytest.raises(TrainingError, match=str(os.getpid())), locked_folder(tmp_path):
        pass
    with locked_folder(tmp_path):
        pass


def test_another_refusal_is_not_taken_for_a_writer(monkeypatch, tmp_path):
    refuse(monkeypatch, errno.EIO)
    with pytest.raises(DiskError, match="Input/output error") as caught:
        Store.create(tmp_path / "run", RunMetadata())
    assert exit_code(caught.value) == 3
