"""Training code compared with recordings of the released code: preference losses and world model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..envs.parity import Check, max_abs_difference
from ..policies.nora.parity.compare import FLOAT32, INPUTS, close, gradients
from ..policies.nora.parity.recordings import Recordings

if TYPE_CHECKING:
    from ..policies.nora.model.reference import NoraModel
    from .preference.loss import FlowTerms, FrozenReference
    from .world_model.model import WorldModel

AMPLIFIED = 1e-4
"""Tolerance of the DPO loss from nora-bench's velocities: its factor of 250 multiplies their rounding errors. The loss from the
recorded velocities must agree to `FLOAT32`."""
AMPLIFIED_GRADIENT = 1e-3
"""The same for its gradients, relative to the largest entry of each tensor."""
PREDICTED = 5e-5
"""Tolerance of predicted latents, relative to the largest: they pass two transformers, the encoder's and the predictor's, one
after the other, and the encoder's last norm divides by a spread below 1. Another processor differed by 2.2e-5; a changed
weight of either network must still be detected (`tests/training/test_parity.py`)."""
DPO, TOKENS, WORLD = "dpo.safetensors", "training.safetensors", "world_model.safetensors"


def compare(recordings: Recordings) -> Iterator[Check]:
    """Every check of training that the folder's files allow."""
    if recordings.names(DPO):
        yield from _dpo(recordings)
    if recordings.names(WORLD):
        yield from _world(recordings)


def _dpo(recordings: Recordings) -> Iterator[Check]:
    import torch

    from ..policies.nora.checkpoint import open_checkpoint
    from .preference.loss import FrozenReference

    checkpoint = open_checkpoint(str(recordings.folder / "weights.safetensors"))
    before, policy = (checkpoint.model("cpu", torch.float32) for _ in range(2))
    policy.load_state_dict(recordings.all_of("dpo_policy_weights.safetensors"), strict=False)
    yield from _released(recordings, policy.requires_grad_(True), FrozenReference(before, released=True))
    with torch.no_grad():
        reference = FrozenReference(before)
        yield from _paper(recordings, policy, reference)
        yield from _token_dpo(recordings, policy, reference)


def _flow_terms(recordings: Recordings, policy: NoraModel, reference: FrozenReference, sampled: tuple[Any, Any]) -> FlowTerms:
    """Terms of the recorded pairs over the recorded training prompts; `sampled`: noise and time, chosen chunks first."""
    import torch

    from .preference.loss import PromptBatch, flow_terms

    mask = recordings.get(TOKENS, "train.expert_attention").bool()
    pairs = torch.cat([recordings.get(DPO, f"dpo.actions_{side}") for side in ("winner", "loser")])
    return flow_terms(policy, reference, PromptBatch(_inputs(recordings), mask), pairs, *sampled)


def _inputs(recordings: Recordings) -> tuple[Any, ...]:
    """The recorded training prompts and images."""
    return tuple(recordings.get(TOKENS, f"train.{name}") for name in INPUTS)


def _released(recordings: Recordings, policy: NoraModel, reference: FrozenReference) -> Iterator[Check]:
    from ..policies.nora.model.reference import token_loss
    from .preference.loss import flow_dpo
    from .preference.stage import RELEASED

    case = "dpo.released"
    terms = _flow_terms(recordings, policy, reference, tuple(recordings.get(DPO, f"dpo.{n}") for n in ("noise", "time")))
    yield from _velocities(recordings, terms)
    yield from _errors(recordings, terms, case, "mean", "mse")
    loss = flow_dpo(terms, RELEASED.beta, RELEASED.reduction)
    yield close(case, "DPO loss", loss.loss.reshape(1), recordings.get(DPO, f"{case}.combined_loss"), AMPLIFIED)
    given = flow_dpo(_recorded_terms(recordings, terms), RELEASED.beta, RELEASED.reduction)
    yield close(case, "DPO loss of recorded velocities", given.loss.reshape(1), recordings.get(DPO, f"{case}.dpo_loss"))
    yield close(case, "DPO implicit accuracy", loss.accuracy.reshape(1), recordings.get(DPO, f"{case}.implicit_acc"))
    logits = policy.prefix(*_inputs(recordings)).logits
    tokens = token_loss(logits, recordings.get(TOKENS, "train.labels"))
    yield close(case, "token loss beside DPO", tokens.reshape(1), recordings.get(DPO, f"{case}.vlm_loss"))
    loss.loss.backward()
    yield from gradients(
        recordings, DPO, (f"{case}.grad.", f"{case}.grad."), policy, "gradients of the DPO loss", AMPLIFIED_GRADIENT
    )
    layers = policy.config.text["num_hidden_layers"]
    last = policy.get_parameter(f"vlm.model.language_model.layers.{layers - 1}.self_attn.q_proj.weight").grad
    untouched = float(last is None or not last.any())
    recorded = float(recordings.get(DPO, f"{case}.lm_last_layer_q_grad_is_none_or_zero"))
    yield Check(case, "last layer's queries get no gradient", abs(untouched - recorded), 0.0)


