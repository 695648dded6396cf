"""Random weights in the layouts of the released checkpoints: written into a cache of the hub, loaded from it, queried."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[nora]'")
import torch
from nora_bench.policies.base import PolicyRequestError
from nora_bench.policies.nora.checkpoint import locate, open_checkpoint
from nora_bench.policies.nora.model import fused_linear  # here, not later: transformers loads before any simulator
from nora_bench.policies.nora.rehearsal import RELEASES, SHARD, Sizes, rehearse, tensors_of
from nora_bench.policies.nora.weights import CheckpointError
from nora_bench.policies.registry import load

TINY = Sizes("tiny")
CHUNKS = {
    "nora": (1, {}),
    "nora-long": (5, {}),
    "nora-ac": (5, {"checkpoint": "rehearsal/nora-ac-libero_object"}),
    "nora-1.5": (5, {}),
    "nora-1.5-fast": (5, {"max_new_tokens": "3"}),
    "nora-1.5-dpo": (5, {"checkpoint": "rehearsal/nora-1.5-dpo"}),
    "declare-lab/nora-1.5": (5, {}),
}
"""`--policy` -> actions per chunk, and its `--policy-arg`."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """All released checkpoints, tiny, in one cache."""
    folder = tmp_path_factory.mktemp("hub") / "cache"
    assert len(list(rehearse(folder, list(RELEASES), TINY))) == len(RELEASES)
    return folder


def use(cache, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def offline(cache, monkeypatch):
    """The cache is the hub's, and there is no network."""
    use(cache, monkeypatch)
    return cache


@pytest.mark.parametrize("name, layout", [("nora", "nora_on_disk"), ("nora-1.5", "nora_1_5_on_disk")])
def test_full_size_has_the_released_names_and_shapes(inventory, name, layout):
    released = {tensor: tuple(entry["shape"]) for tensor, entry in inventory[layout].items()}
    assert tensors_of(RELEASES[name], Sizes("full")).shapes == released


def test_preference_checkpoint_has_the_frozen_copies_too(inventory):
    own, dpo = (tensors_of(RELEASES[name], Sizes("full")).shapes for name in ("nora-1.5", "nora-1.5-dpo"))
    extra = {name: list(shape) for name, shape in dpo.items() if name not in own}
    assert extra == inventory["nora_1_5_dpo_extra_possible"]


def test_full_size_is_written_in_two_shards_of_at_most_five_gigabytes():
    tensors = tensors_of(RELEASES["nora"], Sizes("full"))
    shards = tensors.shards("bfloat16", SHARD["full"])
    assert len(shards) == 2 and {name: shape for shard in shards for name, shape in shard.items()} == tensors.shapes
    assert tensors.bytes("bfloat16") == 2 * 3_758_262_272


@pytest.mark.parametrize("name", CHUNKS)
def test_released_name_loads_from_the_cache_and_answers(offline, context, look, name):
    chunk, args = CHUNKS[name]
    policy = load(name, {"dtype": "bfloat16", "device": "cpu", "threads": "1", **args})
    policy.setup(context)
    (answer,) = policy.act([look(0)])
    assert answer.actions.shape == (chunk, 7) and np.isfinite(answer.actions).all()
    assert policy.tags == ("untrained",)
    assert {"load_s", "first_decision_s", "weights_gib", "peak_gib"} <= policy.metrics().keys()


def test_token_ids_are_the_released_ones(offline):
    from nora_bench.policies.nora.tokenizers import open_prompter

    prompter = open_prompter(open_checkpoint("declare-lab/nora-1.5"))
    assert prompter.ids.__class__(151_645, 151_643, 151_655, 151_665, 153_712) == prompter.ids
    prompt = prompter.prompt("pick up the milk")
    assert (prompt[0], prompt[14], prompt[15:79], prompt[79]) == (151_644, 151_652, [151_655] * 64, 151_653)


def file_at(address):
    """The file that this process has mapped there; empty for plain memory."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, _, _, _, _, *path = line.split(maxsplit=5)
        first, last = (int(end, 16) for end in span.split("-"))
        if first <= address < last:
            return path[0] if path and path[0].startswith("/") else ""
    return ""


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux to see what is mapped")
def test_weights_of_the_files_type_stay_mapped_and_others_are_converted(offline):
    opened = open_checkpoint("declare-lab/nora-1.5")
    mapped, converted = (opened.model("cpu", dtype) for dtype in (torch.bfloat16, torch.float32))
    places = [model.vlm.model.language_model.embed_tokens.weight.data_ptr() for model in (mapped, converted)]
    assert [file_at(place) for place in places] == [str(opened.files[0].resolve()), ""]
    for one, other in zip(mapped.state_dict().values(), converted.state_dict().values(), strict=True):
        assert torch.equal(one.float(), other)


def test_large_projections_are_not_copied_on_a_cpu(offline, monkeypatch):
    def place(model):
        return model.vlm.model.language_model.layers[0].mlp.up_proj.weight.data_ptr()

    model = open_checkpoint("declare-lab/nora-1.5").model("cpu", torch.bfloat16)
    before = place(model)
    monkeypatch.setattr(fused_linear, "LARGEST_ON_CPU", 0)
    fused_linear.join_projections(model.vlm.model.language_model.layers)
    assert place(model) == before
    monkeypatch.undo()
    fused_linear.join_projections(model.vlm.model.language_model.layers)
    assert place(model) != before


def test_checkpoint_without_all_shards_is_fetched_again(offline, tmp_path, monkeypatch):
    use(shutil.copytree(offline, tmp_path / "cut", symlinks=True), monkeypatch)
    folder = locate("declare-lab/nora-long")
    last = max(set(json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"].values()))
    (folder / last).unlink()
    with pytest.raises(CheckpointError, match=f"lacks {last}"):
        open_checkpoint("declare-lab/nora-long")
    fetched = []
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **given: fetched.append(given) or str(folder))
    with pytest.raises(CheckpointError):
        open_checkpoint("declare-lab/nora-long")
    assert any("local_files_only" not in given and "*.safetensors" in given["allow_patterns"] for given in fetched)


def test_cache_of_others_is_left_alone(tmp_path):
    (tmp_path / "models--declare-lab--nora").mkdir()
    with pytest.raises(PolicyRequestError, match="name a new folder"):
        list(rehearse(tmp_path, ["nora"], TINY))


@pytest.mark.libero
@pytest.mark.slow
def test_run_finishes_an_episode_and_marks_it_untrained(offline, tmp_path, cli):
    plan = ("--suite", "libero_object", "--tasks", 0, "--init-states", 0, "--seeds", 1, "--max-steps", 10, "--assets", "standin")
    ended = cli("run", *plan, "--policy", "nora-1.5", "--policy-arg", "dtype=bfloat16", "--out", tmp_path / "run")
    assert ended.code == 0, ended.err
    assert "untrained" in ended.out
    metadata = json.loads((tmp_path / "run" / "run.json").read_text())
    assert metadata["policy"]["marks"] == ["untrained"]
    assert metadata["utilisation"]["policy"]["first_decision_s"] > 0
    shown = cli("show", tmp_path / "run").out
    assert "[untrained]" in shown and "first decision in" in shown
