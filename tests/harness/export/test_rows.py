import json

import numpy as np
import pytest


@pytest.fixture
def run(bench, trouble):
    """A run with successes, failures and an error."""
    order = {"kind": "raise", "phase": "step", "scene": "toy/task1/init1/seed0", "times": 9}
    return bench(
        "--episodes", 2, "--retries", 0, "--assets", trouble(order), "--protocol", "toy/last-step", policy="fakes:Stagger"
    )


def test_a_line_is_an_episode_with_its_actions(run, cli, tmp_path):
    ended = cli("export", run.folder, "--format", "jsonl", "--out", tmp_path / "rows.jsonl")
    assert ended.out == f"6 episodes -> {tmp_path / 'rows.jsonl'}\n"
    rows = {row["key"]: row for row in map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines())}
    assert set(rows) == set(run.records)
    for key, record in run.records.items():
        assert (rows[key]["run"], rows[key]["success"], rows[key]["steps"]) == ("run", record.success, record.steps)
        if record.actions:
            assert np.array_equal(rows[key]["actions"], np.load(run.folder / record.actions))
        else:
            assert rows[key]["actions"] is None


def test_pandas_reads_the_lines(run, cli, tmp_path):
    import pandas as pd

    cli("export", run.folder, "--format", "jsonl", "--out", tmp_path / "rows.jsonl")
    assert len(pd.read_json(tmp_path / "rows.jsonl", lines=True)) == 6


def test_parquet_is_read_by_arrow_and_pandas(run, cli, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet", reason="pip install 'nora-bench[export]'")
    import pandas as pd

    ended = cli("export", run.folder, "--format", "parquet", "--out", tmp_path / "rows.parquet")
    assert ended.code == 0, ended.err
    table = pq.read_table(tmp_path / "rows.parquet")
    assert json.loads(table.schema.metadata[b"nora_bench.run"])["protocol"]["name"] == "toy/last-step"
    frame = pd.read_parquet(tmp_path / "rows.parquet").set_index("key")
    for key, record in run.records.items():
        row = frame.loc[key]
        assert (row.success, row.steps, row.assets_pack) == (record.success, record.steps, "toy")
        if record.actions:
            assert np.array_equal(np.stack(row.actions), np.load(run.folder / record.actions))
            assert row.seconds_step == record.seconds["step"]


def test_runs_of_any_outcome_have_the_same_columns_types(bench, cli, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet", reason="pip install 'nora-bench[export]'")
    for out, args in (("a", ()), ("b", ("--max-steps", 1))):
        cli("export", bench("--episodes", 1, *args, out=out).folder, "--format", "parquet", "--out", tmp_path / f"{out}.parquet")
    assert pq.read_schema(tmp_path / "a.parquet").equals(pq.read_schema(tmp_path / "b.parquet"))


def test_many_rows_are_written_in_parts(run, cli, tmp_path, monkeypatch):
    pq = pytest.importorskip("pyarrow.parquet", reason="pip install 'nora-bench[export]'")
    from nora_bench.harness.export import rows

    monkeypatch.setattr(rows, "BATCH", 4)
    cli("export", run.folder, "--format", "parquet", "--out", tmp_path / "rows.parquet")
    assert pq.read_table(tmp_path / "rows.parquet").num_rows == 6


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--out", "there"), "there exists; choose another name"),
        (("--out", "no/such/place.jsonl"), "folder not found: no/such"),
    ],
)
def test_unwritable_values_are_rejected(bench, cli, tmp_path, monkeypatch, args, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").touch()
    ended = cli("export", bench("--episodes", 1).folder, "--format", "jsonl", *args)
    assert ended.code == 2
    assert says in ended.err


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_half_of_a_run_is_no_export(run, cli, tmp_path, format):
    pytest.importorskip("pyarrow", reason="pip install 'nora-bench[export]'")
    *_, last = (record for record in run.records.values() if record.actions)
    (run.folder / last.actions).write_bytes(b"broken")
    ended = cli("export", run.folder, "--format", format, "--out", tmp_path / "rows")
    assert ended.code == 2 and last.actions in ended.err
    assert not (tmp_path / "rows").exists()


def test_omitted_lines_of_a_run_are_counted_on_stderr(run, cli, tmp_path):
    with (run.folder / "episodes.jsonl").open("a") as handle:
        handle.write('{"version": 1, "key"')
    ended = cli("export", run.folder, "--format", "jsonl", "--out", tmp_path / "rows.jsonl")
    assert (ended.code, "1 faults" in ended.err, "nora-bench show" in ended.err) == (0, True, True)


@pytest.mark.parametrize("format", ["eee", "hf", "vla-eval", "lerobot"])
def test_run_without_episodes_is_named(run, cli, tmp_path, format):
    (run.folder / "episodes.jsonl").write_text("")
    ended = cli("export", run.folder, "--format", format, "--dataset", "org/set", "--out", tmp_path / "out")
    assert (ended.code, "has no episodes" in ended.err, "nora-bench show" in ended.err) == (2, True, True)
    assert not (tmp_path / "out").exists()
