import math

import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[train]'")
import numpy as np
import torch
from nora_bench.policies.nora.checkpoint import open_checkpoint
from nora_bench.policies.nora.model.reference import interpolate
from nora_bench.policies.nora.nano import write_nano
from nora_bench.policies.nora.parity.tolerance import model_rounding
from nora_bench.policies.nora.prompt import Prompter
from nora_bench.training.engine.config import TrainingError
from nora_bench.training.models.backbone import sample_times
from nora_bench.training.preference.loss import FlowTerms, flow_dpo, prefix_cache, token_dpo, token_log_probabilities
from nora_bench.training.preference.pairs import FlowPairs, PromptCollator, TokenPairs
from nora_bench.training.preference.stage import RELEASED, BatchedPrefix, DpoSettings, FlowPreference, TokenPreference

INSTRUCTIONS = ["pick up the milk and place it in the basket", "open the drawer"]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=seeded(seed), dtype=dtype)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return write_nano(tmp_path_factory.mktemp("nano"))


@pytest.fixture
def model(folder):
    return open_checkpoint(str(folder)).model("cpu", torch.float32).requires_grad_(True)


@pytest.fixture
def collator(model, folder):
    return PromptCollator(model.config, Prompter.load(folder, model.config.image_tokens))


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (2, 84, 84, 3), np.uint8)


@pytest.fixture
def flow_pairs(collator, images):
    return FlowPairs(collator.collate(images, INSTRUCTIONS), draw(4, 5, 7).clamp(-1, 1))


@pytest.fixture
def token_pairs(collator, images):
    answers = [collator.prompter.answer(tokens) for tokens in ([5, 9], [7], [5, 8], [300, 7, 1])]
    prompts = collator.collate(np.concatenate([images, images]), INSTRUCTIONS * 2, answers)
    return TokenPairs(prompts, collator.labels(prompts))


def exported(folder, weights):
    """An export that keeps nothing."""


# The formulas


def test_the_flow_loss_has_the_gradient_of_finite_differences():
    reference, target = (draw(4, 3, 2, seed=seed, dtype=torch.float64) for seed in (1, 2))
    policy = draw(4, 3, 2, dtype=torch.float64).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda v: flow_dpo(FlowTerms(v, reference, target), 0.7, "sum").loss, policy)
    assert torch.autograd.gradcheck(lambda v: flow_dpo(FlowTerms(v, reference, target), 2.0, "mean").loss, policy)


def test_the_token_loss_has_the_gradient_of_finite_differences():
    policy = draw(6, dtype=torch.float64).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda p: token_dpo(p, draw(6, seed=1, dtype=torch.float64), 0.3).loss, policy)


def test_policy_equal_to_its_reference_has_zero_margin_and_loss_log_2():
    same = draw(4, 3, 2)
    loss = flow_dpo(FlowTerms(same, same, draw(4, 3, 2, seed=1)), 250.0, "mean")
    assert loss.loss == pytest.approx(math.log(2)) and loss.accuracy == 0 and loss.drift == 0


def test_sums_with_beta_over_the_chunks_size_are_means_with_beta():
    terms = FlowTerms(*(draw(4, 5, 7, seed=seed) for seed in range(3)))
    assert flow_dpo(terms, 0.5, "mean").loss == pytest.approx(float(flow_dpo(terms, 0.5 / 35, "sum").loss), rel=1e-5)


def test_log_probabilities_count_labelled_tokens_alone():
    logits, labels = draw(1, 4, 3), torch.tensor([[-100, -100, 2, 0]])
    wanted = logits[0].log_softmax(-1)
    assert token_log_probabilities(logits, labels)[0] == pytest.approx(float(wanted[1, 2] + wanted[2, 0]))


@pytest.mark.parametrize(("kind", "mean"), [("uniform", 0.5), ("beta", 0.001 + 0.999 * 0.6)])
def test_times_are_sampled_as_in_the_paper_or_in_supervised_training(kind, mean):
    times = sample_times((20_000,), kind, seeded())
    assert times.mean() == pytest.approx(mean, abs=0.01) and times.min() >= 0 and times.max() <= 1


# Known optima


