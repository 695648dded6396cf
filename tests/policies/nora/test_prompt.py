import numpy as np
import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[nora]'")
from nora_bench.envs.errors import PolicyError
from nora_bench.policies.nora.pixels import patches
from nora_bench.policies.nora.prompt import Prompter, rotary_positions

IMAGE = 9


@pytest.fixture
def prompter(nano):
    return Prompter.load(nano, image_tokens=9)


def test_prompt_consists_of_system_turn_image_instruction_and_header(prompter):
    ids = prompter.prompt("pick up the milk")
    text = prompter.backend.decode(ids, skip_special_tokens=False).replace("<|image_pad|>", "#")
    template = (
        "<|im_start|> system You are a helpful assistant . <|im_end|> <|im_start|> user {} <|im_end|> <|im_start|> assistant"
    )
    picture = f"<|vision_start|> {'# ' * 9} <|vision_end|>"
    assert text.split() == template.format(f"{picture} pick up the milk").split()


def test_positions_match_recording_with_padding_on_the_left(recorded):
    given = {
        name: value.numpy()
        for name, value in recorded("training").items()
        if value.dtype.is_signed and not value.is_floating_point()
    }
    ours = rotary_positions(given["train.input_ids"], given["train.attention_mask"], 250, given["train.image_grid_thw"], 2)
    valid = given["train.attention_mask"].astype(bool)
    assert np.array_equal(ours[:, valid], given["train.position_ids"][:, valid])


def test_text_after_an_image_continues_from_its_largest_position():
    ids = np.array([[1, 1, *[IMAGE] * 4, 1, 1, 0, 0]])
    ours = rotary_positions(ids, ids > 0, IMAGE, np.array([[1, 4, 4]]), 2)
    assert ours[:, 0, :8].T.tolist() == [[0] * 3, [1] * 3, [2, 2, 2], [2, 2, 3], [2, 3, 2], [2, 3, 3], [4] * 3, [5] * 3]


def test_image_tokens_that_do_not_fit_the_image_are_rejected():
    with pytest.raises(ValueError, match="3 image tokens for an image of 2 x 2"):
        rotary_positions(np.array([[IMAGE] * 3]), np.ones((1, 3)), IMAGE, np.array([[1, 4, 4]]), 2)


def test_patches_match_recording(recorded):
    given = recorded("inference")
    ours = patches(given["sample.image_u8"].numpy()[None], 14, 2)[0]
    np.testing.assert_allclose(ours, given["sample.pixel_values"].numpy(), atol=1e-6)


def test_folder_without_a_tokenizer_is_named(tmp_path):
    with pytest.raises(PolicyError, match=r"tokenizer\.json is missing; name one with --policy-arg tokenizer="):
        Prompter.load(tmp_path, 9)


def test_tokenizer_without_action_tokens_is_rejected(tmp_path):
    from tokenizers import Tokenizer, models

    Tokenizer(models.WordLevel({"<|im_end|>": 0}, unk_token="<|im_end|>")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(PolicyError, match=r"has no token .*<robot_action_0>"):
        Prompter.load(tmp_path, 9)