def _recorded_terms(recordings: Recordings, terms: FlowTerms) -> FlowTerms:
    """The terms with the recorded velocities."""
    import torch

    from .preference.loss import FlowTerms

    policy, reference = (
        torch.cat([recordings.get(DPO, f"dpo.released.{who}_velocity_{side}") for side in ("winner", "loser")])
        for who in ("policy", "ref")
    )
    return FlowTerms(policy, reference, terms.target)


def _velocities(recordings: Recordings, terms: FlowTerms) -> Iterator[Check]:
    for who, actual in (("policy", terms.policy), ("ref", terms.reference)):
        for side, velocity in zip(("winner", "loser"), actual.chunk(2), strict=True):
            expected = recordings.get(DPO, f"dpo.released.{who}_velocity_{side}")
            yield close(f"dpo.released/{who} {side}", "velocities of DPO's terms", velocity, expected)


def _errors(recordings: Recordings, terms: FlowTerms, case: str, reduction: str, suffix: str) -> Iterator[Check]:
    from .preference.loss import squared_error

    for who, velocity in (("policy", terms.policy), ("ref", terms.reference)):
        errors = squared_error(velocity, terms.target, reduction).chunk(2)
        for side, actual in zip(("winner", "loser"), errors, strict=True):
            expected = recordings.get(DPO, f"{case}.{who}_{suffix}_{side}")
            yield close(f"{case}/{who} {side}", "squared errors of DPO's terms", actual, expected)


def _paper(recordings: Recordings, policy: NoraModel, reference: FrozenReference) -> Iterator[Check]:
    import torch

    from .preference.loss import flow_dpo

    case = "dpo.paper"
    noise, time, beta = (recordings.get(DPO, f"{case}.{name}") for name in ("noise", "time", "beta"))
    terms = _flow_terms(recordings, policy, reference, (torch.cat([noise, noise]), torch.cat([time, time])))
    yield from _errors(recordings, terms, case, "sum", "sse")
    loss = flow_dpo(terms, float(beta), "sum")
    yield close(case, "DPO loss", loss.loss.reshape(1), recordings.get(DPO, f"{case}.loss"), AMPLIFIED)


def _token_dpo(recordings: Recordings, policy: NoraModel, reference: FrozenReference) -> Iterator[Check]:
    import torch

    from .preference.loss import token_dpo, token_log_probabilities

    actual, expected = [], []
    for side in ("winner", "loser"):
        labels, inputs = recordings.get(DPO, f"dpo_fast.{side}.labels"), _prompts(recordings, policy, side)
        actual.append(token_log_probabilities(policy.prefix(*inputs).logits, labels))
        expected.append(reference.log_probabilities(inputs, labels))
        for who, values in (("policy", actual[-1]), ("ref", expected[-1])):
            recorded = recordings.get(DPO, f"dpo_fast.{who}_logp_{side}")
            yield close(f"dpo_fast/{who} {side}", "log probabilities of token sequences", values, recorded)
    loss = token_dpo(torch.cat(actual), torch.cat(expected), float(recordings.get(DPO, "dpo_fast.beta")))
    yield close("dpo_fast", "token DPO loss", loss.loss.reshape(1), recordings.get(DPO, "dpo_fast.loss"))


def _prompts(recordings: Recordings, model: NoraModel, side: str) -> tuple[Any, ...]:
    """Inputs of the prefix for the recorded token sequences, over the training images."""
    from ..policies.nora.prompt import rotary_positions

    ids, mask = (recordings.get(DPO, f"dpo_fast.{side}.{name}") for name in ("input_ids", "attention_mask"))
    pixels, grid = (recordings.get(TOKENS, f"train.{name}") for name in ("pixel_values", "image_grid_thw"))
    image_token = recordings.config["vlm_config"]["image_token_id"]
    positions = rotary_positions(ids.numpy(), mask.numpy(), image_token, grid.numpy(), model.config.merge)
    return ids, mask, ids.new_tensor(positions), pixels, grid