def test_a_flow_policy_moves_to_the_known_optimum_of_its_preferences():
    """Velocity: a learned constant, a zero reference. If the chosen chunk is preferred with probability p, the best constant
    d has margin -2 beta d (w - l) = log(p / (1 - p)), whatever noise and time are, and no part across w - l."""
    chosen, rejected, beta, p = draw(1, 2, 3), draw(1, 2, 3, seed=1), 0.4, 0.8
    constant = torch.zeros(1, 2, 3, requires_grad=True)
    optimizer, noises = torch.optim.SGD([constant], 0.5), seeded(5)
    for _ in range(400):
        noise = torch.randn((1, 2, 3), generator=noises)
        losses = []
        for pair in ((chosen, rejected), (rejected, chosen)):
            chunks = torch.cat(pair)
            v = constant.expand(2, -1, -1)
            losses.append(flow_dpo(FlowTerms(v, torch.zeros_like(v), noise.expand(2, -1, -1) - chunks), beta, "sum").loss)
        optimizer.zero_grad()
        (p * losses[0] + (1 - p) * losses[1]).backward()
        optimizer.step()
    apart = chosen - rejected
    best = -math.log(p / (1 - p)) / (2 * beta) * apart / apart.pow(2).sum()
    assert torch.allclose(constant.detach(), best, atol=1e-3)


def test_a_token_policy_moves_to_the_known_optimum_of_its_preferences():
    """Two answers, the first preferred with probability p: the best log ratio between them is log(p / (1 - p)) / beta."""
    scores, beta, p = torch.zeros(2, requires_grad=True), 0.5, 0.7
    optimizer, reference = torch.optim.SGD([scores], 4.0), torch.tensor([0.3, 0.7]).log()
    for _ in range(500):
        ours = (scores + reference).log_softmax(0)
        loss = p * token_dpo(ours, reference, beta).loss + (1 - p) * token_dpo(ours.flip(0), reference.flip(0), beta).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float((scores[0] - scores[1]).detach()) == pytest.approx(math.log(p / (1 - p)) / beta, abs=1e-3)


# The objectives on a model


def objective(model, **settings):
    return FlowPreference(model, DpoSettings(**settings), exported)


def test_noise_and_time_are_shared_by_a_pair_or_sampled_separately_as_released(model):
    noise, time = objective(model).sample_noise_and_times(torch.Size((4, 5, 7)), seeded())
    assert torch.equal(noise[:2], noise[2:]) and torch.equal(time[:2], time[2:])
    noise, time = FlowPreference(model, RELEASED, exported).sample_noise_and_times(torch.Size((4, 5, 7)), seeded())
    assert not torch.equal(noise[:2], noise[2:]) and not torch.equal(time[:2], time[2:])


def step(objective, batch, rate=1e-3):
    optimizer = torch.optim.SGD([p for p in objective.parameters() if p.requires_grad], rate)
    objective(batch, seeded()).total.backward()
    optimizer.step()


def reference_velocity(objective, pairs):
    x, time = interpolate(pairs.chunks, draw(4, 5, 7, seed=3), torch.full((4,), 0.5)), torch.full((4,), 0.5)
    cache = prefix_cache(objective.policy, pairs.prompts)
    return objective.reference.velocity(pairs.prompts, objective.policy, cache, x, time, prefix_cache)


@pytest.mark.parametrize(("reference", "moves"), [("full", False), ("shared-prefix", True)])
def test_full_reference_is_fixed_and_released_one_moves_with_the_backbone(model, flow_pairs, reference, moves):
    trained = objective(model, reference=reference)
    before = reference_velocity(trained, flow_pairs)
    step(trained, flow_pairs, rate=0.1)
    assert torch.equal(before, reference_velocity(trained, flow_pairs)) is not moves


def test_expert_only_training_shares_the_backbone_and_gives_the_same_loss(model, flow_pairs):
    alone = FlowPreference(model, DpoSettings(), exported, expert_only=True)
    assert not any(name.startswith("reference.model.vlm") for name, _ in alone.named_parameters())
    assert not any(p.requires_grad for name, p in alone.named_parameters() if name.startswith("policy.vlm"))
    before = reference_velocity(alone, flow_pairs)
    step(alone, flow_pairs, rate=0.1)
    assert torch.equal(before, reference_velocity(alone, flow_pairs))


def test_the_prefix_is_computed_once_for_policy_and_once_for_a_full_reference(model, flow_pairs, monkeypatch):
    passes = []
    whole = BatchedPrefix.__call__
    monkeypatch.setattr(
        BatchedPrefix, "__call__", lambda self, m, prompts: passes.append(len(prompts.mask_BP)) or whole(self, m, prompts)
    )
    objective(model)(flow_pairs, seeded())
    assert passes == [2, 2]
    passes.clear()
    FlowPreference(model, RELEASED, exported)(flow_pairs, seeded())
    assert passes == [2]


def test_batched_prefix_matches_prefix_cache(model, collator, images):
    prompts = collator.collate(images, INSTRUCTIONS)
    for pair, other in zip(BatchedPrefix()(model, prompts), prefix_cache(model, prompts), strict=True):
        for a, b in zip(pair, other, strict=True):
            ours, theirs = (x.transpose(1, 2)[prompts.mask_BP] for x in (a, b))
            assert torch.allclose(ours, theirs, atol=model_rounding(model.config) * float(theirs.abs().max()), rtol=0)


