"""Checkpoints: weight files, configurations, statistics, tokenizers, world models."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given, strategies as st

pytest.importorskip("safetensors", reason="pip install 'nora-bench[nora]'")

from nora_bench.policies.fast import FastError, FastTokenizer
from nora_bench.policies.nora.action_stats import Statistics
from nora_bench.policies.nora.checkpoint import open_checkpoint
from nora_bench.policies.nora.prompt import Prompter
from nora_bench.policies.nora.weights import CheckpointError, contents
from nora_bench.training.world_model.checkpoint import load, save, untrained
from nora_bench.training.world_model.model import NANO_ENCODER, PredictorConfig, WorldModelConfig

from .mutations import as_json, damaged, documents, values
from .reading import reads

HEADER = {
    "__metadata__": {"format": "pt"},
    "vlm.model.language_model.embed_tokens.weight": {"dtype": "F32", "shape": [4, 2], "data_offsets": [0, 32]},
    "action_in_proj.weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [32, 48]},
    "action_expert.layers.0.self_attn.q_proj.weight": {"dtype": "F32", "shape": [2, 1], "data_offsets": [48, 56]},
    "action_expert.layers.0.mlp.gate_proj.weight": {"dtype": "F32", "shape": [1, 2], "data_offsets": [56, 64]},
}
SIZES = {"hidden_size": 2, "num_attention_heads": 1, "num_key_value_heads": 1, "num_hidden_layers": 1}
BACKBONE = {
    "model_type": "qwen2_5_vl",
    "text_config": SIZES,
    "vision_config": {"patch_size": 14, "spatial_merge_size": 2, "depth": 1},
}
BOUNDS = {"q01": [-1.0] * 7, "q99": [1.0] * 7, "mask": [True] * 6 + [False]}
CONFIG = {
    "vlm_config": BACKBONE,
    "image_size": 224,
    "chunk": 5,
    "expert": {"action_chunk_length": 5},
    "crop": True,
    "norm_stats": {"libero_goal": {"action": BOUNDS}},
}
INDEX = {"metadata": {}, "weight_map": {"a": "model.safetensors", "b": "model.safetensors"}}
FAST = {"scale": 10, "min_token": -3, "vocab_size": 300, "max_token": 9, "action_dim": None}


def weights(header=HEADER, size=64):
    """A safetensors file with that header."""
    text = header if isinstance(header, bytes) else as_json(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("checkpoint")


@given(st.one_of(damaged(weights()), values(HEADER).map(weights)))
def test_the_header_of_a_weight_file_is_read_or_refused(folder, data):
    (folder / "header.safetensors").write_bytes(data)
    reads("weight files' headers", lambda: contents([folder / "header.safetensors"]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with weights, to be given other settings."""
    place = tmp_path_factory.mktemp("whole")
    (place / "model.safetensors").write_bytes(weights())
    return place


@given(documents(CONFIG))
def test_a_checkpoints_configuration_is_read_or_refused(whole, config):
    (whole / "config.json").write_bytes(config)

    def read():
        opened = open_checkpoint(str(whole))
        assert isinstance(opened.config.problem(), str)
        Statistics(opened.norm_stats, None).of("libero_goal")

    reads("checkpoints' config.json", read)


@given(documents({"libero_goal": {"action": BOUNDS}, "other": BOUNDS}))
def test_statistics_are_read_or_refused(whole, statistics):
    (whole / "config.json").write_text(json.dumps(CONFIG))
    (whole / "norm_stats.json").write_bytes(statistics)

    def read():
        own = open_checkpoint(str(whole)).norm_stats
        found = Statistics(own, None).of("libero_goal")
        assert np.isfinite([*found.low, *found.high]).all()

    try:
        reads("norm_stats.json", read)
    finally:
        (whole / "norm_stats.json").unlink()


@given(documents(INDEX))
def test_an_index_of_weights_is_read_or_refused(whole, index):
    (whole / "config.json").write_text(json.dumps(CONFIG))
    (whole / "model.safetensors.index.json").write_bytes(index)
    try:
        reads("weights' index", lambda: open_checkpoint(str(whole)))
    finally:
        (whole / "model.safetensors.index.json").unlink()


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", "a/../../b"])
def test_an_index_cannot_name_a_file_elsewhere(tmp_path, name):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(CheckpointError, match="which files beside it"):
        open_checkpoint(str(tmp_path))