def _world(recordings: Recordings) -> Iterator[Check]:
    import torch

    from .world_model.checkpoint import load_weights
    from .world_model.model import WorldModel, block_causal_mask

    described = json.loads((recordings.folder / "world_model_config.json").read_text(encoding="utf-8"))
    weights = recordings.all_of("world_model_weights.safetensors")
    model = WorldModel(_world_config(described, weights))
    load_weights(model, weights)
    mask = recordings.get(WORLD, "attn_mask")
    tokens = model.config.tokens + 2
    yield Check("world model", "block-causal mask", max_abs_difference(block_causal_mask(len(mask) // tokens, tokens), mask), 0.0)
    yield from _predictions(recordings, model)
    with torch.no_grad():
        yield from _rewards(recordings, model)


def _world_config(described: dict[str, Any], weights: dict[str, Any]) -> Any:
    from .world_model.model import PredictorConfig, WorldModelConfig

    encoder, predictor = described["encoder"], described["predictor"]
    sizes = {
        "crop_size": described["img_size"],
        "patch_size": described["patch_size"],
        "tubelet_size": described["tubelet_size"],
        "hidden_size": encoder["embed_dim"],
        "num_hidden_layers": encoder["depth"],
        "num_attention_heads": encoder["num_heads"],
        "mlp_ratio": encoder["mlp_ratio"],
    }
    inputs = (weights[f"predictor.{name}_encoder.weight"].shape[1] for name in ("action", "state"))
    width = predictor["predictor_embed_dim"]
    ratio = weights["predictor.predictor_blocks.0.mlp.fc1.weight"].shape[0] / width
    return WorldModelConfig(sizes, PredictorConfig(width, predictor["depth"], predictor["num_heads"], ratio, *inputs))


def _frames(recordings: Recordings, name: str) -> Any:
    """[B, T, C, H, W] of a recorded [B, C, T, H, W]."""
    return recordings.get(WORLD, name).transpose(1, 2)


def _predictions(recordings: Recordings, model: WorldModel) -> Iterator[Check]:
    case, get = "world model", lambda name: recordings.get(WORLD, name)
    several = model.encode_raw(_frames(recordings, "encoder_multiframe_in"))
    yield close(case, "encoder, several frames", several, get("encoder_multiframe_out"))
    clips = _frames(recordings, "clips")
    doubled = clips.flatten(0, 1)[:, None].expand(-1, model.config.encoder["tubelet_size"], -1, -1, -1)
    yield close(case, "encoder, frame by frame", model.encode_raw(doubled), get("encoder_raw"))
    latents, actions, states = model.encode(clips), get("actions"), get("states_nonzero")[:, :-1]
    yield close(case, "latents", latents.flatten(1, 2), get("target_latents"))
    before = latents[:, :-1]
    for kind, given in (("zero", states * 0), ("nonzero", states)):
        actual = model.predictor(before, actions, given).flatten(1, 2)
        yield close(f"{case}/{kind} states", "predicted latents, raw", actual, get(f"predictor_raw_{kind}_state"), PREDICTED)
    predicted = model.predict(before, actions).flatten(1, 2)
    yield close(case, "predictions given the true history", predicted, get("teacher_forced"), PREDICTED)
    rolled = model.rollout(latents[:, 0], actions[:, : get("autoregressive").shape[1] // model.config.tokens])
    yield close(case, "predictions fed back", rolled[:, 1:].flatten(1, 2), get("autoregressive"), PREDICTED)
    loss = model.loss(latents, actions)
    for name, actual in (("teacher_forcing", loss.teacher_forcing), ("rollout", loss.rollout), ("total", loss.total)):
        yield close(f"{case}/{name}", "world model losses", actual.reshape(1), get(f"loss_{name}"))
    loss.total.backward()
    yield from gradients(recordings, WORLD, ("grad.", "grad."), model.predictor, "gradients of the world model loss")


def _rewards(recordings: Recordings, model: WorldModel) -> Iterator[Check]:
    from .preference.pairs import chosen_and_rejected
    from .preference.rewards import Reward, imagine, score

    get = lambda name: recordings.get(WORLD, name)  # noqa: E731
    current, goal = (model.encode(_frames(recordings, f"{name}_frame"))[0, 0] for name in ("current", "goal"))
    for name, latent in (("current", current), ("goal", goal)):
        yield close(f"world model/{name}", "latents", latent[None], get(f"{name}_latent"))
    candidates = get("candidates")
    demonstrated = get("ground_truth_actions")[: candidates.shape[1]]
    for steps, latents in recordings.matching(WORLD, "rollout_", ".latents"):
        case = f"rollout_{steps}"
        actual = model.rollout(current.expand(len(candidates), -1, -1), candidates[:, : int(steps)])
        tolerance = FLOAT32 * int(steps)  # each prediction feeds its rounding to the next
        yield close(case, "rolled-out latents", actual.flatten(1, 2), latents, tolerance)
        for weight, costs in recordings.matching(WORLD, f"{case}.cost_w"):
            predicted = imagine(model, current, candidates, candidates.shape[1] - int(steps))
            scores = score(Reward(action_weight=float(weight)), candidates, demonstrated, predicted, goal)
            yield close(f"{case}/weight {weight}", "rewards", -scores.total, costs)
            yield close(f"{case}/weight {weight}", "goal rewards", -scores.goal, get(f"{case}.goal_energy"))
            yield close(f"{case}/weight {weight}", "action rewards", -scores.action, get("action_l1_mean"))
            chosen = scores.total.new_tensor(chosen_and_rejected(scores.total.numpy()))
            yield Check(
                f"{case}/weight {weight}",
                "winner and loser",
                max_abs_difference(chosen, get(f"{case}.chosen_rejected_w{weight}")),
                0.0,
            )
