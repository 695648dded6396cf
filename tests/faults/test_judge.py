"""The judge finds every kind of violation."""

import os
import subprocess
import sys

import pytest
from nora_bench.results.store.reader import read_run
from nora_bench.results.store.records import verify_checksum

from faults import bench, judge
from faults.judge import Strike


@pytest.fixture(scope="module")
def quiet(repository, tmp_path_factory):
    """The folder of a reference run, made in a process of its own."""
    folder = tmp_path_factory.mktemp("judge")
    code = f"from pathlib import Path; from faults.bench import quiet; quiet(Path({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(repository / "tests")}, check=True)
    return folder


@pytest.fixture
def finished(quiet, tmp_path):
    """A bench with a copy of the reference run."""
    (quiet / tmp_path.name).mkdir()
    made = bench.Bench(quiet / tmp_path.name)
    made.quiet = {record.key: record for record in read_run(quiet / "quiet-toy" / "run").records}
    made.copy()
    return made


def lines(finished):
    return finished.episodes.read_bytes().splitlines(keepends=True)


def wrong(finished, strike=Strike(None)):  # noqa: B008 - a frozen value
    return "; ".join(judge.wrong(finished, strike, finished.quiet))


def test_run_without_a_fault_passes(finished):
    assert wrong(finished) == ""


def test_missing_episode_is_found(finished):
    finished.episodes.write_bytes(b"".join(lines(finished)[1:]))
    assert "recorded episodes lost or changed" in wrong(finished)


def test_doubled_episode_is_found(finished):
    finished.episodes.write_bytes(b"".join([*lines(finished), lines(finished)[0]]))
    assert "lines twice" in wrong(finished)


def test_changed_result_is_found(finished):
    first, *rest = lines(finished)
    assert verify_checksum(first)
    other = first.partition(b',"crc32"')[0].replace(b'"steps":', b'"steps":9') + b"}\n"
    finished.episodes.write_bytes(other + b"".join(rest))
    assert "quietly" in wrong(finished)


@pytest.mark.parametrize("name", ["actions/.a.npy.17.tmp", "actions/unknown.npy", "core"])
def test_leftover_file_is_found(finished, name):
    (finished.run / name).touch()
    assert f"files left behind: ['{name}']" in wrong(finished)


def test_damage_unnoticed_by_verify_is_found(finished):
    assert "verify does not find" in wrong(finished, Strike(None, lasting="line 1"))


def test_leftover_process_is_found(finished, monkeypatch):
    monkeypatch.setattr(judge, "LEAVE_S", 0)
    code = "import time; print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], env={"FAULTS": str(finished.folder)}, stdout=subprocess.PIPE) as left:
        assert left.stdout is not None
        left.stdout.readline()
        assert f"processes left behind: [{left.pid}]" in wrong(finished)
        left.kill()


@pytest.mark.parametrize(
    ("ended", "why"),
    [
        (judge.Ended(70, "Traceback (most recent call last)"), "ended with 70"),
        (judge.Ended(3, "it is broken. Type: nora-bench doctor"), "ended with 3"),
        (judge.Ended(3, "disk full"), "ended with 3"),
        (judge.Ended(0, "disk full"), "the order never struck"),
    ],
)
def test_unhelpful_message_is_found(finished, ended, why):
    strike = Strike(ended, "disk full", endings=(judge.ABSORBED,) if ended.code == 0 else (judge.STOPPED,))
    with pytest.raises(judge.Broken, match=why):
        judge.judge(finished, strike)
