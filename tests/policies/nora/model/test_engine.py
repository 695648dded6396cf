"""The fast path gives what the plain model gives: the recorded actions and tokens, whatever the padding and the neighbours."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[nora]'")
import torch
from nora_bench.policies.nora.model.engine import DecodingConfig, Engine, Inputs, StaticShape
from nora_bench.policies.nora.nano import untrained
from nora_bench.policies.nora.parity.tolerance import model_rounding
from nora_bench.policies.nora.prompt import Prompter, rotary_positions

PAD, STOP, IMAGE = 245, 247, 250


@pytest.fixture
def given(recorded):
    return {name.removeprefix("sample."): value for name, value in recorded("inference").items()}


def padded(given, length, rows):
    """The recorded prompt, padded on the right and repeated."""
    used = given["input_ids"].shape[1]
    ids = torch.full((rows, length), PAD)
    positions = torch.ones((3, rows, length), dtype=torch.long)
    ids[:, :used], positions[:, :, :used] = given["input_ids"], given["position_ids"]
    return Inputs(ids, torch.full((rows,), used), positions, given["pixel_values"].expand(rows, -1, -1).contiguous())


@pytest.mark.parametrize("length, rows", [(140, 1), (192, 1), (160, 3)])
def test_engine_samples_the_recorded_actions(model, given, length, rows):
    engine = Engine(model, StaticShape(rows, length, 5, 10, 0), IMAGE, DecodingConfig(STOP))
    actions = engine.sample(padded(given, length, rows), given["noise"].expand(rows, -1, -1).contiguous())
    wanted = given["actions_10steps"].expand(rows, -1, -1)
    torch.testing.assert_close(actions, wanted, atol=model_rounding(model.config) * float(wanted.abs().max()), rtol=0)


@pytest.mark.parametrize("length, rows", [(140, 1), (192, 1), (160, 3)])
def test_engine_generates_the_recorded_tokens(model, given, length, rows):
    engine = Engine(model, StaticShape(rows, length, 0, 10, 12), IMAGE, DecodingConfig(STOP))
    wanted = given["generate_ids"][:, given["input_ids"].shape[1] :]
    assert torch.equal(engine.generate(padded(given, length, rows)), wanted.expand(rows, -1))


def plain_greedy(model, ids, positions, pixels, tokens):
    """Tokens of a loop over the plain model, the whole sequence anew each time."""
    side = model.config.image_size // model.config.patch
    grid, start = torch.tensor([[1, side, side]]), ids.shape[1]
    for _ in range(tokens):
        logits = model.prefix(ids, torch.ones_like(ids), positions, pixels, grid).logits
        ids = torch.cat([ids, logits[:, -1:].argmax(-1)], dim=1)
        positions = torch.cat([positions, positions[..., -1:] + 1], dim=2)
    return ids[:, start:]


@torch.no_grad()
def test_prompts_of_different_lengths_generate_the_same_in_a_batch_as_alone(nano, nano_model):
    prompter = Prompter.load(nano, nano_model.config.image_tokens)
    prompts = [prompter.prompt(text) for text in ("pick up the milk", "put the bowl on the plate and turn on the stove")]
    pixels = torch.randn(2, 36, 1176, generator=torch.Generator().manual_seed(0))
    ids, lengths = torch.full((2, 64), prompter.ids.pad), torch.tensor([len(prompt) for prompt in prompts])
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.tensor(prompt)
    valid = (torch.arange(64) < lengths[:, None]).numpy()
    positions = torch.from_numpy(rotary_positions(ids.numpy(), valid, prompter.ids.image, np.array([[1, 6, 6]] * 2), 2))
    ours = Engine(nano_model, StaticShape(2, 64, 0, 10, 6), prompter.ids.image, DecodingConfig(-1)).generate(
        Inputs(ids, lengths, positions, pixels)
    )
    for row, n in enumerate(lengths.tolist()):
        assert torch.equal(
            ours[row], plain_greedy(nano_model, ids[row : row + 1, :n], positions[:, row : row + 1, :n], pixels[row], 6)[0]
        )


@pytest.mark.slow
def test_every_engine_part_compiles_without_graph_breaks(nano_model):
    """`eager` traces without generating code: a decision on the host would break the trace, and a captured graph."""
    torch.compiler.reset()
    side, ids = 6, torch.tensor([[1, *[IMAGE] * 9, 2, 3]])
    positions = torch.from_numpy(rotary_positions(ids.numpy(), np.ones((1, 12)), IMAGE, np.array([[1, side, side]]), 2))
    inputs = Inputs(ids, torch.tensor([12]), positions, torch.zeros(1, side * side, 1176))
    plain, compiled = (
        Engine(nano_model, StaticShape(1, 12, 5, 2, 3), IMAGE, DecodingConfig(-1), backend) for backend in (None, "eager")
    )
    noise = torch.ones(1, 5, 7)
    assert torch.equal(plain.sample(inputs, noise), compiled.sample(inputs, noise))
    assert torch.equal(plain.generate(inputs), compiled.generate(inputs))


def test_generation_stops_when_every_row_has_stopped(model, given):
    first = int(given["generate_ids"][0, given["input_ids"].shape[1]])
    engine = Engine(model, StaticShape(2, 160, 0, 10, 12), IMAGE, DecodingConfig(first))
    assert engine.generate(padded(given, 160, 2)).tolist() == [[first], [first]]


def test_constrained_generation_gives_only_allowed_tokens(model, given):
    engine = Engine(model, StaticShape(1, 160, 0, 10, 8), IMAGE, DecodingConfig(STOP, allowed=(2000, 2010)))
    tokens = engine.generate(padded(given, 160, 1))
    assert all(2000 <= token <= 2010 or token == STOP for token in tokens[0].tolist())


@torch.no_grad()
def test_tokens_are_sampled_with_the_probabilities_of_their_scores(model, given):
    """Gumbel noise times a temperature, added to the scores, is a draw from their softmax at that temperature."""
    choices, rows, calls, side = [STOP, 2000, 2001, 2002], 64, 16, model.config.image_size // model.config.patch
    shown = (given["input_ids"], torch.ones_like(given["input_ids"]), given["position_ids"], given["pixel_values"])
    scores = model.prefix(*shown, torch.tensor([[1, side, side]])).logits[0, -1, choices].float()
    temperature = float(scores.std())  # neither all alike nor always the same
    engine = Engine(model, StaticShape(rows, 140, 0, 10, 1), IMAGE, DecodingConfig(STOP, allowed=(2000, 2002)))
    gumbel = np.random.default_rng(0).gumbel(size=(calls, rows, 1, 4)).astype(np.float32)
    tokens = torch.cat([engine.generate(padded(given, 140, rows), torch.from_numpy(temperature * one))[:, 0] for one in gumbel])
    found = torch.stack([(tokens == choice).float().mean() for choice in choices])
    wanted = torch.softmax(scores / temperature, dim=0)
    assert wanted.max() > 2 * wanted.min()
    torch.testing.assert_close(found, wanted, atol=0.04, rtol=0)


def test_repetition_penalty_matches_transformers(model, given):
    used = given["input_ids"].shape[1]
    theirs = model.vlm.generate(
        input_ids=given["input_ids"],
        attention_mask=given["attention_mask"],
        pixel_values=given["pixel_values"],
        image_grid_thw=given["image_grid_thw"],
        mm_token_type_ids=(given["input_ids"] == IMAGE).int(),
        do_sample=False,
        max_new_tokens=12,
        repetition_penalty=3.0,
        eos_token_id=STOP,
        pad_token_id=PAD,
    )[:, used:]
    engine = Engine(model, StaticShape(1, 160, 0, 10, 12), IMAGE, DecodingConfig(STOP, penalty=3.0))
    ours = engine.generate(padded(given, 160, 1))
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, given["generate_ids"][:, used:])


def test_model_used_by_an_engine_remains_trainable(model, given):
    Engine(model, StaticShape(1, 160, 5, 2, 0), IMAGE, DecodingConfig(STOP)).sample(padded(given, 160, 1), given["noise"])
    layer = model.vlm.model.language_model.layers[0].self_attn
    layer.q_proj(torch.ones(1, layer.q_proj.in_features)).sum().backward()
    assert layer.q_proj.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("image_size", [84, 112, 168])
def test_vision_path_matches_the_encoder_for_any_windows(nano_model, image_size):
    from dataclasses import replace

    from nora_bench.policies.nora.model.vision import VisionPath

    model = untrained(replace(nano_model.config, image_size=image_size), seed=1)
    side = image_size // 14
    pixels = torch.randn(2, side * side, 1176, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = VisionPath(model, 2)(pixels)
        theirs = model.vlm.model.visual(pixels.flatten(0, 1), grid_thw=torch.tensor([[1, side, side]] * 2)).pooler_output
    torch.testing.assert_close(ours, theirs, atol=model_rounding(model.config) * float(theirs.abs().max()), rtol=0)
