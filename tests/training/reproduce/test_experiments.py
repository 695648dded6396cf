import json
import subprocess
import sys
from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[train]'")
from nora_bench.envs.errors import UnknownName
from nora_bench.envs.safe_io import parse_yaml
from nora_bench.harness.cli import app, main
from nora_bench.training.engine.config import TrainingError, parse_overrides, read_recipe, recipe_text
from nora_bench.training.preference.stage import DpoRecipe
from nora_bench.training.reproduce import choices, pipeline
from nora_bench.training.reproduce.choices import choice_line, choose, progress, run_experiments, write_choice
from nora_bench.training.reproduce.experiment_stages import STARTING_S
from nora_bench.training.reproduce.experiments import ArmComparison, Choice, Evaluation, Experiments, Finding
from nora_bench.training.reproduce.findings_report import conclude_findings
from nora_bench.training.reproduce.pipeline import PipelineStage, inputs, run_available, unfinished
from nora_bench.training.sft.stage import SftRecipe
from nora_bench.training.world_model.stage import WorldModelRecipe
from typer.core import TyperGroup
from typer.main import get_command

MADE = {"updates": "400", "token-weight": "0.1", "dpo": "beta50-100"}


@pytest.fixture(scope="module")
def recipe():
    found = read_recipe("nano", "findings", Experiments)
    found.validate()
    return found


def decided(out):
    for name, option in MADE.items():
        write_choice(out, name, option, {})


def options(stage):
    return dict(zip(stage.command, stage.command[1:], strict=False))


def test_every_stage_comes_after_its_inputs(recipe, tmp_path):
    stages = progress(recipe, tmp_path).stages
    needed, place = inputs(stages), {stage.name: number for number, stage in enumerate(stages)}
    assert len(place) == len(stages)
    written = {other.folder("--out") for other in stages}
    for stage in stages:
        assert all(place[name] < place[stage.name] for name in needed[stage.name]), stage.name
        for option in ("--policy", "--init-from", "--world-model", "--labels"):
            if folder := stage.folder(option):
                assert any(folder == other or other in folder.parents for other in written), (stage.name, option)


def test_shipped_experiments_fit_two_cores_for_fourteen_hours(recipe, tmp_path):
    assert sum(stage.seconds for stage in progress(recipe, tmp_path).stages) <= 14 * 2 * 3600


def test_results_use_fresh_states_that_no_other_seed_and_no_choice_has(recipe, tmp_path):
    decided(tmp_path)
    seen = {}
    for stage in progress(recipe, tmp_path).stages:
        if stage.command[0] != "run":
            assert not {"--held-out", "--init-states"} & {*stage.command}
            continue
        states, seed = options(stage)["--init-states"], stage.name.split("-seed")[1].split("-")[0]
        if seed == "100" or "-at" in stage.name:
            assert states in (recipe.validation_states, recipe.curve_states)
            continue
        low, _, high = states.removeprefix("fresh:").partition("-")
        suites = tuple(word for word, before in zip(stage.command[1:], stage.command, strict=False) if before == "--suite")
        for state in range(int(low), int(high or low) + 1):
            assert seen.setdefault((suites, state), seed) == seed
            assert state <= (30 if len(suites) > 1 else 99)


def test_arms_of_a_seed_start_from_one_base_with_equal_updates(recipe, tmp_path):
    decided(tmp_path)
    arms = [stage for stage in progress(recipe, tmp_path).stages if stage.name in ("joint-seed3", "flow-seed3", "fast-seed3")]
    assert len(arms) == 3
    for stage in arms:
        assert "loop.steps=400" in stage.command and "loop.seed=3" in stage.command
        assert f"start.checkpoint={tmp_path}/policies/base-seed3/step-001500" in stage.command


def test_trainings_have_valid_recipes(recipe, tmp_path):
    kinds = {"sft": SftRecipe, "dpo": DpoRecipe, "world-model": WorldModelRecipe}
    for stage in progress(recipe, tmp_path).stages:
        if stage.command[0] == "train" and stage.command[1] in kinds and not stage.name.endswith(tuple("12345")):
            pairs = zip(stage.command, stage.command[1:], strict=False)
            given = parse_overrides([word for option, word in pairs if option == "--set"])
            read_recipe("nano", stage.command[1], kinds[stage.command[1]], given).loop.validate()


