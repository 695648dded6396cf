"""Results of other tools as runs: what is counted, what is paired, what is rejected."""

import json
import os
import sqlite3
import subprocess
import sys

import pytest
from nora_bench.results.store.reader import read_run

TASK = "put the bowl on the plate"
"""Task 8 of libero_goal, as LIBERO names it in its instruction."""


WRITE = """
import sys
from vla_eval.recording import RecordingStore
store = RecordingStore(sys.argv[1])
store.upsert_eval_metadata("e", "n", {"benchmark": "LIBEROBenchmark", "config": {"params": {"suite": "libero_goal"}}})
common = {"sid": "s", "eval_id": "e", "task_name": sys.argv[2], "steps": 5, "elapsed_sec": 1.0, "jsonl_path": ""}
common |= {"context": {"task_idx": 8}, "failure_detail": None}
for eid, number, status in (("a", 0, "success"), ("b", 1, "fail"), ("c", 2, "error"), ("d", 1, "success")):
    reason = "timeout" if status == "error" else None
    own = {"eid": eid, "episode_id": number, "status": status, "failure_reason": reason}
    own["metrics"] = {"success": status == "success"}
    store.upsert_episode_result(**common, **own)
"""
"""Writes a recording with vla-eval's own code; one item was run twice."""


@pytest.fixture
def imported(cli, tmp_path):
    """Imports a text or a JSON-able value: `imported("a.csv", "task,success\\n...", "--suite", "libero_goal")`; the run."""

    def run(name, content, *options, out="imported"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        ended = cli("import", path, "--policy", "theirs", "--out", tmp_path / out, *options)
        assert ended.code == 0, ended.err
        return read_run(tmp_path / out)

    return run


def result(*episodes, task=TASK, benchmark="LIBEROBenchmark", suite="libero_goal"):
    """A result file of vla-eval."""
    return {"benchmark": benchmark, "config": {"params": {"suite": suite}}, "tasks": [{"task": task, "episodes": list(episodes)}]}


def ended(number, success, **more):
    """An episode of vla-eval."""
    return {"episode_id": number, "metrics": {"success": success}, "steps": 9, "elapsed_sec": 1.5, **more}


def outcomes(run):
    return [record.success for record in run.records]


def test_libero_episodes_of_vla_eval_have_the_published_states(imported):
    run = imported("r.json", result(ended(0, True), ended(49, False), ended(50, True)))
    assert [(r.task_id, r.init_state, r.seed, r.success, r.steps) for r in run.records] == [
        (8, 0, 0, True, 9),
        (8, 49, 0, False, 9),
        (8, 0, 1, True, 9),
    ]
    assert all(record.keyed for record in run.records)


def test_failure_for_another_reason_is_an_error_and_not_a_failure(imported):
    """vla-eval counts it as a failure in its rate."""
    lost = ended(1, False, failure_reason="timeout", failure_detail="timeout=60s")
    run = imported("r.json", result(ended(0, True), lost, {"episode_id": 2, "metrics": {}}))
    assert outcomes(run) == [True, None, None]
    assert (run.records[1].error, run.records[1].termination) == ("timeout: timeout=60s", "error")
    assert run.metadata.counts == {"planned": 3, "done": 3, "errors": 2}


def test_episodes_of_another_benchmark_have_no_known_state(imported):
    run = imported("r.json", result(ended(0, True), ended(0, True), task="stack", benchmark="Other", suite="other"))
    assert [(r.suite, r.task, r.keyed, r.init_state) for r in run.records] == [("other", "stack", False, n) for n in (0, 1)]


@pytest.mark.parametrize("folder", [os.environ.get("NORA_BENCH_VLA_EVAL")])
def test_recording_that_vla_eval_wrote_is_read(imported, cli, tmp_path, folder):
    if not folder:
        pytest.skip("set NORA_BENCH_VLA_EVAL to a folder that holds the package vla_eval: pip install --target FOLDER vla-eval")
    path = tmp_path / "recording.sqlite"
    subprocess.run([sys.executable, "-c", WRITE, str(path), TASK], env={**os.environ, "PYTHONPATH": folder}, check=True)
    assert cli("import", path, "--policy", "p", "--out", tmp_path / "run").code == 0
    records = {record.init_state: record.success for record in read_run(tmp_path / "run").records}
    assert records == {0: True, 1: True, 2: None}  # of the repeated item the last row counts


def test_recording_without_metadata_needs_the_suite(cli, tmp_path):
    path = tmp_path / "recording.sqlite"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE eval_metadata (eval_id, safe_name, metadata)")
    columns = (
        "sid, eid, eval_id, task_name, episode_id, status, metrics, steps, elapsed_sec, context, failure_reason, failure_detail"
    )
    database.execute(f"CREATE TABLE episode_results ({columns})")
    row = ("s", "e", "x", TASK, 0, "success", '{"success": true}', 5, 1.0, None, None, None)
    database.execute(f"INSERT INTO episode_results VALUES ({','.join('?' * 12)})", row)
    database.commit()
    database.close()
    assert cli("import", path, "--policy", "p", "--out", tmp_path / "a").code == 2
    assert cli("import", path, "--policy", "p", "--suite", "libero_goal", "--out", tmp_path / "b").code == 0
    assert outcomes(read_run(tmp_path / "b")) == [True]


def test_recording_with_a_view_instead_of_a_table_is_rejected(cli, tmp_path):
    """Reading the view would never end."""
    path = tmp_path / "recording.sqlite"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE eval_metadata (eval_id, safe_name, metadata)")
    endless = "WITH RECURSIVE n(eval_id) AS (SELECT 1 UNION ALL SELECT eval_id + 1 FROM n) SELECT * FROM n"
    database.execute(f"CREATE VIEW episode_results AS {endless}")
    database.commit()
    database.close()
    assert cli("import", path, "--policy", "p", "--suite", "libero_goal", "--out", tmp_path / "a").code == 2


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ({"per_task": [{"task_group": "libero_goal", "task_id": 8, "metrics": {"successes": [True, False, True]}}]}, ()),
        ({"per_episode": [{"episode_ix": n, "success": n != 1} for n in range(3)]}, ("--suite", "libero_goal")),
    ],
)
def test_eval_info_of_lerobot_is_read(imported, content, options):
    run = imported("eval_info.json", content, *options)
    assert outcomes(run) == [True, False, True]
    assert {(record.suite, record.keyed) for record in run.records} == {("libero_goal", False)}


