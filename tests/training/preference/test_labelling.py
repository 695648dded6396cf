from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[train]'")
import json
import shutil

import torch
from nora_bench.envs.errors import InputError
from nora_bench.policies.fast import Decoded
from nora_bench.policies.nora.checkpoint import open_checkpoint
from nora_bench.policies.nora.model.engine import DecodingConfig
from nora_bench.policies.nora.nano import write_nano
from nora_bench.policies.nora.predictor import ModelInputs, Predictor
from nora_bench.policies.nora.weights import digest
from nora_bench.training.data.dataset import openings
from nora_bench.training.engine.checkpoints import locked_folder
from nora_bench.training.engine.config import TrainConfig, TrainingError
from nora_bench.training.preference.labelling import Labeller, LabelSettings, WorldModelScorer, chosen_rewards, label_all
from nora_bench.training.preference.pairs import FlowPairs, TokenPairs, read, write_part
from nora_bench.training.preference.rewards import REWARDS, imagine, score
from nora_bench.training.preference.sampler import generator_of, open_sampler
from nora_bench.training.preference.stage import DpoRecipe, prepare
from nora_bench.training.world_model.checkpoint import untrained
from nora_bench.training.world_model.latents import Latents, Windows
from nora_bench.training.world_model.model import NANO, PredictorConfig, WorldModelConfig
from scipy.stats import binomtest

from ..toy_data import CHUNK, ENTRY, STATS, ToyImages, walk

TINY = WorldModelConfig({**NANO.encoder, "crop_size": 32}, PredictorConfig(64, 2, 4, 2.0), False)


@pytest.fixture(scope="session")
def policy(tmp_path_factory):
    """An untrained nano policy with the toy's statistics."""
    folder = write_nano(tmp_path_factory.mktemp("policy"))
    (folder / "norm_stats.json").write_text(json.dumps({"libero_object": ENTRY}))
    return folder


@pytest.fixture(scope="session")
def sampler(policy):
    return open_sampler(str(policy), steps=2)


@pytest.fixture(scope="session")
def imagination(tmp_path_factory):
    """An untrained world model of the toy."""
    return imagination_of(untrained(TINY, seed=0), tmp_path_factory.mktemp("latents"))


def imagination_of(world, folder):
    return WorldModelScorer(world, Latents(folder, world, ToyImages()), STATS)


def labeller(sampler, imagination, **settings):
    return Labeller(LabelSettings(**{"per_part": 3, **settings}), sampler, ToyImages(84), imagination)


@pytest.fixture(scope="session")
def labels(sampler, imagination, tmp_path_factory):
    """Seven labelled states of two walks, under all rewards."""
    folder = tmp_path_factory.mktemp("labels")
    label_all(labeller(sampler, imagination, limit=7), [walk(0), walk(1)], folder, {})
    return folder


# Labels


def test_every_state_has_its_candidates_scores_and_pairs(labels):
    part = read(labels)
    assert part.candidates.shape == (7, 5, CHUNK, 7) and part.images.shape == (7, 84, 84, 3)
    assert set(part.total) == set(part.goal) == set(part.pairs) == set(REWARDS)
    rows = np.arange(7)
    for name in REWARDS:
        chosen, rejected = part.pairs[name].T
        assert (part.total[name][rows, chosen] == part.total[name].max(1)).all()
        assert (part.total[name][rows, rejected] == part.total[name].min(1)).all()


def test_the_scores_on_disk_are_those_of_the_rewards(labels, imagination):
    part = read(labels)
    state, demonstration = part.states[3], {walk(i).key: walk(i) for i in (0, 1)}[part.states[3]["key"]]
    chunks, latents = (
        torch.from_numpy(part.candidates[3]),
        torch.from_numpy(np.array(imagination.latents.get(demonstration))).float(),
    )
    done = openings(demonstration.labels)[state["step"] : state["step"] + CHUNK]
    assert np.allclose(part.demonstrated[3], done)
    predicted = imagine(imagination.world_model, latents[state["step"]], chunks)
    scores = score(
        REWARDS["wm-subgoal+gta"], chunks, torch.from_numpy(part.demonstrated[3]), predicted, latents[state["step"] + CHUNK]
    )
    assert np.allclose(part.total["wm-subgoal+gta"][3], scores.total, atol=1e-6)
    assert np.allclose(part.action[3], scores.action, atol=1e-6)


