"""`nora-bench verify`: somebody else's run, checked on this machine."""

import json

import numpy as np
import pytest

KEY = "toy/task0/init0/seed0@toy/plain"


@pytest.fixture
def played(bench):
    """Ten toy episodes, finished."""
    return bench("--tasks", 0, "--workers", 1)


def change(played, key=KEY, **fields):
    path = played.folder / "episodes.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**line, **(fields if line["key"] == key else {})}) + "\n" for line in lines))


def test_an_untouched_run_holds(cli, played):
    ended = cli("verify", played.folder, "--sample", 1)
    assert (ended.code, "This run holds." in ended.out) == (0, True)


def test_a_part_is_drawn_by_the_seed_and_says_what_it_leaves_open(cli, played):
    told = json.loads(cli("verify", played.folder, "--sample", 0.25, "--json").out)
    assert (told["replayed"], told["holds"]) == (3, True)
    assert told["unseen"] == pytest.approx(0.632, abs=0.001)  # (1 - 0.632)^3 = 0.05


def test_no_replay_looks_at_the_files_alone(cli, played):
    told = json.loads(cli("verify", played.folder, "--sample", 0, "--json").out)
    assert (told["replayed"], told["holds"]) == (0, True)


def test_a_success_that_was_not_played_is_found_out(cli, played):
    success = played.records[KEY].success
    change(played, success=not success, termination="budget" if success else "success")
    ended = cli("verify", played.folder, "--sample", 1)
    assert ended.code == 1
    assert f"DIFFERS {KEY}: recorded success {not success}" in ended.out


def test_another_trajectory_is_found_out(cli, played):
    change(played, trajectory_sha256="0" * 64)
    ended = cli("verify", played.folder, "--sample", 1)
    assert ended.code == 1
    assert f"DIFFERS {KEY}: the replay DIFFERS from the recorded trajectory" in ended.out


def test_actions_that_were_exchanged_are_found_without_a_replay(cli, played):
    path = played.folder / played.records[KEY].actions
    np.save(path, np.load(path) / 2)
    ended = cli("verify", played.folder, "--sample", 0)
    assert ended.code == 1
    assert "is not the file that was recorded" in ended.out


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"init_state": 7}, "its fields are those of toy/task0/init7/seed0@toy/plain"),
        ({"success": None}, "success is None and termination"),
        ({"assets": {"pack": "toy", "fingerprint": "f" * 16}}, "the run's are 0123456789abcdef"),
        ({"protocol": "toy/other"}, "protocol is toy/other"),
        ({"actions": None}, "it cannot be verified"),
        ({"actions": "../../elsewhere.npy"}, "outside the run's folder"),
        ({"steps": 1000}, "the record has 1000 steps"),
    ],
)
def test_a_record_that_contradicts_itself_is_a_fault(cli, played, fields, fault):
    change(played, **fields)
    ended = cli("verify", played.folder, "--sample", 0)
    assert ended.code == 1
    assert fault in ended.out


def test_a_lost_line_is_a_fault(cli, played):
    path = played.folder / "episodes.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    ended = cli("verify", played.folder, "--sample", 0)
    assert ended.code == 1
    assert "run.json counts 10 episodes and 0 errors, episodes.jsonl holds 9 and 0" in ended.out


def test_a_damaged_line_is_a_fault(cli, played):
    with (played.folder / "episodes.jsonl").open("a") as handle:
        handle.write('{"key": \n')
    assert "line 11" in cli("verify", played.folder, "--sample", 0).out


def test_a_run_file_that_traces_nothing_is_a_fault(cli, played):
    path = played.folder / "run.json"
    run = json.loads(path.read_text())
    path.write_text(json.dumps({**run, "versions": {}}))
    assert "run.json lacks versions" in cli("verify", played.folder, "--sample", 0).out


def test_an_action_file_that_only_claims_its_size_is_not_believed(cli, played):
    path = played.folder / played.records[KEY].actions
    with path.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40, 7)})
    ended = cli("verify", played.folder, "--sample", 0)
    assert "its header does not fit its contents" in ended.out


def test_an_empty_run_does_not_hold(cli, played):
    (played.folder / "episodes.jsonl").write_text("")
    assert cli("verify", played.folder).code == 1
