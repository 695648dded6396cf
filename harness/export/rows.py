"""Episodes as rows: one JSON object per line, or one Parquet row, with the executed actions in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...envs.errors import InputError, MissingRequirementError
from ...results.conditions import conditions
from ...results.store.integrity import read_actions
from ...results.store.reader import StoredRun

FACTS = ("protocol", "policy", "assets", "versions", "commit")
"""Fields of run.json that rows are interpreted with."""
BATCH = 1000
"""Rows in memory at a time."""


def write_jsonl(run: StoredRun, out: Path) -> int:
    """Write one JSON object per episode: its record, `run` and `actions` (list of steps, or null); how many."""
    with out.open("x", encoding="utf-8") as handle, _whole(out):
        for row in _rows(run):
            handle.write(json.dumps(row, allow_nan=False) + "\n")
    return len(run.records)


def write_parquet(run: StoredRun, out: Path) -> int:
    """Write one Parquet row per episode, actions as lists of float64, mappings as JSON; how many.

    Raises MissingRequirementError, InputError.


    Common facts (protocol, policy, assets, versions) are under `nora_bench.run` in the schema's metadata.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingRequirementError("Parquet needs the extra [export]: pip install 'nora-bench[export]'") from None
    own = run.metadata.select(FACTS)
    facts = json.dumps({**own, "conditions": conditions(run).to_json()})
    schema = _schema(pa, run).with_metadata({"nora_bench.run": facts})
    try:
        with out.open("xb") as file, _whole(out), pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for rows in _batches(run):
                writer.write_table(pa.Table.from_pylist(rows, schema))
    except OverflowError:
        advice = f"nora-bench export {run.folder} --format jsonl"
        raise InputError(f"{run.folder} has a number of more than 64 bits, unsupported in Parquet. Type: {advice}") from None
    return len(run.records)


@contextmanager
def _whole(out: Path) -> Iterator[None]:
    """Removes the file if writing fails: a partial export is invalid."""
    try:
        yield
    except BaseException:
        out.unlink(missing_ok=True)
        raise


def _rows(run: StoredRun) -> Iterator[dict[str, Any]]:
    for record in run.records:
        actions = read_actions(run, record).tolist() if record.actions else None
        yield {"run": run.name, **record.to_json(), "actions": actions}


def _batches(run: StoredRun) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    for row in _rows(run):
        rows.append(_flat(row))
        if len(rows) == BATCH:
            yield rows
            rows = []
    yield rows


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers by name become columns of their own; what differs between suites stays together as JSON."""
    seconds = {f"seconds_{name}": value for name, value in row["seconds"].items()}
    objects = ("measures", "chunk_status", "action_checks", "fixtures", "features", "latency")
    texts = {name: json.dumps(row[name]) for name in objects}
    assets = {f"assets_{name}": row["assets"].get(name) for name in ("pack", "fingerprint")}
    return {**row, **texts, **seconds, **assets, "warnings": list(row["warnings"])}


def _schema(pa: Any, run: StoredRun) -> Any:
    """The columns, their types fixed, so that runs without a success or a warning can be read together with others."""
    text, whole, real, truth = pa.string(), pa.int64(), pa.float64(), pa.bool_()
    kinds = {"success": truth, "success_any": truth, "warnings": pa.list_(text), "actions": pa.list_(pa.list_(real))}
    kinds |= dict.fromkeys(("version", "task_id", "init_state", "seed", "steps", "decisions", "attempts", "policy_losses"), whole)
    names = [name for name in (run.records[0].to_json() if run.records else {}) if name not in ("seconds", "assets", "actions")]
    seconds = sorted({f"seconds_{name}" for record in run.records for name in record.seconds})
    columns = [("run", text), *((name, kinds.get(name, text)) for name in names)]
    columns += [("assets_pack", text), ("assets_fingerprint", text), *((name, real) for name in seconds)]
    return pa.schema([*columns, ("actions", kinds["actions"])])