def test_the_same_seed_gives_the_same_labels_and_another_gives_others(labels, sampler, imagination, tmp_path):
    for name, seed in (("same", 0), ("other", 1)):
        label_all(labeller(sampler, imagination, limit=7, seed=seed), [walk(0), walk(1)], tmp_path / name, {})
    assert np.array_equal(read(tmp_path / "same").candidates, read(labels).candidates)
    assert not np.array_equal(read(tmp_path / "other").candidates, read(labels).candidates)


def test_noise_belongs_to_demonstration_and_step():
    draws = [generator_of(0, key, step).standard_normal(2).tolist() for key, step in (("a", 1), ("a", 2), ("b", 1), ("a", 1))]
    assert draws[0] == draws[3] and len({tuple(row) for row in draws}) == 3


# Answers of the token head


class Countable:
    """Reads a chunk out of any tokens but those that begin with an even one: an untrained policy's mean nothing to FAST."""

    def decode(self, rows, horizon, action_size):
        return [self._decoded(row, (horizon, action_size)) for row in rows]

    def _decoded(self, row, shape):
        if not row or row[0] % 2 == 0:
            return Decoded("malformed", np.array(row), None)
        return Decoded("ok", np.array(row), np.resize(np.array(row) / 2048, shape))


@pytest.fixture(scope="session")
def tokens(policy):
    return replace(open_sampler(str(policy), "fast"), fast=Countable())


def asked(sampler, states, candidates=3, seed=0):
    """Answers to the first image of each walk."""
    images = np.stack([ToyImages(84).get(walk(number))[0] for number in states])
    draws = [generator_of(seed, walk(number).key, 0) for number in states]
    return sampler.sample(images, [walk(number).instruction for number in states], draws, candidates)


def test_sampled_tokens_depend_on_their_own_noise_alone(tokens):
    both = asked(tokens, (0, 1))
    assert both.shape == (2, 3, CHUNK, 7) and both.dtype == np.float32
    assert np.array_equal(both[1:], asked(tokens, (1,)), equal_nan=True)
    assert not np.array_equal(both, asked(tokens, (0, 1), seed=1), equal_nan=True)


def test_lower_temperature_is_nearer_to_the_most_likely_chunk(tokens):
    model, ids = tokens.model, tokens.prompter.ids
    question = ModelInputs(tokens.prompter.prompt(walk(0).instruction), ToyImages(84).get(walk(0))[0], None)
    greedy = DecodingConfig(ids.end_of_turn, allowed=(ids.first_action, ids.last_action))
    (likeliest,) = Predictor(model, ids, 1, CHUNK, 1, CHUNK * 7 + 2, greedy, tokens.fast).predict([question])
    wanted = np.full((CHUNK, 7), np.nan) if likeliest.normalised is None else likeliest.normalised
    cold = asked(replace(tokens, temperature=1e-6), (0,), candidates=2)
    assert np.allclose(cold[0], wanted, equal_nan=True)


def test_invalid_chunk_is_in_no_pair(tokens, tmp_path):
    label_all(labeller(tokens, None, limit=4, rewards=("gta",), head="fast"), [walk(0)], tmp_path, {})
    part = read(tmp_path)
    no_chunk = np.isnan(part.candidates).any(axis=(2, 3))
    assert no_chunk.any() and not no_chunk.all()
    assert (np.isnan(part.total["gta"]) == no_chunk).all()
    for state, pair in enumerate(part.pairs["gta"]):
        assert not no_chunk[state][pair[pair >= 0]].any()


def test_a_policy_without_action_tokens_names_the_other_head(policy, tmp_path):
    folder = tmp_path / "flow"
    shutil.copytree(policy, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "token_head": False}))
    with pytest.raises(TrainingError, match="without action tokens; add --head flow"):
        open_sampler(str(folder), "fast")


def test_a_policy_without_an_expert_names_the_other_head(tmp_path):
    with pytest.raises(TrainingError, match="no flow expert to sample from; add --head fast"):
        open_sampler(str(write_nano(tmp_path, expert=False)))


# Labels


def test_interrupted_labelling_resumes(labels, sampler, imagination, tmp_path, monkeypatch):
    made = []
    whole = Labeller.label
    monkeypatch.setattr(Labeller, "label", lambda self, states: made.append(len(states)) or whole(self, states))
    label_all(labeller(sampler, imagination, limit=7), [walk(0), walk(1)], tmp_path, {})
    sorted(tmp_path.glob("*.safetensors"))[1].unlink()
    label_all(labeller(sampler, imagination, limit=7), [walk(0), walk(1)], tmp_path, {})
    assert made == [3, 3, 1, 3]
    assert np.array_equal(read(tmp_path).candidates, read(labels).candidates)


