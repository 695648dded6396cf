"""Released checkpoints against the papers' tables, with the nano model in their place."""

import json

import pytest
from nora_bench.envs.errors import InputError, UnknownName
from nora_bench.harness.cli import app
from nora_bench.training.engine.config import TrainingError, read_recipe
from nora_bench.training.reproduce import pipeline
from nora_bench.training.reproduce.released import Released, markdown, replicated, run_released, selected, stages
from typer.testing import CliRunner

RECIPE = """
seeds: 1
libero: [libero_object]
simpler: [simpler-vm]
rows:
  - table: nora15/table2
    row: NORA-1.5
    policy: nora-1.5
    checkpoint: OWNER/one
    family: libero
    protocol: libero/openvla
    id_known: true
"""


@pytest.fixture
def shipped():
    return read_recipe("released", "reproduce", Released)


def test_every_row_is_one_of_its_table(shipped, tmp_path):
    cells = list(replicated(shipped, tmp_path))
    assert {cell.row for cell in cells} == {row.row for row in shipped.rows}
    assert all(cell.result is None for cell in cells)


def test_fine_tuned_checkpoints_have_a_run_per_suite(shipped, tmp_path):
    plan = {stage.name: stage for _, stage in stages(shipped, tmp_path)}
    spatial = plan["nora-table2-nora-long-fine-tuned-libero_spatial"].command
    assert spatial.count("--suite") == 1
    assert "checkpoint=declare-lab/nora-long-finetuned-libero-spatial" in spatial
    assert plan["nora15-table2-nora-1.5"].command.count("--suite") == 4


def test_rows_and_checkpoints_are_selected_by_name(shipped):
    name = "nora15-table2-nora-1.5-dpo"
    (row,) = selected(shipped, [name], [f"{name}=me/mine"]).rows
    assert (row.checkpoint, row.id_known) == ("me/mine", True)
    with pytest.raises(UnknownName):
        selected(shipped, ["nora"], [])
    with pytest.raises(InputError):
        selected(shipped, [], [name])


def test_failed_run_does_not_stop_the_others(shipped, tmp_path, monkeypatch):
    def fail(stage, out):
        raise TrainingError("no such checkpoint")

    monkeypatch.setattr(pipeline, "run_stage", fail)
    assert run_released(shipped, tmp_path, lambda line: None) == [stage.name for _, stage in stages(shipped, tmp_path)]


@pytest.mark.libero
def test_rehearsal_measures_a_row_and_says_so(tmp_path):
    pytest.importorskip("libero", reason="pip install 'nora-bench[libero]', then nora-bench doctor --fix")
    recipe = tmp_path / "small.yaml"
    recipe.write_text(RECIPE)
    command = ["reproduce", "released", "--rehearsal", "--recipe", str(recipe), "--out", str(tmp_path / "out")]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    report = json.loads((tmp_path / "out" / "released.json").read_text())
    cells = {cell["column"]: cell for cell in report["cells"]}
    assert report["rehearsal"] is True
    assert cells["Object"]["result"]["verdict"] in ("undecided", "agrees")
    assert cells["Object"]["whole"] is False
    assert cells["Spatial"]["result"] is None
    assert "Rehearsal" in (tmp_path / "out" / "released.md").read_text()
    assert "done" in CliRunner().invoke(app, command).output


def test_unknown_hub_ids_are_named_in_the_report(shipped):
    assert "declare-lab/nora-1.5-libero-dpo" in markdown(shipped, [])
