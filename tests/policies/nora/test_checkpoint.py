import json
import os
import shutil
import struct
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[nora]'")
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from nora_bench.envs.errors import PolicyError
from nora_bench.policies.nora.checkpoint import EMBEDDING, locate, open_checkpoint
from nora_bench.policies.nora.config import FULL_BACKBONE, ExpertConfig, NoraConfig
from nora_bench.policies.nora.model.reference import NoraModel
from nora_bench.policies.nora.weights import CheckpointError, Stored, canonical, check
from safetensors.torch import load_file, save_file

NORMS = 2
"""RMSNorms of a backbone layer."""


def released_keys(config: NoraConfig) -> int:
    """Tensors of a released checkpoint, counted from the architecture."""
    text, vision = config.text["num_hidden_layers"], config.backbone["vision_config"]["depth"]
    backbone = 2 + text * (7 + 3 + NORMS) + (1 + vision * 12 + 5)
    return backbone + (1 + text * 12 + 8 if config.expert else 0)


@pytest.mark.parametrize(
    "expert, keys, parameters", [(None, 824, 3_758_262_272), (ExpertConfig(), 1265, 3_986_639_367)], ids=["nora", "nora-1.5"]
)
def test_full_size_models_match_the_released_tensor_and_parameter_counts(expert, keys, parameters):
    config = NoraConfig(FULL_BACKBONE, expert)
    with torch.device("meta"):
        model = NoraModel(config)
    assert released_keys(config) == keys == len(model.state_dict()) - 1
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@pytest.mark.parametrize(
    "layout", ["nora_on_disk", "nora_in_memory_transformers_4_50", "nora_in_memory_transformers_4_52_to_5", "nora_1_5_on_disk"]
)
def test_released_layouts_match_in_keys_and_shapes(inventory, layout):
    shapes = {name: entry["shape"] if isinstance(entry, dict) else entry for name, entry in inventory[layout].items()}
    stored = [Stored(name, tuple(shape), Path(), "BF16", (0, 0)) for name, shape in shapes.items()]
    tensors = {key: tensor for tensor in stored if (key := canonical(tensor.name))}
    with torch.device("meta"):
        check(NoraModel(NoraConfig(FULL_BACKBONE, ExpertConfig() if "1_5" in layout else None)), tensors)


@pytest.mark.parametrize(
    "old, new",
    [
        ("visual.blocks.0.norm1.weight", "vlm.model.visual.blocks.0.norm1.weight"),
        ("model.layers.0.mlp.up_proj.weight", "vlm.model.language_model.layers.0.mlp.up_proj.weight"),
        ("model.embed_tokens.weight", EMBEDDING),
        ("vlm.model.visual.merger.ln_q.weight", "vlm.model.visual.merger.ln_q.weight"),
        ("module.action_in_proj.bias", "action_in_proj.bias"),
        ("lm_head.weight", None),
        ("vlm.lm_head.weight", None),
        ("ref_action_expert.norm.weight", None),
    ],
)
def test_tensor_names_of_all_versions_map_to_the_models(old, new):
    assert canonical(old) == new


def old_name(name: str) -> str:
    """As `transformers` before 4.52 wrote it."""
    return name.removeprefix("vlm.").replace("model.visual.", "visual.").replace("model.language_model.", "model.")


@pytest.fixture
def folder(nano, tmp_path):
    """A copy of the nano checkpoint to break."""
    return shutil.copytree(nano, tmp_path / "checkpoint")


def same_weights(folder, model):
    loaded = open_checkpoint(str(folder)).model("cpu", torch.float32).state_dict()
    return all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())


def test_folder_loads_as_written(folder, nano_model):
    assert same_weights(folder, nano_model)


def test_single_file_loads(folder, nano_model):
    assert same_weights(folder / "model.safetensors", nano_model)


def test_old_tensor_names_load(folder, nano_model):
    weights = load_file(folder / "model.safetensors")
    save_file({old_name(name): value for name, value in weights.items()}, folder / "model.safetensors")
    assert same_weights(folder, nano_model)


def shard(folder):
    """Split the weights over two files with an index, as large checkpoints are."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    halves = [{}, {}]
    for index, (name, value) in enumerate(weights.items()):
        halves[index % 2][name] = value
    index = {}
    for number, half in enumerate(halves, 1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file(half, folder / file)
        index |= dict.fromkeys(half, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))


def test_shards_load_by_their_index(folder, nano_model):
    shard(folder)
    save_file({"unrelated": torch.zeros(1)}, folder / "optimizer.safetensors")
    assert same_weights(folder, nano_model)


def test_missing_shard_is_named(folder):
    shard(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"lacks model-00002-of-00002\.safetensors"):
        open_checkpoint(str(folder))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Puts a folder into a hub cache as `somebody/nora-small`, and cuts the network."""

    def put(folder):
        repo = tmp_path / "hub" / "models--somebody--nora-small"
        (repo / "refs").mkdir(parents=True)
        (repo / "refs" / "main").write_text("0" * 40)
        shutil.copytree(folder, repo / "snapshots" / ("0" * 40))

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("socket.socket.connect", no_network)
    return put


