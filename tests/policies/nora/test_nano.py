import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[nora]'")
import torch
from nora_bench.envs.errors import PolicyError
from nora_bench.policies.fast import FastTokenizer
from nora_bench.policies.nora.checkpoint import open_checkpoint
from nora_bench.policies.nora.nano import words, write_nano
from nora_bench.policies.nora.prompt import Prompter


@pytest.mark.parametrize("expert", [True, False])
@pytest.mark.parametrize("image_size", [84, 112])
def test_nano_models_have_one_to_ten_million_parameters(tmp_path, expert, image_size):
    model = open_checkpoint(str(write_nano(tmp_path, expert=expert, image_size=image_size))).model("cpu", torch.float32)
    assert 1e6 <= sum(parameter.numel() for parameter in model.parameters()) <= 10e6


def test_the_same_seed_writes_the_same_bytes(nano, tmp_path):
    again = write_nano(tmp_path)
    files = sorted(path.relative_to(nano) for path in nano.rglob("*") if path.is_file())
    assert files and all((nano / file).read_bytes() == (again / file).read_bytes() for file in files)


def test_another_seed_writes_other_weights(nano, tmp_path):
    assert write_nano(tmp_path, seed=1).joinpath("model.safetensors").read_bytes() != (nano / "model.safetensors").read_bytes()


def test_every_word_of_every_instruction_has_a_token(nano):
    prompter = Prompter.load(nano, 9)
    assert prompter.backend.token_to_id("<unk>") not in prompter.prompt(" ".join(words()))


def test_fast_tokens_fit_the_action_tokens(nano):
    prompter, fast = Prompter.load(nano, 9), FastTokenizer.load(nano / "fast_tokenizer")
    assert fast.backend.get_vocab_size() <= prompter.ids.last_action - prompter.ids.first_action + 1 == 2048


def test_unsupported_image_size_is_rejected(tmp_path):
    with pytest.raises(PolicyError, match="84 or 112 px, not 100"):
        write_nano(tmp_path, image_size=100)