def test_number_that_no_float_can_hold_is_left_out_of_the_facts(imported):
    tasks = [{"task_group": "libero_goal", "task_id": 3, "metrics": {"successes": [True, False]}}]
    run = imported("e.json", f'{{"per_task": {json.dumps(tasks)}, "overall": {{"pc_success": 1{"0" * 400}, "eval_s": 2.5}}}}')
    assert outcomes(run) == [True, False]
    assert run.metadata.imported["facts"] == {"eval_s": 2.5}


def test_csv_is_read(imported):
    text = "task,success,init_state,error\n8,1,3,\nput_the_bowl_on_the_plate,0,4,\n8,,5,machine broke\n"
    run = imported("r.csv", text, "--suite", "libero_goal")
    assert [(r.task_id, r.init_state, r.success, r.error) for r in run.records] == [
        (8, 3, True, None),
        (8, 4, False, None),
        (8, 5, None, "machine broke"),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "task,success\n8,maybe\n"),
        ("a.csv", "task,success\n8,\n"),
        ("a.csv", "task,success,error\n8,1,exploded\n"),
        ("a.csv", "task,success,init_state\n8,1,-1\n"),
        ("a.csv", "task,success,init_state\n8,1,3\n8,0,3\n"),
        ("a.csv", "task;success\n8;1\n"),
        ("a.csv", "task,success\nfly to the moon,1\n"),
        ("a.csv", "task,success\n"),
        ("a.csv", ""),
        ("a.json", "{}"),
        ("a.json", '{"tasks": 3}'),
        ("a.json", '{"per_task": [{"task_group": "libero_goal", "task_id": 8, "metrics": {"successes": [2]}}]}'),
        ("a.sqlite", "SQLite format 3\0 and nothing more"),
        ("a.zip", "PK and nothing more"),
    ],
)
def test_file_with_a_fault_is_rejected_and_leaves_no_run(cli, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    ended = cli("import", tmp_path / name, "--policy", "p", "--suite", "libero_goal", "--out", tmp_path / "run")
    assert (ended.code, (tmp_path / "run").exists()) == (2, False), ended.out
    assert name in ended.err


def test_suite_named_by_a_file_is_never_imported_as_code(cli, tmp_path):
    (tmp_path / "r.json").write_text(json.dumps(result(ended(0, True), suite="os:getcwd")))
    assert cli("import", tmp_path / "r.json", "--policy", "p", "--out", tmp_path / "run").code == 2


def test_imported_run_is_tagged_and_cannot_be_replayed(imported, cli):
    run = imported("r.json", result(ended(0, True), ended(1, False)))
    assert run.metadata.policy["marks"] == ["imported"]
    assert run.metadata.imported["replayable"] is False
    assert cli("replay", run.folder, run.records[0].key).code == 2
    verified = cli("verify", run.folder, "--json")
    assert (verified.code, len(json.loads(verified.out)["faults"])) == (1, 1)
    assert cli("show", run.folder).code == 0


def whole(success):
    """A CSV file of libero_goal: 10 tasks, 50 episodes each; `success(state)` says how they ended."""
    return "task,success\n" + "".join(f"{task},{int(bool(success(state)))}\n" for task in range(10) for state in range(50))


def test_table_has_an_imported_row_beside_a_measured_one(imported, evaluation, cli):
    measured = evaluation(suites=("libero_goal",))
    run = imported("r.csv", whole(lambda state: state % 2), "--suite", "libero_goal", "--protocol", "libero/openvla")
    shown = cli("table", measured, run.folder)
    assert shown.code == 0, shown.err
    assert "theirs (imported)" in shown.out
    assert "50.0" in shown.out and "90.0" in shown.out


def test_runs_without_known_states_are_compared_unpaired(imported, evaluation, cli):
    measured = evaluation(suites=("libero_goal",))
    run = imported("r.csv", whole(lambda state: state % 2), "--suite", "libero_goal", "--protocol", "libero/openvla")
    compared = cli("compare", measured, run.folder, "--json")
    assert compared.code == 0, compared.err
    (match,) = json.loads(compared.out)["matches"]
    assert (match["paired"], match["better"]) == (False, "A")


def test_runs_with_known_states_are_compared_in_pairs(imported, evaluation, cli):
    measured = evaluation(suites=("libero_goal",))
    lines = "".join(f"{task},{int(state > 20)},{state}\n" for task in range(10) for state in range(50))
    options = ("--suite", "libero_goal", "--protocol", "libero/openvla")
    run = imported("r.csv", f"task,success,init_state\n{lines}", *options)
    (match,) = json.loads(cli("compare", measured, run.folder, "--json").out)["matches"]
    assert (match["paired"], len(match["flipped"])) == (True, 160)


def test_two_imports_without_known_states_are_not_paired_with_each_other(imported, cli):
    options = ("--suite", "libero_goal", "--protocol", "libero/openvla")
    a = imported("a.csv", whole(lambda state: state % 2), *options, out="a")
    b = imported("b.csv", whole(lambda state: state % 5), *options, out="b")
    (match,) = json.loads(cli("compare", a.folder, b.folder, "--json").out)["matches"]
    assert match["paired"] is False


def test_comparison_needs_anyway_where_the_protocol_is_not_known(imported, evaluation, cli):
    run = imported("r.csv", whole(lambda state: state % 2), "--suite", "libero_goal")
    assert cli("compare", evaluation(suites=("libero_goal",)), run.folder).code == 2


def test_round_trip_through_vla_eval_keeps_every_count(evaluation, cli, tmp_path):
    original = read_run(evaluation(suites=("libero_goal",), errors=2, failures=7, states=20))
    cli("export", original.folder, "--format", "vla-eval", "--out", tmp_path / "vla")
    path = tmp_path / "vla" / "LIBEROBenchmark_libero_goal.json"
    options = ("--policy", "nora", "--protocol", "libero/openvla", "--out", tmp_path / "back")
    assert cli("import", path, *options).code == 0
    names = ("key", "suite", "task_id", "init_state", "seed", "success", "steps", "error", "cause", "termination")
    again = read_run(tmp_path / "back")
    rows = [[getattr(record, name) for name in names] for record in original.records]
    assert [[getattr(record, name) for name in names] for record in again.records] == rows


def test_bundle_is_unpacked_as_the_run_that_it_was(bench, cli, tmp_path):
    run = bench("--episodes", 2)
    assert cli("export", run.folder, "--format", "bundle", "--out", tmp_path / "b.zip").code == 0
    assert cli("import", tmp_path / "b.zip", "--out", tmp_path / "again").code == 0
    for path in (
        path for path in run.folder.rglob("*") if path.suffix in (".json", ".jsonl", ".npy") and "logs" not in path.parts
    ):
        assert (tmp_path / "again" / path.relative_to(run.folder)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("option", ["--policy", "--suite", "--protocol"])
def test_option_that_a_bundle_has_itself_is_rejected(bench, cli, tmp_path, option):
    run = bench("--tasks", 0, "--episodes", 1)
    assert cli("export", run.folder, "--format", "bundle", "--out", tmp_path / "b.zip").code == 0
    ended = cli("import", tmp_path / "b.zip", option, "other", "--out", tmp_path / "copy")
    assert (ended.code, option in ended.err, (tmp_path / "copy").exists()) == (2, True, False)


ROWS = "task,success\n0,1\n1,0\n"


def test_folder_of_a_policy_with_a_path_in_its_name_is_below_runs(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results.csv").write_text(ROWS)
    for policy, name in (("../../nora", "nora-imported"), ("lab/nora", "lab-nora-imported")):
        assert cli("import", "results.csv", "--policy", policy, "--suite", "libero_goal").code == 0
        assert read_run(tmp_path / "runs" / name).records[0].policy == policy


@pytest.mark.parametrize("command", [("failures", "--replay"), ("export", "--format", "lerobot", "--out", "data")])
def test_command_that_replays_names_an_imported_run_as_the_cause(cli, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results.csv").write_text(ROWS)
    assert cli("import", "results.csv", "--policy", "nora", "--suite", "other", "--out", "run").code == 0
    ended = cli(command[0], "run", *command[1:])
    assert (ended.code, "imported" in ended.err) == (2, True)
