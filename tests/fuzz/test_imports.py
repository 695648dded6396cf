"""Files of other tools' results, and bundles, from somebody else."""

import io
import json
import shutil
import sqlite3
import zipfile

import pytest
from hypothesis import given, strategies as st
from nora_bench.results.store.bundle import open_bundle, write_bundle
from nora_bench.results.store.integrity import faults
from nora_bench.results.store.reader import read_run

from .mutations import damaged, documents, texts, values
from .reading import reads
from .test_runs import ACTIONS, EPISODES, ends, write

TASK = "put the bowl on the plate"
EPISODE = {"episode_id": 0, "metrics": {"success": True}, "steps": 9, "elapsed_sec": 1.5}
LOST = {**EPISODE, "episode_id": 1, "failure_reason": "timeout", "failure_detail": "timeout=60s"}
OWN = {**EPISODE, "init_state": 3, "init_set": "", "seed": 1, "suite": "libero_goal", "variant": "", "cause": "policy"}
RESULT = {
    "benchmark": "LIBEROBenchmark",
    "config": {"params": {"suite": "libero_goal"}},
    "created_at": "2026-01-01T00:00:00+00:00",
    "tasks": [{"task": TASK, "episodes": [EPISODE, LOST, OWN]}],
}
PER_TASK = {"per_task": [{"task_group": "libero_goal", "task_id": 8, "metrics": {"successes": [True, False]}}], "overall": {}}
PER_EPISODE = {"per_episode": [{"episode_ix": 0, "success": True}], "aggregated": {"pc_success": 100.0}}
TABLE = """suite,task,success,init_state,seed,variant,steps,seconds,error,cause
libero_goal,8,1,3,0,,9,1.5,,
libero_goal,8,,4,0,,,,broke,machine
"""
OPTIONS = [(), ("--suite", "libero_goal")]


def imports(capsys, folder, name, content, *options):
    """Import a file; whether the command ends well. What it stored must be readable."""
    path, out = folder / name, folder / "imported"
    shutil.rmtree(out, ignore_errors=True)
    path.write_bytes(content)
    if ends(capsys, "imports", "import", path, "--policy", "p", "--out", out, *options):
        run = read_run(out)
        assert run.notes == ()
        assert all(record.spec.key == record.key for record in run.records)
    assert {path.name for path in folder.iterdir()} <= {name, "imported"}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder in which a file and an imported run may be."""
    return tmp_path_factory.mktemp("imports")


@given(
    st.one_of(documents(RESULT), documents(PER_TASK), documents(PER_EPISODE)), st.sampled_from([(), ("--suite", "libero_goal")])
)
def test_json_results_are_imported_or_rejected(folder, capsys, content, options):
    imports(capsys, folder, "results", content, *options)


@given(texts(TABLE))
def test_csv_results_are_imported_or_rejected(folder, capsys, content):
    imports(capsys, folder, "results", content, "--suite", "libero_goal")


ROW = ["s", "e", "x", TASK, 0, "success", '{"success": true}', 9, 1.0, '{"task_idx": 8, "suite": "libero_goal"}', None, None]
METADATA = ["x", "n", json.dumps({"benchmark": "LIBEROBenchmark", "config": {"params": {"suite": "libero_goal"}}})]


def recording(path, rows, metadata):
    """A recording of vla-eval with these rows, whatever their values."""
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE eval_metadata (eval_id, safe_name, metadata)")
    columns = "sid, eid, eval_id, task_name, episode_id, status, metrics, steps, elapsed_sec, context"
    database.execute(f"CREATE TABLE episode_results ({columns}, failure_reason, failure_detail)")
    for table, several in (("eval_metadata", [metadata]), ("episode_results", rows)):
        for row in several:
            database.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)
    database.commit()
    database.close()
    return path.read_bytes()


def storable(value):
    """The value as SQLite can hold it."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return str(value)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return value if value is None or isinstance(value, int | float) else json.dumps(value)


@given(values([ROW, METADATA]))
def test_rows_of_a_recording_are_imported_or_rejected(folder, tmp_path_factory, capsys, changed):
    parts = [part if isinstance(part, list) else [] for part in changed] if isinstance(changed, list) else []
    row, metadata = [*parts, [], []][:2]
    cells = [[*map(storable, part), *[None] * 12][:size] for part, size in ((row, 12), (metadata, 3))]
    content = recording(tmp_path_factory.getbasetemp() / "made.sqlite", [cells[0]], cells[1])
    imports(capsys, folder, "results", content)


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """The bytes of a valid recording."""
    return recording(tmp_path_factory.mktemp("valid") / "recording.sqlite", [ROW], METADATA)


@given(st.data())
def test_damaged_recording_is_imported_or_rejected(folder, database, capsys, data):
    imports(capsys, folder, "results", data.draw(damaged(database)))


@pytest.fixture(scope="session")
def members(tmp_path_factory):
    """Member -> content of a valid bundle."""
    import numpy as np

    run = tmp_path_factory.mktemp("bundled") / "theirs"
    (run / "actions").mkdir(parents=True)
    np.save(run / "actions" / "a.npy", ACTIONS)
    write(run, episodes=[EPISODES[0], EPISODES[1]])
    path = run.parent / "bundle.zip"
    write_bundle(read_run(run), path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}, path.read_bytes()


@given(st.data())
def test_bundle_is_opened_or_rejected(folder, members, data):
    contents, whole = members
    if data.draw(st.booleans()):
        content = data.draw(damaged(whole))
    else:
        name = data.draw(st.sampled_from(sorted(contents)))
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for member, part in {**contents, name: data.draw(damaged(contents[name]))}.items():
                archive.writestr(member, part)
        content = buffer.getvalue()
    path = folder / "results"
    path.write_bytes(content)

    def read():
        with open_bundle(path) as bundle:
            faults(bundle.run)

    reads("bundles", read)
    shutil.rmtree(folder / "imported", ignore_errors=True)
    assert [path.name for path in folder.iterdir()] == ["results"]