def test_labels_of_all_rewards_resume_after_a_reward_was_added(labels, sampler, imagination, tmp_path, monkeypatch):
    folder = tmp_path / "labels"
    shutil.copytree(labels, folder)
    before = chosen_rewards(None, folder)
    monkeypatch.setitem(REWARDS, "new", REWARDS["gta"])
    assert chosen_rewards(None, folder) == before
    assert chosen_rewards(None, tmp_path / "fresh") == (*before, "new")
    made = []
    monkeypatch.setattr(Labeller, "label", lambda self, states: made.append(states))
    resumed = labeller(sampler, imagination, limit=7, rewards=chosen_rewards(None, folder))
    assert (label_all(resumed, [walk(0), walk(1)], folder, {}), made) == (7, [])
    with pytest.raises(TrainingError, match="another rewards"):
        label_all(labeller(sampler, imagination, limit=7, rewards=("new",)), [walk(0), walk(1)], folder, {})


def test_order_of_the_rewards_changes_no_label(labels, sampler, imagination):
    other_order = tuple(reversed(chosen_rewards(None, labels)))
    assert label_all(labeller(sampler, imagination, limit=7, rewards=other_order), [walk(0), walk(1)], labels, {}) == 7


def test_labels_with_other_settings_are_rejected(labels, sampler, imagination):
    with pytest.raises(TrainingError, match="another candidates"):
        label_all(labeller(sampler, imagination, limit=7, candidates=3), [walk(0), walk(1)], labels, {})


def test_folder_locked_by_another_labelling_is_rejected(sampler, imagination, tmp_path):
    with locked_folder(tmp_path), pytest.raises(TrainingError, match="being written by another process"):
        label_all(labeller(sampler, imagination, limit=1), [walk(0)], tmp_path, {})


def test_pushed_chunk_gives_no_state(sampler, imagination):
    pushed = replace(walk(0), pushed=np.arange(16) == 8)
    steps = [state.step for state in labeller(sampler, imagination).states([pushed])]
    assert steps == [0, 1, 2, 3, 9, 10, 11]


def test_goal_rewards_need_a_world_model(sampler):
    with pytest.raises(TrainingError, match="--world-model"):
        labeller(sampler, None)
    assert labeller(sampler, None, rewards=("gta",)).states([walk(0)])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rewards": ("best",)}, "unknown reward 'best'"),
        ({"candidates": 1}, "at least 2 candidates"),
        ({"temperature": 0.0}, "temperature must be a number above 0"),
    ],
)
def test_invalid_label_settings_are_rejected(sampler, imagination, settings, said):
    with pytest.raises(InputError, match=said):
        labeller(sampler, imagination, **settings)


# Pairs as examples


def examples(labels, policy, reward, head="flow"):
    return prepare(DpoRecipe(TrainConfig(steps=1, batch_size=2), head=head), str(policy), labels, reward).examples


def test_batch_has_chosen_chunks_first(labels, policy):
    found, part = examples(labels, policy, "gta"), read(labels)
    batch = found.batch(np.array([4, 1]))
    assert isinstance(batch, FlowPairs)
    for row, state in enumerate((4, 1)):
        chosen, rejected = part.pairs["gta"][state]
        assert np.array_equal(batch.chunks[row], part.candidates[state, chosen])
        assert np.array_equal(batch.chunks[2 + row], part.candidates[state, rejected])


def test_the_token_head_gets_the_same_pairs_as_tokens(labels, policy):
    batch = examples(labels, policy, "gta", "fast").batch(np.array([0, 1]))
    assert isinstance(batch, TokenPairs) and batch.labels.shape[0] == 4


def rewritten(labels, folder, change):
    part = read(labels)
    (folder / "labels.json").write_text((labels / "labels.json").read_text())
    write_part(folder, 0, change(part))
    return folder


def test_pairs_with_equal_rewards_are_rejected(labels, policy, tmp_path):
    equal = rewritten(labels, tmp_path, lambda part: replace(part, total={"gta": np.zeros_like(part.total["gta"])}))
    with pytest.raises(TrainingError, match="7 pairs of gta have a chosen chunk that scores no higher"):
        examples(equal, policy, "gta")


def test_reward_without_pairs_is_rejected(labels, policy, tmp_path):
    none = rewritten(labels, tmp_path, lambda part: replace(part, pairs={"gta": np.full((7, 2), -1)}))
    with pytest.raises(TrainingError, match="no pairs under gta"):
        examples(none, policy, "gta")
    with pytest.raises(TrainingError, match="only gta"):
        examples(none, policy, "wm-endgoal")