def test_hub_id_loads_from_the_local_cache_without_a_network(folder, nano_model, hub):
    hub(folder)
    assert same_weights("somebody/nora-small", nano_model)


OTHER_FAMILIES = {
    "--policy openvla --policy-arg checkpoint=": {"model_type": "openvla"},
    "--policy spatialvla --policy-arg checkpoint=": {"model_type": "spatialvla"},
    "--policy lerobot --policy-arg path=": {"type": "act", "input_features": {}},
}


@pytest.mark.parametrize("wanted", OTHER_FAMILIES)
def test_checkpoint_of_another_family_names_its_policy(tmp_path, wanted):
    (tmp_path / "config.json").write_text(json.dumps(OTHER_FAMILIES[wanted]))
    with pytest.raises(CheckpointError, match=f"not of NORA. Type: {wanted}{tmp_path}"):
        open_checkpoint(str(tmp_path))


def test_other_family_is_rejected_before_its_weights_are_fetched(tmp_path, monkeypatch):
    fetched = []

    def snapshot_download(name, allow_patterns, local_files_only=False):
        fetched.append(allow_patterns)
        if local_files_only:
            raise LocalEntryNotFoundError("not here")
        (tmp_path / "config.json").write_text('{"model_type": "openvla"}')
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(CheckpointError, match="--policy openvla --policy-arg checkpoint=openvla/openvla-7b"):
        open_checkpoint("openvla/openvla-7b")
    assert set(fetched) == {"config.json"}


def test_cached_tokenizer_without_weights_is_found_and_weights_are_fetched(folder, hub, monkeypatch):
    (folder / "model.safetensors").unlink()
    hub(folder)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert (locate("somebody/nora-small", wanted="tokenizer.json") / "tokenizer.json").is_file()
    with pytest.raises(CheckpointError):
        open_checkpoint("somebody/nora-small")


def no_network(*_):
    raise AssertionError("the network was used")


def test_unavailable_hub_id_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="hf download somebody/nothing"):
        locate("somebody/nothing")


def test_truncated_file_names_the_tensor(folder):
    path = folder / "model.safetensors"
    os.truncate(path, path.stat().st_size - 100)
    with pytest.raises(CheckpointError, match=r"is cut off: tensor vlm\.\S+ lacks its last 100 bytes"):
        open_checkpoint(str(folder))


@pytest.mark.parametrize("content", [b"", b"short", struct.pack("<Q", 1 << 40) + b"{}", struct.pack("<Q", 4) + b"[[[["])
def test_file_of_another_format_is_named(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors is not a safetensors file"):
        open_checkpoint(str(folder))


def change(folder, **tensors):
    weights = load_file(folder / "model.safetensors")
    weights.update({name: value for name, value in tensors.items() if value is not None})
    save_file(
        {name: value for name, value in weights.items() if name not in tensors or tensors[name] is not None},
        folder / "model.safetensors",
    )


@pytest.mark.parametrize(
    "name, value, complaint",
    [
        ("action_out_proj.bias", None, r"lacks action_out_proj\.bias \[7\]"),
        ("action_out_proj.bias", torch.zeros(8), r"has action_out_proj\.bias as \[8\] where the model has \[7\]"),
        ("vlm.model.visual.extra", torch.zeros(1), r"has vlm\.model\.visual\.extra, which the model does not"),
    ],
)
def test_weights_of_another_model_are_rejected_by_tensor_name(folder, name, value, complaint):
    change(folder, **{name: value})
    with pytest.raises(CheckpointError, match=complaint):
        open_checkpoint(str(folder)).model("cpu", torch.float32)


def test_configuration_of_another_model_is_rejected(folder):
    settings = json.loads((folder / "config.json").read_text())
    settings["vlm_config"]["num_hidden_layers"] = 7
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=r"lacks vlm\.model\.language_model\.layers\.6"):
        open_checkpoint(str(folder)).model("cpu", torch.float32)


def test_embedding_rows_follow_the_file(folder, nano_model, settings):
    settings["vlm_config"]["vocab_size"] -= 5
    (folder / "config.json").write_text(json.dumps(settings))
    assert same_weights(folder, nano_model)


@pytest.mark.parametrize("name", ["weights.bin", "weights.pt"])
def test_files_that_could_run_code_are_rejected(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match="other formats can run code"):
        open_checkpoint(str(tmp_path / name))