def perturbed(parameters, directions, size):
    with torch.no_grad():
        for parameter, direction in zip(parameters, directions, strict=True):
            parameter.add_(direction, alpha=size)


def check_slope(trained, batch, size):
    """The loss along a random direction of all trained weights rises as the gradient says."""
    parameters = [p for p in trained.parameters() if p.requires_grad]
    directions = [draw(*p.shape, seed=index) * p.detach().std(correction=0).clamp(min=1e-3) for index, p in enumerate(parameters)]
    perturbed(parameters, directions, 0.05)  # away from the reference, where all terms are at work
    trained(batch, seeded()).total.backward()
    slope = sum(float((p.grad * d).sum()) for p, d in zip(parameters, directions, strict=True) if p.grad is not None)
    perturbed(parameters, directions, size)
    above = float(trained(batch, seeded()).total.detach())
    perturbed(parameters, directions, -2 * size)
    below = float(trained(batch, seeded()).total.detach())
    assert slope != 0 and (above - below) / (2 * size) == pytest.approx(slope, rel=0.02)


def test_the_gradient_of_the_whole_flow_objective_is_that_of_finite_differences(model, flow_pairs):
    check_slope(objective(model, beta=5.0), flow_pairs, 0.01)


def test_the_gradient_of_the_whole_token_objective_is_that_of_finite_differences(model, token_pairs):
    check_slope(TokenPreference(model, DpoSettings(), exported), token_pairs, 0.01)


def learn(trained, batch, rate, steps):
    optimizer = torch.optim.Adam([p for p in trained.parameters() if p.requires_grad], rate)
    for _ in range(steps):
        loss = trained(batch, seeded())
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    return trained(batch, seeded())


def test_flow_overfits_one_batch_of_preferences(model, flow_pairs):
    learned = learn(objective(model, beta=50.0), flow_pairs, 2e-3, 15)
    assert learned.total < 0.01 and learned.metrics["accuracy"] == 1 and learned.metrics["drift"] > 0


def test_token_head_overfits_one_batch_of_preferences(model, token_pairs):
    learned = learn(TokenPreference(model, DpoSettings(token_beta=0.5), exported), token_pairs, 2e-3, 15)
    assert learned.total < 0.01 and learned.metrics["accuracy"] == 1


def test_token_preference_rejects_a_shared_prefix_reference(model):
    with pytest.raises(TrainingError, match="full"):
        TokenPreference(model, RELEASED, exported)


def test_exported_checkpoint_omits_the_reference(model):
    kept = {}
    trained = FlowPreference(model, DpoSettings(), lambda folder, weights: kept.update(weights))
    trained.export(None, trained.state_dict())
    assert kept.keys() == model.state_dict().keys()


def test_answer_is_labelled_and_masked_for_the_expert(collator, images):
    answers = [collator.prompter.answer([5, 9]), collator.prompter.answer([7])]
    prompts = collator.collate(images, INSTRUCTIONS, answers)
    labels, ids = collator.labels(prompts), collator.prompter.ids
    said = [row[row != -100].tolist() for row in labels]
    newline = collator.prompter.backend.encode("\n", add_special_tokens=False).ids
    assert said == [
        [ids.first_action + 5, ids.first_action + 9, ids.end_of_turn, *newline],
        [ids.first_action + 7, ids.end_of_turn, *newline],
    ]
    assert not (prompts.mask_BP & (labels != -100)).any()
    assert [len(collator.prompter.prompt(text)) for text in INSTRUCTIONS] == prompts.mask_BP.sum(1).tolist()


def test_a_neighbour_does_not_change_a_rows_velocity(model, collator, images):
    pair, noise, time = draw(2, 5, 7).clamp(-1, 1), draw(2, 5, 7, seed=1), torch.full((2,), 0.5)
    together, alone = collator.collate(images, INSTRUCTIONS), collator.collate(images[1:], INSTRUCTIONS[1:])
    assert len(set(together.mask_BP.sum(1).tolist())) == 2
    with torch.no_grad():
        cache = model.prefix(*together.inputs).cache
        both = model.velocity(interpolate(pair, noise, time), time, cache, together.mask_BP)
        one = model.velocity(interpolate(pair, noise, time)[1:], time[1:], model.prefix(*alone.inputs).cache, alone.mask_BP)
    assert torch.allclose(both[1:], one, atol=model_rounding(model.config) * float(one.abs().max()), rtol=0)


@pytest.mark.parametrize("field", ["beta", "token_beta"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_beta_out_of_range_is_rejected(field, value):
    with pytest.raises(TrainingError) as error:
        DpoSettings(**{field: value}).validate()
    assert error.value.option == f"dpo.{field}"
