"""How demonstrations are scaled for fine-tuning, and what the recipes say."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[nora]'")
import torch
from nora_bench.envs.errors import InputError
from nora_bench.training.data.dataset import Chunking, Dataset
from nora_bench.training.data.demonstrations import DataError, Source
from nora_bench.training.data.scene_targets import require_scenes
from nora_bench.training.engine.config import TrainingError, read_recipe
from nora_bench.training.sft.stage import DataSettings, SftRecipe, SftRun, bounds

from ..made import Numbered, made

RECIPES = ("nano", "nano-plain", "paper", "released", "released-rlds")


def test_each_suite_has_its_own_bounds():
    stats, table = bounds([made()], DataSettings(), {})
    assert list(stats) == list(table) == [made().suite]
    assert table[made().suite]["action"]["mask"] == [True] * 6 + [False]


def test_the_gripper_can_be_scaled_to_minus_one_and_one():
    stats, _ = bounds([made()], DataSettings(scale_gripper=True), {})
    used = stats[made().suite]
    assert used.unnormalise(np.array([0.0] * 6 + [-1.0]))[-1] == 0.0
    assert used.unnormalise(np.array([0.0] * 6 + [1.0]))[-1] == 1.0


def test_constant_component_keeps_the_floor():
    stats, _ = bounds([made()], DataSettings(floor=0.5), {})
    used = stats[made().suite]
    assert ((used.high - used.low)[:6] >= 1.0 - 1e-9).all()


def test_bounds_of_the_initial_checkpoint_can_be_kept():
    entry = {"q01": [-2.0] * 7, "q99": [2.0] * 7, "mask": [True] * 7}
    stats, table = bounds([made()], DataSettings(statistics="start"), {made().suite: entry})
    assert stats[made().suite].high.tolist() == [2.0] * 7
    assert table == {made().suite: entry}


def test_initial_checkpoint_without_bounds_names_the_suite():
    with pytest.raises(DataError, match=made().suite):
        bounds([made()], DataSettings(statistics="start"), {})


def test_batch_has_the_shapes_of_the_objective():
    stats, _ = bounds([made()], DataSettings(), {})
    examples = Dataset([made()], Numbered(2), stats, Chunking(5))
    batch = examples.batch(np.array([1, 0]))
    assert batch.images.shape[0] == len(batch.instructions) == 2
    assert batch.actions.shape == (2, 5, 7) and batch.mask.shape == (2, 5)
    assert batch.targets is None


def test_two_sets_may_contain_the_same_episode_with_other_perturbations():
    """A second collection of the same states and seeds: each example is told of its own scene."""
    pytest.importorskip("libero", reason="no hf-libero: nora-bench doctor --fix")
    camera = '<mujoco><worldbody><camera name="agentview" pos="0 0 2" quat="1 0 0 0" fovy="90"/></worldbody></mujoco>'
    facts = {"columns": {"milk_1_joint0": 1}, "fixtures": {}}
    sets = [made(model=camera, facts=facts, states=np.full((12, 9), place)) for place in (0.1, 0.2)]
    stats, _ = bounds(sets, DataSettings(), {})
    examples = Dataset(sets, Numbered(2), stats, Chunking(5), scenes=True)
    places = examples.batch(np.array([0, len(examples) - 1])).targets.places[:, 1]
    assert not np.allclose(places[0], places[1])


def test_demonstrations_without_object_positions_are_named_with_the_remedy(tmp_path):
    own = made(facts={"columns": {}, "fixtures": {}})
    source = Source(tmp_path / "libero_object" / "milk_demo.hdf5", "demo_0", np.arange(12), 12)
    theirs = made(1, key="theirs", facts={}, source=source)
    require_scenes([own])
    with pytest.raises(
        DataError, match=r"1 of 2 have none, such as theirs.*data regenerate --data .*libero_object .*--recipe nano-plain"
    ):
        require_scenes([own, theirs])
    with pytest.raises(DataError, match="Take a recipe without"):
        require_scenes([made(facts={}, source=source, model="")])


@pytest.mark.parametrize("name", RECIPES)
def test_shipped_recipe_is_valid(name):
    assert read_recipe(name, "sft", SftRecipe).loop.validate() is None


@pytest.mark.parametrize(
    "field, value",
    [
        ("data.frame_stride", 0),
        ("data.validation", 7.0),
        ("data.validation", 1.0),
        ("data.validation", -0.1),
        ("data.label_smoothing_steps", -1.0),
        ("data.floor", float("inf")),
    ],
)
def test_data_setting_out_of_range_is_rejected(field, value):
    with pytest.raises(TrainingError) as error:
        read_recipe("nano", "sft", SftRecipe, {field: str(value)})
    assert (error.value.option, error.value.value) == (field, value)


@pytest.mark.parametrize("field", ["workers", "episodes", "init_states"])
def test_evaluation_setting_that_a_run_rejects_is_rejected_before_training(field):
    with pytest.raises(InputError) as error:
        read_recipe("nano", "sft", SftRecipe, {f"evaluation.{field}": "-1"})
    assert error.value.option == "--" + field.replace("_", "-")


def test_the_paper_recipe_sees_512_examples_per_update_on_eight_devices():
    loop = read_recipe("paper", "sft", SftRecipe).loop
    assert (loop.examples_per_update * 8, loop.steps, loop.warmup, loop.learning_rate) == (512, 150_000, 5_000, 5e-5)


def test_a_plan_counts_the_examples_of_all_devices(monkeypatch, tmp_path):
    recipe = read_recipe("nano", "sft", SftRecipe)
    stats, _ = bounds([made()], DataSettings(), {})
    examples = Dataset([made()], Numbered(2), stats, Chunking(5))
    objective: Any = SimpleNamespace(model=torch.nn.Linear(1, 1))
    prepared = SftRun(recipe, objective, examples, None, tmp_path)
    assert "of 32 examples on 1 device:" in dict(prepared.lines())["updates"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "of 64 examples on 2 devices:" in dict(prepared.lines())["updates"]