def test_choice_decides_later_stages_alone(recipe, tmp_path):
    before = progress(recipe, tmp_path)
    assert before.undecided == "updates" and set(before.deciding) == {"400", "800", "1200"}
    assert all("seed100" in stage.name or stage.command[0] in ("collect", "data") for stage in before.runnable)
    write_choice(tmp_path, "updates", "1200", {"1200": 0.5})
    after = progress(recipe, tmp_path)
    assert after.undecided == "token-weight" and [*before.runnable] == [*after.runnable][: len(before.runnable)]
    assert any("loop.steps=1200" in s.command for s in after.stages if s.name == "flow-seed0")


def test_choice_is_the_best_option_or_the_nearest_to_a_rate():
    values = {"a": {"x": 1}, "b": {"x": 2}, "c": {"x": 3}}
    rates = {"a": 0.3, "b": 0.6, "c": 0.6}
    assert choose(Choice(values, "a", ("e",)), rates) == "b"
    assert choose(Choice(values, "a", ("e",), nearest=0.4), rates) == "a"


def test_invalid_experiments_are_rejected(recipe):
    for change in ({"pilot": 0}, {"seeds": (0,)}, {"seeds": (0, 0)}):
        with pytest.raises(TrainingError) as error:
            replace(recipe, **change).validate()
        assert error.value.option in change
    with pytest.raises(TrainingError, match="block"):
        replace(recipe, evaluations={**recipe.evaluations, "joint-flow": Evaluation("joint", fresh=9, block=8)}).validate()
    with pytest.raises(UnknownName) as arm:
        replace(recipe, findings={"F": Finding("x", (ArmComparison("x", "nothing", "control", primary=True),))}).validate()
    assert arm.value.name == "nothing"
    with pytest.raises(TrainingError, match="primary"):
        replace(recipe, findings={"F": Finding("x", (ArmComparison("x", "joint-flow", "control"),))}).validate()
    with pytest.raises(UnknownName) as variable:
        replace(recipe, dpo={"dpo.beta": "$gamma"}).validate()
    assert variable.value.name == "gamma"


def test_all_stages_run_once_with_their_choices(recipe, tmp_path, monkeypatch):
    ran = []

    def run(stage, out, lock=None, output=None):
        ran.append(stage.name)
        path = out / pipeline.DONE / f"{stage.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"command": stage.command}))
        stage.folder("--out").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(pipeline, "run_stage", run)
    monkeypatch.setattr(choices, "_rate", lambda run: 0.5)
    said = []
    run_experiments(recipe, tmp_path, 1, said.append)
    assert len(ran) == len(set(ran)) == len(progress(recipe, tmp_path).stages)
    assert choices.read_choices(recipe, tmp_path) == {name: next(iter(c.values)) for name, c in recipe.choices.items()}
    run_experiments(recipe, tmp_path, 1, said.append)
    assert len(ran) == len(set(ran))


def test_no_comparison_is_made_before_all_its_stages_are_done(recipe, tmp_path):
    said = []
    assert conclude_findings(recipe, tmp_path, said.append) == []
    assert len(said) == len(recipe.findings) and all("stages to do" in line for line in said)


def test_stage_that_another_process_runs_is_left_to_it(tmp_path, monkeypatch):
    stages = [PipelineStage(name, ("list", "--out", f"{tmp_path}/{name}"), 1.0) for name in ("one", "two")]
    lock = tmp_path / pipeline.DONE / "one.lock"
    lock.parent.mkdir()
    order = []

    def run(stage, out, lock=None, output=None):
        order.append(stage.name)
        stage.folder("--out").mkdir()
        (out / pipeline.DONE / f"{stage.name}.json").write_text(json.dumps({"command": stage.command}))

    with lock.open("w") as file:
        release = pipeline.hold(file, lock)
        monkeypatch.setattr(pipeline, "run_stage", run)
        monkeypatch.setattr(pipeline.time, "sleep", lambda seconds: (file.close(), release()))
        run_available(stages, tmp_path, lambda line: None)
    assert order == ["two", "one"]


