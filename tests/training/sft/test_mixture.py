"""Supervised fine-tuning on a mixture of data sets."""

import numpy as np
import pytest

from .. import others

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[nora]'")
pytest.importorskip("av", reason="no av: pip install 'nora-bench[train]'")
from nora_bench.envs.errors import InputError
from nora_bench.training.engine.config import read_recipe
from nora_bench.training.engine.objective import PrefetchLoader
from nora_bench.training.sft.stage import SftRecipe, main


def prepared(tmp_path, **overrides):
    """A run on a LeRobot set with videos and an RLDS set, not started."""
    sets = [others.lerobot(tmp_path / "kitchen", video=True), others.rlds(tmp_path / "bridge", lengths=(8, 8, 8))]
    values = {"data.validation": "0", "data.frame_stride": "1", "data.image_cache": "false", **overrides}
    recipe = read_recipe("nano-plain", "sft", SftRecipe, values)
    return main(recipe, sets, tmp_path / "frames", tmp_path / "run", dry_run=True)


def test_batches_hold_the_sets_in_their_shares(tmp_path):
    run = prepared(tmp_path, **{"data.weights": "bridge=0.5"})
    assert {m.name: (len(m.indices), m.share) for m in run.training.mixture} == {
        "kitchen": (14, 14 / 26),
        "bridge": (24, 12 / 26),
    }
    loader = PrefetchLoader(run.training, run.loop, 0, 1)
    first = loader.order.indices(0, 4096)
    assert np.mean(first < 14) == pytest.approx(14 / 26, abs=1e-3)
    batch, _ = loader.next(0, 0)
    loader.close()
    assert len(batch.images) == run.loop.batch_size and not (tmp_path / "frames").exists()
    assert "bridge: 24 examples, 46.2 %" in dict(run.lines())["mixture"]


def test_each_set_has_its_own_statistics(tmp_path):
    run = prepared(tmp_path, **{"data.weights": "bridge=0.5", "data.statistics": "suite"})
    suites = {episode.demonstration.suite for episode in run.training.episodes}
    assert suites == {"kitchen", "bridge"}
    assert suites <= set(run.objective.start.norm_stats)


def test_weight_of_an_unknown_set_is_rejected_with_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"'bridges' among --data; known: kitchen, bridge"):
        prepared(tmp_path, **{"data.weights": "bridges=2"}).lines()