@pytest.mark.parametrize("name", ["model.bin", "model.pt", "model.pth", "model.pkl", "model.ckpt"])
def test_a_format_that_can_run_code_is_not_read(tmp_path, name):
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'touch taken'\ntR.")
    with pytest.raises(CheckpointError, match="can run code"):
        open_checkpoint(str(tmp_path / name))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """A fitted action tokenizer's folder, and its vocabulary's file as JSON."""
    place = tmp_path_factory.mktemp("fast")
    draw = np.random.default_rng(0)
    FastTokenizer.fit([draw.normal(size=(5, 7)) for _ in range(20)], vocab_size=400).save(place)
    text = (place / "tokenizer.json").read_bytes()
    small = json.loads(text)
    small["model"]["vocab"] = dict([*small["model"]["vocab"].items()][:8])
    small["model"]["merges"] = []
    return place, text, small


@given(documents(FAST))
def test_the_settings_of_an_action_tokenizer_are_read_or_refused(tokenizer, settings):
    (tokenizer[0] / "processor_config.json").write_bytes(settings)
    (tokenizer[0] / "tokenizer.json").write_bytes(tokenizer[1])
    reads("action tokenizers' settings", lambda: FastTokenizer.load(tokenizer[0]), FastError)


@given(st.data())
def test_a_vocabulary_is_read_or_refused(tokenizer, data):
    place, text, small = tokenizer
    (place / "processor_config.json").write_text(json.dumps(FAST))
    (place / "tokenizer.json").write_bytes(data.draw(st.one_of(documents(small), damaged(text))))
    reads("tokenizer.json", lambda: FastTokenizer.load(place).decode([[1, 2, 3]], 5, 7), FastError)
    reads("tokenizer.json", lambda: Prompter.load(place, 4))


@given(documents({"<|im_end|>": 1, "<|endoftext|>": 2, "<|image_pad|>": 3, "<robot_action_0>": 4, "<robot_action_2047>": 5}))
def test_added_tokens_are_read_or_refused(tokenizer, added):
    place, text, _ = tokenizer
    (place / "tokenizer.json").write_bytes(text)
    (place / "added_tokens.json").write_bytes(added)
    reads("added_tokens.json", lambda: Prompter.load(place, 4))


@pytest.fixture(scope="module")
def world_model(tmp_path_factory):
    """A tiny world model's folder, its configuration, its weights."""
    for library in ("torch", "transformers"):
        pytest.importorskip(library, reason="pip install 'nora-bench[nora]'")
    encoder = {**NANO_ENCODER, "hidden_size": 8, "num_attention_heads": 1, "crop_size": 32, "num_hidden_layers": 1}
    config = WorldModelConfig(encoder, PredictorConfig(width=24, layers=1, heads=1), trained_encoder=False)
    place = save(untrained(config, 0), tmp_path_factory.mktemp("world"), {})
    return place, json.loads((place / "config.json").read_text()), (place / "model.safetensors").read_bytes()


@given(st.data())
def test_a_world_model_is_read_or_refused(world_model, data):
    place, config, tensors = world_model
    whole = data.draw(st.booleans())
    (place / "config.json").write_bytes(data.draw(documents(config)) if whole else json.dumps(config).encode())
    (place / "model.safetensors").write_bytes(tensors if whole else data.draw(damaged(tensors)))
    reads("world models", lambda: load(place))


def test_a_tensor_may_be_a_single_number(folder):
    (folder / "one.safetensors").write_bytes(weights({"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}, 4))
    assert [one.shape for one in contents([folder / "one.safetensors"]).values()] == [()]


@pytest.mark.parametrize("layers", ["a", None, 10**9])
def test_sizes_that_make_no_model_are_said_in_words(whole, layers):
    config = {**CONFIG, "vlm_config": {**BACKBONE, "text_config": {**SIZES, "num_hidden_layers": layers}}}
    (whole / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"no model|fewer tensors"):
        open_checkpoint(str(whole))


def test_what_is_whole_is_read(whole, tokenizer, world_model):
    (whole / "config.json").write_text(json.dumps(CONFIG))
    assert open_checkpoint(str(whole)).config.chunk == 5
    (whole / "norm_stats.json").write_text(json.dumps({"libero_goal": BOUNDS}))
    assert len(Statistics(open_checkpoint(str(whole)).norm_stats, None).of("libero_goal").low) == 7
    (whole / "norm_stats.json").unlink()
    (tokenizer[0] / "processor_config.json").write_text(json.dumps(FAST))
    (tokenizer[0] / "tokenizer.json").write_bytes(tokenizer[1])
    assert FastTokenizer.load(tokenizer[0]).vocab_size == 300
    place, config, tensors = world_model
    (place / "config.json").write_text(json.dumps(config))
    (place / "model.safetensors").write_bytes(tensors)
    assert reads("whole files", lambda: load(place))