@pytest.mark.parametrize("name", ["nowhere.safetensors", "./nowhere", "a/b/c"])
def test_missing_path_is_not_requested_from_the_hub(name):
    with pytest.raises(CheckpointError, match="checkpoint not found"):
        locate(name)


def test_statistics_next_to_the_weights_are_read(folder):
    (folder / "norm_stats.json").write_text('{"mine": {"action": {"q01": [0], "q99": [1], "mask": [true]}}}')
    assert list(open_checkpoint(str(folder)).norm_stats) == ["mine"]


def test_broken_statistics_are_named(folder):
    (folder / "norm_stats.json").write_text("{")
    with pytest.raises(PolicyError, match=r"norm_stats\.json cannot be read as JSON"):
        _ = open_checkpoint(str(folder)).norm_stats


def test_expert_sizes_follow_the_tensors(checkpoint):
    assert checkpoint.config.expert == ExpertConfig(48, 6, 256)


def with_head(folder, said, scale):
    """Give the checkpoint an output head: the embedding times `scale`; the configuration says `said` of it."""
    weights = load_file(folder / "model.safetensors")
    head = weights[EMBEDDING] * scale
    change(folder, **{"vlm.lm_head.weight": head})
    settings = json.loads((folder / "config.json").read_text())
    settings["vlm_config"].pop("tie_word_embeddings")
    settings["vlm_config"] |= {} if said is None else {"tie_word_embeddings": said}
    (folder / "config.json").write_text(json.dumps(settings))
    return head


@pytest.mark.parametrize("said, scale", [(False, -1.0), (None, -1.0), (False, 1.0), (None, 1.0), (True, 1.0)])
def test_output_head_of_the_file_is_used(folder, said, scale):
    head = with_head(folder, said, scale)
    model = open_checkpoint(str(folder)).model("cpu", torch.float32)
    assert torch.equal(model.vlm.lm_head.weight, head)
    tied = said is not False and scale == 1.0
    assert (model.vlm.lm_head.weight is model.vlm.model.language_model.embed_tokens.weight) is tied is model.config.tied


def test_untied_head_decides_the_engines_tokens(folder):
    from nora_bench.policies.nora.model.engine import DecodingConfig, Engine, Inputs, StaticShape

    def tokens():
        model = open_checkpoint(str(folder)).model("cpu", torch.float32)
        config, image = model.config, model.config.backbone["image_token_id"]
        ids = torch.tensor([[1] + [image] * config.image_tokens + [2, 3]])
        positions = torch.arange(ids.shape[1]).expand(3, 1, -1)
        pixels = torch.zeros(1, (config.image_size // config.patch) ** 2, 3 * 2 * config.patch**2)
        inputs = Inputs(ids, torch.tensor([ids.shape[1]]), positions, pixels)
        return Engine(model, StaticShape(1, ids.shape[1], 0, 1, 1), image, DecodingConfig(-1)).generate(inputs).tolist()

    before = tokens()
    with_head(folder, False, -1.0)
    assert tokens() != before


def test_head_that_contradicts_a_tied_configuration_is_rejected(folder):
    with_head(folder, True, -1.0)
    with pytest.raises(CheckpointError, match=r"vlm\.lm_head\.weight differs from the embedding.*tie_word_embeddings: false"):
        open_checkpoint(str(folder)).model("cpu", torch.float32)


def test_missing_untied_head_is_rejected(folder, settings):
    settings["vlm_config"]["tie_word_embeddings"] = False
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=r"there is no vlm\.lm_head\.weight"):
        open_checkpoint(str(folder)).model("cpu", torch.float32)


@pytest.mark.parametrize("said", [None, True])
def test_missing_head_is_the_embedding_under_any_library_default(folder, settings, said):
    settings["vlm_config"] = {name: value for name, value in settings["vlm_config"].items() if name != "tie_word_embeddings"}
    settings["vlm_config"] |= {} if said is None else {"tie_word_embeddings": said}
    (folder / "config.json").write_text(json.dumps(settings))
    model = open_checkpoint(str(folder)).model("cpu", torch.float32)
    assert model.vlm.lm_head.weight is model.vlm.model.language_model.embed_tokens.weight


def test_saved_weights_keep_an_untied_head(folder, tmp_path):
    from nora_bench.policies.nora.nano import save_weights

    head = with_head(folder, False, -1.0)
    save_weights(open_checkpoint(str(folder)).model("cpu", torch.float32), tmp_path / "written.safetensors")
    assert torch.equal(load_file(tmp_path / "written.safetensors")["vlm.lm_head.weight"], head)


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_config.json"])
def test_unmerged_adapter_is_rejected(folder, file):
    shard(folder)
    (folder / file).write_bytes(b"{}")
    with pytest.raises(CheckpointError, match="Merge it"):
        open_checkpoint(str(folder))
