"""`nora-bench verify`: a stored run, verified on this machine."""

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


def test_unchanged_run_is_valid(cli, played):
    ended = cli("verify", played.folder, "--sample", 1)
    assert (ended.code, "This run is valid." in ended.out) == (0, True)


def test_sample_is_seeded_and_bounds_the_unseen_share(cli, played):
    result = json.loads(cli("verify", played.folder, "--sample", 0.25, "--json").out)
    assert (result["replayed"], result["holds"]) == (3, True)
    assert result["unseen"] == pytest.approx(0.632, abs=0.001)  # (1 - 0.632)^3 = 0.05


def test_sample_of_0_checks_files_only(cli, played):
    result = json.loads(cli("verify", played.folder, "--sample", 0, "--json").out)
    assert (result["replayed"], result["holds"]) == (0, True)


def test_changed_success_is_detected(cli, played):
    success = played.records[KEY].success
    change(played, success=not success, termination="budget" if success else "success")
    ended = cli("verify", played.folder, "--sample", 1)
    assert ended.code == 1
    assert f"DIFFERS {KEY}: recorded success {not success}" in ended.out


def test_changed_trajectory_is_detected(cli, played):
    change(played, trajectory_sha256="0" * 64)
    ended = cli("verify", played.folder, "--sample", 1)
    assert ended.code == 1
    assert f"DIFFERS {KEY}: the replay DIFFERS from the recorded trajectory" in ended.out


def test_changed_actions_are_detected_without_a_replay(cli, played):
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
def test_inconsistent_record_is_a_fault(cli, played, fields, fault):
    change(played, **fields)
    ended = cli("verify", played.folder, "--sample", 0)
    assert ended.code == 1
    assert fault in ended.out


def test_missing_line_is_a_fault(cli, played):
    path = played.folder / "episodes.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    ended = cli("verify", played.folder, "--sample", 0)
    assert ended.code == 1
    assert "run.json counts 10 episodes and 0 errors, episodes.jsonl holds 9 and 0" in ended.out


def test_damaged_line_is_a_fault(cli, played):
    with (played.folder / "episodes.jsonl").open("a") as handle:
        handle.write('{"key": \n')
    assert "line 11" in cli("verify", played.folder, "--sample", 0).out


def test_run_file_without_versions_is_a_fault(cli, played):
    path = played.folder / "run.json"
    run = json.loads(path.read_text())
    path.write_text(json.dumps({**run, "versions": {}}))
    assert "run.json lacks versions" in cli("verify", played.folder, "--sample", 0).out


def test_action_file_with_a_false_header_is_a_fault(cli, played):
    path = played.folder / played.records[KEY].actions
    with path.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40, 7)})
    ended = cli("verify", played.folder, "--sample", 0)
    assert "its header does not fit its contents" in ended.out


def test_empty_run_is_invalid(cli, played):
    (played.folder / "episodes.jsonl").write_text("")
    assert cli("verify", played.folder).code == 1