def test_what_finished_results_were_made_from_is_not_made_again(tmp_path):
    made, policy = f"{tmp_path}/data", f"{tmp_path}/policies"
    stages = [
        PipelineStage("data", ("collect", "--out", made), 1.0),
        *(PipelineStage(f"train-{seed}", ("train", "sft", "--data", made, "--out", f"{policy}/{seed}"), 1.0) for seed in (0, 1)),
        *(
            PipelineStage(f"run-{seed}", ("run", "--policy", f"{policy}/{seed}", "--out", f"{tmp_path}/{seed}"), 1.0)
            for seed in (0, 1)
        ),
    ]
    (tmp_path / pipeline.DONE).mkdir()

    def finish(*places):
        for stage in (stages[place] for place in places):
            (tmp_path / pipeline.DONE / f"{stage.name}.json").write_text(json.dumps({"command": stage.command}))
            stage.folder("--out").mkdir(parents=True)
        return [stage.name for stage in unfinished(stages, tmp_path)]

    assert finish() == ["data", "train-0", "train-1", "run-0", "run-1"]
    assert finish(3) == ["data", "train-1", "run-1"]
    assert finish(2) == ["run-1"]
    assert finish(4) == []
    (tmp_path / "1").rmdir()
    assert finish() == ["run-1"]


