import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[train]'")
from nora_bench.envs.errors import UnknownName
from nora_bench.training.engine.config import TrainingError, build, parse_overrides, read_recipe
from nora_bench.training.reproduce import pipeline as running
from nora_bench.training.reproduce.compute_estimate import DEVICES, PEAK, UTILISATION, PaperStage, lines, stages as paper_stages
from nora_bench.training.reproduce.nora import Reproduction, nano_stages, write_recipes
from nora_bench.training.reproduce.pipeline import PipelineStage, is_done, run_all
from nora_bench.training.reproduce.report import comparisons, conclude
from nora_bench.training.sft.stage import SftRecipe
from nora_bench.training.world_model.stage import WorldModelRecipe


@pytest.fixture
def wanted():
    return read_recipe("quick", "reproduce", Reproduction)


def named(*names, seconds=1.0):
    return [PipelineStage(name, ("list", name), seconds) for name in names]


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Stands in for `nora-bench`: notes what it is asked, and ends with the codes of `codes`."""
    asked = tmp_path / "asked"
    script = tmp_path / "program.sh"
    script.write_text(f'echo "$@" >>{asked}\n[ "$2" = bad ] && exit 3\nexit 0\n')
    monkeypatch.setattr(running, "PROGRAM", ("sh", str(script)))
    return lambda: asked.read_text().splitlines() if asked.exists() else []


# Stages


def test_stages_run_in_order_and_log_their_cost_first(program, tmp_path):
    said = []
    run_all(named("one", "two", seconds=400.0), tmp_path / "out", lambda line: said.append((line, len(program()))))
    assert program() == ["list one", "list two"]
    assert [count for _, count in said] == [0, 1]
    assert "stage 1 of 2, one: about 7 min on one core" in said[0][0] and "nora-bench list one" in said[0][0]


def test_finished_stage_is_skipped(program, tmp_path):
    run_all(named("one"), tmp_path, lambda line: None)
    run_all(named("one", "two"), tmp_path, lambda line: None)
    assert program() == ["list one", "list two"]


def test_failed_stage_stops_the_pipeline_and_names_its_command(program, tmp_path):
    with pytest.raises(TrainingError, match=r"(?s)stage bad ended with code 3.*nora-bench list bad"):
        run_all(named("one", "bad", "two"), tmp_path, lambda line: None)
    assert program() == ["list one", "list bad"]
    assert is_done(tmp_path, named("one")[0]) and not is_done(tmp_path, named("bad")[0])


def test_folder_of_another_reproduction_is_rejected(program, tmp_path):
    run_all(named("one"), tmp_path, lambda line: None)
    with pytest.raises(TrainingError, match="another reproduction"):
        run_all([PipelineStage("one", ("list", "other"), 1.0)], tmp_path, lambda line: None)


def test_number_of_workers_may_change_in_a_reproduction(program, tmp_path):
    written = str(tmp_path / "x")
    Path(written).mkdir()
    run_all([PipelineStage("one", ("collect", "--workers", "1", "--out", written), 1.0)], tmp_path, lambda line: None)
    assert is_done(tmp_path, PipelineStage("one", ("collect", "--workers", "2", "--out", written), 1.0))
    with pytest.raises(TrainingError, match="another reproduction"):
        is_done(tmp_path, PipelineStage("one", ("collect", "--workers", "1", "--out", "y"), 1.0))


def test_started_evaluation_stage_is_resumed(program, tmp_path):
    (tmp_path / "run").mkdir()
    stage = PipelineStage("play", ("run", "--out", str(tmp_path / "run")), 1.0)
    (tmp_path / "run" / "run.json").write_text("{}")
    run_all([stage], tmp_path, lambda line: None)
    assert program() == [f"run --out {tmp_path / 'run'} --resume"]


# The nano reproduction


def test_every_stage_reads_what_an_earlier_one_wrote(wanted, tmp_path):
    written = {str(tmp_path / "frames"), str(tmp_path / "latents")}
    for stage in nano_stages(wanted, tmp_path):
        options = dict(zip(stage.command, stage.command[1:], strict=False))
        for option in ("--data", "--policy", "--init-from", "--world-model", "--labels"):
            if option in stage.command:
                assert any(options[option].startswith(place) for place in written), (stage.name, option)
        written.add(options["--out"])


def test_stage_names_are_unique(wanted, tmp_path):
    many = replace(wanted, seeds=(0, 1, 2))
    names = [stage.name for stage in nano_stages(many, tmp_path)]
    assert len(set(names)) == len(names)
    assert sum(name.startswith("evaluate-") for name in names) == 3 * (2 + len(many.rewards))


def test_held_out_states_are_used_by_evaluations_alone(wanted, tmp_path):
    full = read_recipe("nano", "reproduce", Reproduction)
    for stage in nano_stages(full, tmp_path):
        assert ("--init-states" in stage.command) == (stage.command[0] == "run")
        assert "--held-out" not in stage.command
    assert full.init_states == "40-44" and full.episodes == 50


def test_recipes_of_supervised_training_differ_in_chunk_and_seed(wanted, tmp_path):
    import yaml

    write_recipes(replace(wanted, seeds=(0, 1), heads={5: ("flow",), 1: ("flow",)}), tmp_path)
    found = yaml.safe_load((tmp_path / "recipes" / "sft-chunk1-seed1.yaml").read_text())
    assert (found["start"]["nano"]["chunk"], found["start"]["seed"], found["loop"]["seed"]) == (1, 1, 1)
    assert found["start"]["fast"] == str(tmp_path / "tokenizer-1") and found["data"]["frame_stride"] == wanted.frame_stride
    assert len(list((tmp_path / "recipes").iterdir())) == 4


def test_scratch_recipe_differs_in_the_base_alone():
    nano, scratch = (read_recipe(name, "reproduce", Reproduction) for name in ("nano", "scratch"))
    assert replace(scratch, base=nano.base, sft=nano.sft) == nano


def test_base_initialises_every_supervised_training(wanted, tmp_path):
    import yaml

    write_recipes(replace(wanted, base="nora-1.5-nano", heads={5: ("flow",), 1: ("flow",)}), tmp_path)
    found = yaml.safe_load((tmp_path / "recipes" / "sft-chunk1-seed0.yaml").read_text())
    assert found["start"]["checkpoint"] == "nora-1.5-nano" and found["start"]["chunk"] == 1
    assert found["data"]["statistics"] == "start" and "nano" not in found["start"]
    build(yaml.safe_dump(found), "here", SftRecipe)


def test_invalid_reproduction_is_rejected(wanted):
    with pytest.raises(TrainingError) as heads:
        replace(wanted, heads={1: ("flow",), 5: ("fast",)}).validate()
    assert heads.value.option == "heads"
    with pytest.raises(UnknownName) as reward:
        replace(wanted, rewards=("best",)).validate()
    assert reward.value.name == "best" and "gta" in reward.value.known
    for field, value in (("demonstrations", 0), ("dpo_steps", -1), ("workers", 0), ("dpo_learning_rate", float("nan"))):
        with pytest.raises(TrainingError) as error:
            replace(wanted, **{field: value}).validate()
        assert error.value.option == field
    wanted.validate()
    read_recipe("nano", "reproduce", Reproduction).validate()


def test_comparisons_are_those_of_the_papers():
    asked = {
        contrast.question: (contrast.a, contrast.b) for contrast in comparisons(read_recipe("nano", "reproduce", Reproduction))
    }
    assert asked["chunk 1 -> 5, flow"] == ("sft-chunk1-flow", "sft-chunk5-flow")
    assert asked["FAST -> flow, chunk 5"] == ("sft-chunk5-fast", "sft-chunk5-flow")
    assert asked["SFT -> DPO, wm-endgoal+gta"] == ("sft-chunk5-flow", "dpo-wm-endgoal+gta")


def test_results_are_listed_by_seed_and_in_the_mean(wanted, tmp_path):
    differences = iter([0.1, 0.3] * 20)

    def ask(*command):
        if command[0] == "table":
            return ""
        by = {"mean": next(differences), "low": -0.05, "high": 0.4}
        match = {"suite": "libero_object", "a": {"mean": 0.5}, "b": {"mean": 0.6}, "difference": by, "p_holm": 0.03}
        return json.dumps({"matches": [match]})

    *_, path = conclude(replace(wanted, seeds=(0, 1)), tmp_path, ask)
    text = path.read_text()
    assert "| SFT -> DPO, gta | libero_object | 1 | 50.0 | 60.0 | +30.0 (-5.0, +40.0) | 0.03 |" in text
    assert "| SFT -> DPO, gta | +20.0 (-107.1, +147.1) | +10.0 to +30.0 | 2 |" in text


# Recipes


def test_unknown_field_is_named_at_any_depth():
    with pytest.raises(UnknownName) as error:
        build("loop: {stpes: 3, batch_size: 1}", "here", WorldModelRecipe)
    assert (
        error.value.name == "loop.stpes" and "loop.steps" in error.value.known and "did you mean loop.steps" in str(error.value)
    )


@pytest.mark.parametrize("text", ["[1, 2]", "loop.steps: 3", "loop: [", "loop: {steps: many, batch_size: 1}", "preset: nano"])
def test_invalid_recipe_is_named(text):
    with pytest.raises(TrainingError, match="here"):
        build(text, "here", WorldModelRecipe)


def test_an_unknown_recipe_names_the_known_ones():
    with pytest.raises(UnknownName) as error:
        read_recipe("best", "world-model", WorldModelRecipe)
    assert error.value.known == ("nano", "paper")


def test_overrides_are_converted_to_the_types_of_the_fields():
    text = "loop: {steps: 100, batch_size: 4, warmup: 20}"
    given = ["loop.steps=5", "loop.learning_rate=1e-4", "loop.betas=0.9,0.95", "loop.max_grad_norm=none", "evaluation.suites=a,b"]
    recipe = build(text, "here", SftRecipe, parse_overrides([*given, "data.keep_noops=false"]))
    assert (recipe.loop.steps, recipe.loop.learning_rate, recipe.loop.betas) == (5, 1e-4, (0.9, 0.95))
    assert recipe.loop.max_grad_norm is None and recipe.data.keep_noops is False and recipe.evaluation.suites == ("a", "b")


def test_shortened_run_warms_up_within_its_steps():
    text = "loop: {steps: 100, batch_size: 4, warmup: 20}"
    assert build(text, "here", WorldModelRecipe, {"loop.steps": "5"}).loop.warmup == 5


@pytest.mark.parametrize("given", ["loop.steps", "loop.steps=many", "loop=1", "loop.steps=1.5"])
def test_override_that_is_no_value_of_its_field_names_it(given):
    with pytest.raises(TrainingError, match=r"--set loop"):
        build("loop: {steps: 3, batch_size: 1}", "here", WorldModelRecipe, parse_overrides([given]))


def test_override_of_an_unknown_field_suggests_the_nearest():
    with pytest.raises(UnknownName, match=r"did you mean loop\.learning_rate"):
        build("loop: {steps: 3, batch_size: 1}", "here", WorldModelRecipe, {"loop.lerning_rate": "1"})


@pytest.mark.parametrize(
    "text, new",
    [
        ("loop: {steps: 3, batch: 1}", "loop.batch_size"),
        ("loop: {steps: 3, decay: tail}", "loop.schedule, and its value tail is now wsd"),
        ("data: {every: 2}", "data.frame_stride"),
        ("objective: {draws: 2}", "objective.flow_samples"),
    ],
)
def test_former_field_of_a_recipe_fails_with_its_new_name(text, new):
    with pytest.raises(TrainingError, match=f"is now {new}"):
        build(text, "here", SftRecipe)


@pytest.mark.parametrize(
    "field, former, new",
    [
        ("loop.schedule", "tail", "wsd"),
        ("loop.gradient_accumulation", "mended", "correct"),
        ("loop.schedule_stepping", "released", "as_released"),
    ],
)
@pytest.mark.parametrize("typed", [True, False])
def test_former_value_of_a_field_names_the_new_one(field, former, new, typed):
    name = field.removeprefix("loop.")
    text = f"loop: {{steps: 3, batch_size: 1, {'' if typed else f'{name}: {former}'}}}"
    with pytest.raises(TrainingError, match=f"{field}={former} is now {field}={new}") as error:
        build(text, "here", SftRecipe, {field: former} if typed else {})
    assert (error.value.option, error.value.value) == (field, former)


@pytest.mark.parametrize(
    "cls, text, known",
    [
        (SftRecipe, "loop: {steps: 3, batch_size: 1, precision: fp16}", ("float32", "bfloat16")),
        (SftRecipe, "data: {pad_actions: released_}", ("repeat", "still", "released", "drop")),
        (Reproduction, "heads: {5: [flow, fats]}", ("flow", "fast")),
    ],
)
def test_unknown_value_of_a_field_names_the_choices(cls, text, known):
    with pytest.raises(UnknownName) as error:
        build(text, "here", cls)
    assert error.value.known == known


def test_invalid_loop_of_a_recipe_is_rejected_before_data_is_read():
    with pytest.raises(TrainingError) as error:
        read_recipe("nano", "sft", SftRecipe, {"loop.batch_size": "0"})
    assert (error.value.option, error.value.value) == ("loop.batch_size", 0)


# The full size


def test_gpu_hours_are_operations_over_the_assumed_rate():
    assert PaperStage("x", "", operations=PEAK * UTILISATION * 7200).hours == pytest.approx(2.0)


def test_full_size_plan_states_that_nothing_was_measured(cli):
    ended = cli("reproduce", "paper", "--dry-run")
    assert ended.code == 0 and "COMPUTED" in ended.out and "ASSUMED" in ended.out
    assert all(stage.name in ended.out for stage in paper_stages())
    assert DEVICES == 8 and len([*lines()]) > 6


def test_full_size_needs_dry_run(cli):
    ended = cli("reproduce", "paper")
    assert ended.code == 2 and "nora-bench reproduce paper --dry-run" in ended.err


def test_a_dry_run_of_the_nano_reproduction_writes_nothing(cli, tmp_path):
    ended = cli("reproduce", "nano", "--quick", "--dry-run", "--out", tmp_path / "out")
    assert ended.code == 0 and "12 stages, 12 to do" in ended.out and not (tmp_path / "out").exists()


@pytest.mark.libero
@pytest.mark.slow
def test_quick_reproduction_runs_to_its_tables_and_resumes(tmp_path, capfd):
    from nora_bench.harness.cli import main

    for wanted in ("12 to do", "0 to do"):
        with pytest.raises(SystemExit) as ended:
            main(["reproduce", "nano", "--quick", "--out", str(tmp_path)])
        out = capfd.readouterr().out
        assert not ended.value.code and wanted in out
    assert "SFT -> DPO, wm-subgoal" in (tmp_path / "tables" / "contrasts.md").read_text()
    assert "dpo-gta" in (tmp_path / "tables" / "nora15-table6.md").read_text()
