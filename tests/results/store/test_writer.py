import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from nora_bench.envs.errors import ExitCode, StoreError, StoreLocked
from nora_bench.results.store.lost_attempts import LOST_ATTEMPTS_FILE, LostAttempt
from nora_bench.results.store.reader import read_run
from nora_bench.results.store.records import EpisodeRecord
from nora_bench.results.store.run_metadata import RunMetadata
from nora_bench.results.store.writer import Store


def record(seed: int = 0, **fields) -> EpisodeRecord:
    values = {
        "key": f"libero_goal/task0/init0/seed{seed}@libero/openvla",
        "suite": "libero_goal",
        "task": "open_the_middle_drawer_of_the_cabinet",
        "task_id": 0,
        "instruction": "open the middle drawer of the cabinet",
        "init_state": 0,
        "seed": seed,
        "protocol": "libero/openvla",
        "policy": "zero",
        "success": False,
        "steps": 300,
        "decisions": 60,
        "termination": "budget",
    }
    return EpisodeRecord(**{**values, **fields})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A closed run of three episodes."""
    with Store.create(tmp_path / "run", RunMetadata(config={})) as store:
        for seed in range(3):
            store.append(record(seed))
    return tmp_path / "run"


def episodes(folder: Path) -> Path:
    return folder / "episodes.jsonl"


def test_appended_records_are_read_back(folder):
    assert read_run(folder).records == (record(0), record(1), record(2))


def lost_attempt(number: int) -> LostAttempt:
    return {"key": "k", "attempt": number, "by": "machine", "cause": "step: killed", "log": "logs/worker-0.log", "time": "t"}


def test_lost_attempts_are_read_back_without_torn_or_damaged_lines(folder):
    with Store.open(folder) as store:
        store.add_lost_attempt(lost_attempt(1))
        path = folder / LOST_ATTEMPTS_FILE
        path.write_bytes(path.read_bytes() + b'{"key": 7}\n\xff\n')
        store.add_lost_attempt(lost_attempt(2))
    path.write_bytes(path.read_bytes() + b'{"key": "k", "att')
    assert read_run(folder).lost_attempts == (lost_attempt(1), lost_attempt(2))


def test_run_with_an_unreadable_file_of_lost_attempts_is_read_with_a_note(folder):
    (folder / LOST_ATTEMPTS_FILE).mkdir(parents=True)
    run = read_run(folder)
    assert (len(run.records), run.lost_attempts) == (3, ())
    assert [LOST_ATTEMPTS_FILE in note for note in run.notes] == [True]


def test_reading_needs_none_of_our_code(folder):
    assert [json.loads(line)["seed"] for line in episodes(folder).read_text().splitlines()] == [0, 1, 2]


def test_a_run_says_its_format_version(folder):
    assert json.loads((folder / "run.json").read_text())["version"] == 1


def test_an_open_run_knows_its_keys(folder):
    with Store.open(folder) as store:
        assert store.keys() == {record(seed).key for seed in range(3)}


def test_creating_over_a_run_is_refused_with_the_resume_command(folder):
    with pytest.raises(StoreError, match="--resume"):
        Store.create(folder, RunMetadata())


def test_opening_a_folder_that_is_no_run_says_so(tmp_path):
    with pytest.raises(StoreError, match=r"is not a run \(no run.json in it\)"):
        Store.open(tmp_path)


@pytest.mark.parametrize("name", ["taken", "taken/run"])
def test_creating_a_run_where_a_file_is_names_the_file(tmp_path, name):
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match=f"{tmp_path / 'taken'} is a file") as error:
        Store.create(tmp_path / name, RunMetadata())
    assert (error.value.exit_code, error.value.option, error.value.value) == (ExitCode.BAD_INPUT, "--out", str(tmp_path / name))


def test_a_second_writer_is_refused(folder):
    with Store.open(folder), pytest.raises(StoreLocked, match="another process"):
        Store.open(folder)


def test_readers_need_no_lock(folder):
    with Store.open(folder):
        assert len(read_run(folder).records) == 3


def test_a_repeated_key_is_refused(folder):
    with Store.open(folder) as store, pytest.raises(StoreError, match="recorded already"):
        store.append(record(1))


@pytest.mark.parametrize("cut", [1, 10, 200])
def test_a_torn_last_line_is_reported_and_gone_after_the_next_append(folder, cut):
    whole = episodes(folder).read_bytes()
    episodes(folder).write_bytes(whole[: -cut - 1])
    with Store.open(folder) as store:
        assert "unfinished" in store.notes[0]
        store.append(record(2))
    assert episodes(folder).read_bytes() == whole
    assert read_run(folder).notes == ()


def test_a_whole_last_line_without_newline_counts(folder):
    whole = episodes(folder).read_bytes()
    episodes(folder).write_bytes(whole[:-1])
    with Store.open(folder) as store:
        store.append(record(3))
    assert [r.seed for r in read_run(folder).records] == [0, 1, 2, 3]


@pytest.mark.parametrize("garbage", ["{not json", '{"key": "incomplete"}', "", "\0\0\0"])
def test_a_corrupt_line_in_the_middle_is_named_skipped_and_kept(folder, garbage):
    lines = episodes(folder).read_text().splitlines()
    lines[1] = garbage
    episodes(folder).write_text("\n".join(lines) + "\n")
    with Store.open(folder) as store:
        assert "line 2" in store.notes[0]
        store.append(record(1))
    run = read_run(folder)
    assert [r.seed for r in run.records] == [0, 2, 1]
    assert garbage in episodes(folder).read_text().splitlines()


def test_a_repeated_line_counts_once_and_is_reported(folder):
    with episodes(folder).open("a") as handle:
        handle.write(episodes(folder).read_text().splitlines()[0] + "\n")
    run = read_run(folder)
    assert len(run.records) == 3
    assert "line 4 repeats" in run.notes[0]


def test_fields_of_a_newer_format_are_dropped_with_a_note(folder):
    values = {**record(9).to_json(), "version": 2, "mood": "good"}
    with episodes(folder).open("a") as handle:
        handle.write(json.dumps(values) + "\n")
    run = read_run(folder)
    assert run.records[-1].seed == 9
    assert "format 2" in run.notes[0]


@pytest.mark.parametrize("bad", [{"seconds": {"total": float("nan")}}, {"success": np.bool_(True)}, {"steps": "many"}])
def test_values_that_could_not_be_read_back_are_refused(folder, bad):
    before = episodes(folder).read_bytes()
    with Store.open(folder) as store, pytest.raises(StoreError, match="cannot be recorded"):
        store.append(record(3, **bad))
    assert episodes(folder).read_bytes() == before


def test_run_json_is_updated_and_the_rest_of_it_stays(folder):
    with Store.open(folder) as store:
        store.update_metadata(finished="now")
        assert store.metadata.to_json() == {"version": 1, "config": {}, "finished": "now"}
    assert read_run(folder).metadata.finished == "now"


def test_an_update_that_is_not_json_leaves_the_old_file(folder):
    with Store.open(folder) as store, pytest.raises(StoreError, match=r"run\.json"):
        store.update_metadata(config={1, 2})
    assert read_run(folder).metadata.config == {}


def test_actions_come_back_as_float64(folder):
    actions = np.arange(14, dtype=np.float32).reshape(2, 7)
    with Store.open(folder) as store:
        path = store.write_actions(record(0).key, actions)
    kept = np.load(folder / path, allow_pickle=False)
    assert kept.dtype == np.float64
    assert np.array_equal(kept, actions)


@pytest.mark.parametrize("key", ["../../etc/passwd", "/etc/passwd", "..", "", "a" * 1000, "näh\0\n"])
def test_no_key_escapes_the_actions_folder(folder, key):
    with Store.open(folder) as store:
        path = store.write_actions(key, np.zeros((1, 7)))
    assert (folder / path).resolve().parent == (folder / "actions").resolve()


def test_keys_that_differ_in_one_sign_get_different_files(folder):
    with Store.open(folder) as store:
        assert store.write_actions("a/b", np.zeros((1, 7))) != store.write_actions("a-b", np.zeros((1, 7)))


def test_an_actions_folder_that_is_a_link_to_elsewhere_is_refused(folder, tmp_path):
    (folder / "actions").symlink_to(tmp_path)
    with Store.open(folder) as store, pytest.raises(StoreError, match="leads outside"):
        store.write_actions("k", np.zeros((1, 7)))


@pytest.mark.parametrize("taken", ["removed", "replaced"])
def test_lines_do_not_vanish_with_a_file_that_was_taken_away(folder, taken):
    whole = episodes(folder).read_bytes()
    with Store.open(folder) as store:
        episodes(folder).unlink()
        if taken == "replaced":
            episodes(folder).write_bytes(whole)
        with pytest.raises(StoreError, match="removed or replaced"):
            store.append(record(3))


def test_temporary_files_of_a_killed_writer_are_removed(folder):
    left = [folder / ".run.json.17.tmp", folder / "actions" / ".a.npy.17.tmp"]
    left[1].parent.mkdir()
    for path in left:
        path.write_text("half")
    Store.open(folder).close()
    assert not any(path.exists() for path in left)


@contextmanager
def small_disk():
    """Files of this process cannot pass 2,000 bytes, nor can pytest's own output: the kernel's refusal in mid-write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_an_error_and_the_file_stays_readable(folder):
    whole = episodes(folder).read_bytes()
    assert 1000 < len(whole) < 3000
    with Store.open(folder) as store, small_disk(), pytest.raises(StoreError, match="df -h"):
        store.append(record(3, instruction="x" * 3000))
    assert episodes(folder).read_bytes() == whole


def test_a_full_disk_leaves_no_half_written_action_file(folder):
    with Store.open(folder) as store, small_disk(), pytest.raises(StoreError, match="df -h"):
        store.write_actions("k", np.zeros((1000, 7)))
    assert list((folder / "actions").iterdir()) == []


def test_a_killed_writer_leaves_whole_lines_and_no_lock(tmp_path):
    script = """
import json, os, signal, sys
from nora_bench.results.store.records import EpisodeRecord
from nora_bench.results.store.run_metadata import RunMetadata
from nora_bench.results.store.writer import Store
store = Store.create(sys.argv[1], RunMetadata())
store.append(EpisodeRecord.from_json(json.loads(sys.argv[2])))
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "run"), json.dumps(record(0).to_json())]
    subprocess.run(command, check=False, cwd=os.path.sep)
    with Store.open(tmp_path / "run") as store:
        assert store.records() == [record(0)]