def test_choice_far_from_the_wanted_rate_stops_before_the_seeds(recipe, tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(choices, "run_available", lambda stages, out, log, purpose: ran.extend(stage.name for stage in stages))
    monkeypatch.setattr(choices, "_rate", lambda run: 0.2)
    with pytest.raises(TrainingError) as error:
        run_experiments(recipe, tmp_path, 1, lambda line: None)
    assert (error.value.option, error.value.value) == ("choices.updates", "400")
    assert all("seed100" in name for name in ran if "-seed" in name) and not (tmp_path / choices.CHOICES).exists()


def test_choice_by_equal_rates_says_so(tmp_path):
    write_choice(tmp_path, "dpo", "a", {"a": 0.0, "b": 0.0})
    write_choice(tmp_path, "updates", "b", {"a": 0.0, "b": 0.1})
    stored = json.loads((tmp_path / choices.CHOICES).read_text())
    assert (stored["dpo"]["all_equal"], stored["updates"]["all_equal"]) == (True, False)
    assert "equal" in choice_line("dpo", "a", {"a": 0.0, "b": 0.0})
    assert "equal" not in choice_line("dpo", "b", {"a": 0.0, "b": 0.1}) + choice_line("dpo", "a", {"a": 0.0})


def test_rates_equally_far_above_and_below_choose_the_first():
    values = {"low": {"x": 1}, "high": {"x": 2}}
    assert choose(Choice(values, "low", ("e",), nearest=0.55), {"low": 0.45, "high": 0.65}) == "low"
    assert choose(Choice(values, "low", ("e",), nearest=0.55), {"high": 0.65, "low": 0.45}) == "high"


@pytest.mark.parametrize("entry", [{"updates": {"option": "7"}}, {"batch": {"option": "400"}}, {"updates": {}}])
def test_choices_of_another_recipe_are_rejected(recipe, tmp_path, entry):
    (tmp_path / choices.CHOICES).write_text(json.dumps(entry))
    with pytest.raises(TrainingError) as error:
        progress(recipe, tmp_path)
    assert error.value.option == "--out"


@pytest.mark.parametrize("text", ["", "[]", '{"updates": 1}'])
def test_damaged_choices_are_rejected(recipe, tmp_path, text):
    (tmp_path / choices.CHOICES).write_text(text)
    with pytest.raises(TrainingError, match="damaged"):
        progress(recipe, tmp_path)


def test_plan_needs_no_torch(tmp_path):
    code = (
        "import sys\nfrom nora_bench.harness.cli import main\n"
        f"try: main(['reproduce', 'findings', '--dry-run', '--out', {str(tmp_path)!r}])\n"
        "except SystemExit as ended: sys.exit(ended.code or 'torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def parsed(command):
    """Options of a command of `nora-bench`, as its verb receives them. Raises UsageError for an unknown or missing one."""
    group, words = get_command(app), [*command]
    context = group.make_context("nora-bench", [words[0], "--help"], resilient_parsing=True)
    while isinstance(group, TyperGroup):
        name, group, words = group.resolve_command(context, words)
    return group.make_context(name, words, parent=context).params


@pytest.mark.parametrize("name", ["nano", "quick"])
def test_commands_of_all_stages_have_valid_options(name, tmp_path):
    settings = read_recipe(name, "findings", Experiments)
    settings.validate()
    for stage in progress(settings, tmp_path).stages:
        if not stage.name.endswith(tuple("2345")):
            assert parsed(stage.command), stage.name
    with pytest.raises(Exception, match="No such option"):
        parsed((*stage.command, "--nothing"))


def test_quick_recipe_has_every_kind_of_stage(recipe, tmp_path):
    def kinds(settings):
        return {(stage.command[:2] if stage.command[0] in ("train", "data") else stage.command[0]) for stage in stages(settings)}

    def stages(settings):
        return progress(settings, tmp_path).stages

    quick = read_recipe("quick", "findings", Experiments)
    assert kinds(quick) == kinds(recipe) and len(stages(quick)) < 50
    assert set(quick.findings) == set(recipe.findings)


def test_dry_run_of_the_quick_recipe_writes_nothing(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = cli("reproduce", "findings", "--quick", "--dry-run")
    assert ended.code == 0 and "-> findings" in ended.out and not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "words", [("released",), ("paper", "--dry-run"), ("findings", "--recipe", "nano"), ("nano", "--recipe", "scratch")]
)
def test_quick_is_rejected_where_it_has_no_meaning(cli, words):
    ended = cli("reproduce", *words, "--quick")
    assert ended.code == 2 and "--quick" in ended.err


def test_evaluation_of_some_tasks_passes_them_on_and_counts_them(recipe, tmp_path):
    less = replace(recipe.evaluations["chunk1"], tasks="0-1")
    settings = replace(recipe, evaluations={**recipe.evaluations, "chunk1": less})
    name = "evaluate-chunk1-seed0"
    cost = [next(s for s in progress(one, tmp_path).stages if s.name == name) for one in (recipe, settings)]
    assert options(cost[1])["--tasks"] == "0-1" and "--tasks" not in cost[0].command
    assert cost[1].seconds - STARTING_S == pytest.approx((cost[0].seconds - STARTING_S) / 5)


@pytest.fixture
def small_recipe(tmp_path):
    """The quick recipe's first finding alone, from random weights: eleven stages."""
    values = parse_yaml(recipe_text("quick", "findings")[0])
    joint = {name: value for name, value in values["trainings"]["joint"].items() if name not in ("init", "checkpoints")}
    arms = {name: {**values["evaluations"][name], "curve": False} for name in ("joint-flow", "joint-fast")}
    choice = {**values["choices"]["updates"], "values": {"2": {"updates": 2}}}
    values["collections"] = {"object": {"suites": ["libero_object"], "tasks": "0", "episodes": 2}}
    values |= {"trainings": {"joint": joint}, "evaluations": arms, "choices": {"updates": choice}, "dpo": {}}
    values |= {"findings": {"F1": values["findings"]["F1"]}}
    for name in ("world_models", "labels", "measurements", "preferences"):
        del values[name]
    path = tmp_path / "small.yaml"
    path.write_text(json.dumps(values))
    return path


@pytest.mark.libero
@pytest.mark.slow
def test_small_findings_run_to_their_pages_and_resume(small_recipe, tmp_path, capfd):
    out = tmp_path / "out"
    for wanted in ("11 to do", "0 to do"):
        with pytest.raises(SystemExit) as ended:
            main(["reproduce", "findings", "--recipe", str(small_recipe), "--out", str(out)])
        printed = capfd.readouterr().out
        assert not ended.value.code and wanted in printed and "nothing was learned" in " ".join(printed.split())
        assert all(len(line) <= 80 for line in printed.splitlines() if line.startswith("|"))
    assert {path.name for path in (out / "tables").iterdir()} == {"f1.md", "primaries.md", "findings.json"}
    arms = json.loads((out / "tables" / "findings.json").read_text())["findings"]["F1"]["arms"]
    digests = {one["weights_sha256"] for arm in arms.values() for one in arm.values()}
    assert len(digests) == 2 and all(len(digest) == 64 for digest in digests)