def test_a_folder_without_labels_names_the_command(policy, tmp_path):
    with pytest.raises(TrainingError, match="nora-bench label-preferences"):
        examples(tmp_path, policy, "gta")


def test_training_on_pairs_gives_a_policy_that_loads_and_has_moved(labels, policy, tmp_path):
    recipe = DpoRecipe(TrainConfig(steps=4, batch_size=2, learning_rate=1e-4, log_every=4, save_every=4))
    told = []
    folder = prepare(recipe, str(policy), labels, "gta").run(tmp_path, lambda step, numbers: told.append(numbers))
    assert set(told[-1]) >= {"loss", "accuracy", "margin"} and told[-1]["drift"] > 0
    assert open_checkpoint(str(folder)).config.chunk == CHUNK


def test_interrupted_preference_training_resumes(labels, policy, tmp_path):
    def stop(step, numbers):
        raise KeyboardInterrupt

    recipe = DpoRecipe(TrainConfig(steps=4, batch_size=2, learning_rate=1e-4, log_every=3, save_every=2))
    whole = prepare(recipe, str(policy), labels, "gta").run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        prepare(recipe, str(policy), labels, "gta").run(tmp_path / "stopped", stop)
    again = prepare(recipe, str(policy), labels, "gta").run(tmp_path / "stopped")
    assert digest([again / "model.safetensors"]) == digest([whole / "model.safetensors"])


# The commands


def test_a_dry_run_says_how_many_pairs_there_are(cli, labels, policy, tmp_path):
    ended = cli(
        "train", "dpo", "--init-from", policy, "--labels", labels, "--reward", "gta", "--out", tmp_path / "dpo", "--dry-run"
    )
    assert ended.code == 0 and "7 of 7 states under gta" in ended.out and not (tmp_path / "dpo").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("train", "dpo", "--init-from", "POLICY", "--labels", "EMPTY", "--reward", "gta"), "nora-bench label-preferences"),
        (("label-preferences", "--policy", "POLICY", "--data", "EMPTY"), "nora-bench collect"),
        (("train", "world-model", "--data", "EMPTY"), "nora-bench collect"),
    ],
)
def test_command_without_requirement_names_the_command_to_type(cli, policy, tmp_path, command, said):
    places = {"POLICY": policy, "EMPTY": tmp_path}
    ended = cli(*(places.get(word, word) for word in command), "--out", tmp_path / "out")
    assert ended.code == 2 and said in ended.err and "Traceback" not in ended.err


# Do the rewards rank as they should?


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    """A world model that has learned how the toy moves."""
    world = untrained(TINY, seed=0)
    found = imagination_of(world, tmp_path_factory.mktemp("latents"))
    windows = Windows.of([walk(number) for number in range(60)], found.latents, STATS, 6)
    steps, draw = 150, np.random.default_rng(0)
    optimizer = torch.optim.AdamW(world.predictor.parameters(), 4e-3, weight_decay=0.0)
    for step in range(steps):
        window = windows.batch(draw.integers(0, len(windows), 16))
        optimizer.zero_grad()
        world.loss(window.latents, window.actions).total.backward()
        optimizer.param_groups[0]["lr"] = 4e-3 * min(1, (step + 1) / 20) * 0.5 * (1 + np.cos(np.pi * step / steps))
        optimizer.step()
    return found


def margins(found, name):
    """By how much each demonstrated chunk of unseen walks beats a perturbed one under the reward's goal, or its whole."""
    reward, draw = REWARDS[name], np.random.default_rng(1)
    for demonstration in [walk(1000 + number) for number in range(20)]:
        latents = torch.from_numpy(np.array(found.latents.get(demonstration))).float()
        for start in range(0, len(demonstration) - CHUNK, 3):
            best = openings(demonstration.labels)[start : start + CHUNK]
            worse = np.clip(best + np.pad(draw.normal(0, 0.7, (1, 2)), ((0, 0), (0, 5))), -1, 1)
            chunks = torch.from_numpy(np.stack([best, worse])).float()
            goal = latents[reward.frame(start, CHUNK, len(latents) - 1)]
            predicted = imagine(found.world_model, latents[start], chunks, reward.unused_actions)
            scores = score(reward, chunks, chunks[0], predicted, goal)
            yield float((scores.goal if reward.goal else scores.total).diff())


@pytest.mark.parametrize("name", REWARDS)
def test_demonstrated_chunk_scores_above_a_perturbed_one(seeing, name):
    found = [margin for margin in margins(seeing, name) if margin]
    assert binomtest(sum(margin < 0 for margin in found), len(found), alternative="greater").pvalue < 0.01
