import json
import shutil
from dataclasses import fields, replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[nora]'")
from nora_bench.envs.errors import PolicyError
from nora_bench.policies.base import PolicyContext
from nora_bench.policies.checks import check_policy
from nora_bench.policies.nora.decoding import ModelOutput
from nora_bench.policies.nora.policy import NoraPolicy
from nora_bench.policies.nora.policy_config import NoraPolicyConfig
from nora_bench.policies.registry import PolicyRequestError, find as find_policy, load, parameters

NAMES = ("nora", "nora-long", "nora-ac", "nora-1.5", "nora-1.5-fast", "nora-1.5-dpo", "nora-1.5-untrained")


@pytest.fixture
def started(nano, context):
    """Builds a policy of the nano checkpoint and starts it."""

    def build(context=context, **options):
        policy = NoraPolicy(str(nano), **options)
        policy.setup(context)
        return policy

    return build


@pytest.mark.parametrize("mode", ["flow", "fast"])
@pytest.mark.parametrize("batch", [1, 4])
def test_the_contract_of_policies_is_kept(nano, context, look, mode, batch):
    check_policy(
        lambda: NoraPolicy(str(nano), mode=mode, batch=batch, max_new_tokens=6), context, [look(task) for task in (0, 3, 1)]
    )


@pytest.mark.parametrize("mode", ["flow", "fast"])
def test_batch_equals_single_calls_bit_for_bit_in_any_order(started, look, mode):
    policy = started(mode=mode, batch=4, max_new_tokens=6)
    questions = [policy._inputs(look(task)) for task in range(6)]
    alone = [policy.predictor.predict([question])[0] for question in questions]
    rng = np.random.default_rng(0)
    for _ in range(4):
        order = rng.permutation(6)[: rng.integers(2, 7)]
        together = policy.predictor.predict([questions[index] for index in order])
        assert all(same(answer, alone[index]) for answer, index in zip(together, order, strict=True))


def same(a: ModelOutput, b: ModelOutput) -> bool:
    return a.status == b.status and (a.normalised is b.normalised or np.array_equal(a.normalised, b.normalised))


def test_noise_comes_from_the_episodes_key_and_the_decision(started, look):
    policy = started()
    first, again, later = (policy._inputs(look(0, decision)).noise for decision in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, later)


def test_flow_without_noise_is_deterministic(started, look):
    policy, sampling = started(noise_scale=0.0), started()
    seeds = [replace(look(0), spec=replace(look(0).spec, seed=seed)) for seed in (0, 1)]
    assert np.array_equal(*[policy.act([shown])[0].actions for shown in seeds])
    assert not np.array_equal(*[sampling.act([shown])[0].actions for shown in seeds])
    assert (policy.stochastic, sampling.stochastic) == (False, True)


def saying(checkpoint, folder, **settings):
    """A copy of a checkpoint whose configuration says that, too."""
    path = shutil.copytree(checkpoint, folder) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return folder


def test_checkpoint_sets_the_noise_scale(nano, tmp_path):
    folder = saying(nano, tmp_path / "calm", noise=0.5)
    assert NoraPolicy(str(folder)).noise_scale == 0.5
    assert NoraPolicy(str(folder), noise_scale=1.0).noise_scale == 1.0
    assert NoraPolicy(str(nano)).noise_scale == 1.0


@pytest.mark.parametrize("scale", [-1, 3, "much", True, None])
def test_invalid_noise_scale_of_a_checkpoint_is_rejected(nano, tmp_path, scale):
    folder = saying(nano, tmp_path / "loud", noise=scale)
    with pytest.raises(PolicyError, match="noise"):
        NoraPolicy(str(folder))


def test_n_action_steps_truncates_the_chunk(started, look):
    whole, first = (policy.act([look(0)])[0].actions for policy in (started(), started(n_action_steps=2)))
    assert np.array_equal(whole[:2], first)


def test_checkpoint_sets_n_action_steps(nano, tmp_path):
    folder = saying(nano, tmp_path / "wary", execute=3)
    assert NoraPolicy(str(folder)).n_action_steps == 3
    assert NoraPolicy(str(folder), n_action_steps=1).n_action_steps == 1
    assert NoraPolicy(str(nano)).n_action_steps == NoraPolicy(str(nano)).chunk_size


@pytest.mark.parametrize("execute", [0, 6])
def test_n_action_steps_beyond_the_chunk_are_rejected(nano, execute):
    with pytest.raises(PolicyError, match="1 to 5 can be executed"):
        NoraPolicy(str(nano), n_action_steps=execute)


def test_global_generators_are_left_alone(started, look):
    import torch

    policy = started()
    before, mine = torch.get_rng_state(), str(np.random.get_state())
    policy.act([look(0)])
    assert torch.equal(torch.get_rng_state(), before) and str(np.random.get_state()) == mine


@pytest.mark.parametrize("size, chunk", [(84, 5), (112, 3)])
def test_untrained_nano_returns_finite_chunks_and_is_tagged(context, look, size, chunk):
    policy = load("nora-1.5-untrained", {"image_size": str(size), "chunk": str(chunk)})
    policy.setup(context)
    (answer,) = policy.act([look(0)])
    assert answer.status == "ok" and answer.actions.shape == (chunk, 7) and np.isfinite(answer.actions).all()
    assert policy.tags == ("untrained",)
    policy.close()


def test_bfloat16_is_close_to_float32(started, look):
    wide, narrow = (started(dtype=dtype).predictor.predict([started()._inputs(look(0))])[0] for dtype in ("float32", "bfloat16"))
    assert 0 < np.abs(wide.normalised - narrow.normalised).max() < 0.05


def test_instruction_changes_the_actions(started, look):
    policy = started(mode="flow")
    observation = look(0)
    other = replace(observation, instruction="pick up the milk and place it in the basket")
    assert not np.array_equal(policy.act([observation])[0].actions, policy.act([other])[0].actions)


@pytest.mark.parametrize("lower_case, equal", [(True, True), (False, False)])
def test_lower_case_is_an_option(started, look, lower_case, equal):
    policy, observation = started(lower_case=lower_case), look(0)
    loud = replace(observation, instruction=observation.instruction.upper())
    assert (policy._inputs(loud).prompt == policy._inputs(observation).prompt) is equal


@pytest.mark.parametrize("crop", [True, False])
def test_crop_of_the_protocol_is_followed_unless_disabled(started, look, context, crop):
    without = {key: value for key, value in context.protocol.model_image.items() if key != "crop"}
    bare = PolicyContext(replace(context.protocol, model_image=without), context.suites, 7)
    images = [started(where, crop=crop)._inputs(look(0)).image for where in (context, bare)]
    assert np.array_equal(*images) is not crop


BAD = ModelOutput("malformed", None)
GOOD = ModelOutput("ok", np.full((5, 7), 0.8))


@pytest.mark.parametrize("on_invalid", ["released", "hold", "repeat"])
def test_invalid_chunk_is_counted_under_every_handling(started, look, on_invalid):
    assert started(on_invalid=on_invalid)._chunk_of(look(0), BAD).status == "malformed"


def test_released_handling_executes_unnormalised_zeros(started, look):
    actions = started(on_invalid="released")._chunk_of(look(0), BAD).actions
    low, high = -0.5383928418159485, 0.8464285731315613
    assert actions[:, 0] == pytest.approx([(low + high) / 2] * 5)


def test_hold_keeps_pose_and_gripper(started, look):
    policy = started(on_invalid="hold")
    good = policy._chunk_of(look(0), ModelOutput("ok", np.zeros((5, 7)))).actions
    held = policy._chunk_of(look(0, decision=1), BAD).actions
    assert not held[:, :6].any() and (held[:, 6] == good[-1, 6]).all() and good[-1, 6] == 1


def test_hold_lasts_no_longer_than_a_chunk(started, look, context):
    longer = replace(context, protocol=replace(context.protocol, replan_steps=4))
    for policy in (started(on_invalid="hold", n_action_steps=2), started(longer, on_invalid="hold", n_action_steps=2)):
        assert len(policy._chunk_of(look(0), BAD).actions) == 2


def test_hold_at_the_first_decision_keeps_the_gripper_of_settling(started, look, context):
    assert started(on_invalid="hold")._chunk_of(look(0), BAD).actions[0].tolist() == list(context.protocol.settle_action)


def test_repeat_executes_the_last_valid_chunk_of_the_episode(started, look):
    policy = started(on_invalid="repeat")
    good = policy._chunk_of(look(0), GOOD).actions
    assert np.array_equal(policy._chunk_of(look(0, decision=1), BAD).actions, good)
    assert not policy._chunk_of(look(1), BAD).actions[:, :6].any()


def test_restarted_episode_has_no_last_chunk(started, look):
    policy = started(on_invalid="repeat")
    policy._chunk_of(look(0), GOOD)
    assert not policy._chunk_of(look(0), BAD).actions[:, :6].any()


def test_suite_without_statistics_names_the_argument(nano, context):
    policy = NoraPolicy(str(nano))
    with pytest.raises(PolicyError, match="add --policy-arg statistics=NAME with one of bridge_orig"):
        policy.setup(PolicyContext(context.protocol, ("my_suite",), 7))


@pytest.mark.parametrize(
    "options, complaint",
    [
        ({"mode": "flow"}, "has no flow expert; take mode=fast"),
        ({"mode": "fast"}, r"add --policy-arg chunk=1 \(NORA\) or chunk=5"),
    ],
)
def test_missing_checkpoint_setting_names_the_argument(tmp_path, options, complaint):
    import json

    from nora_bench.policies.nora.nano import write_nano

    folder = write_nano(tmp_path / "nora", expert=False)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "chunk": None}))
    with pytest.raises(PolicyError, match=complaint):
        NoraPolicy(str(folder), **options)


@pytest.mark.parametrize("name", NAMES)
def test_presets_take_typed_arguments(name):
    assert parameters(find_policy(name))["batch"].annotation == int | None


@pytest.mark.parametrize("name", ["nora-ac", "nora-1.5-dpo"])
def test_preset_without_a_known_checkpoint_requires_one(name):
    with pytest.raises(PolicyRequestError, match=r"needs checkpoint: add --policy-arg checkpoint=\.\.\."):
        load(name, {})


def test_a_folder_is_a_policy(nano):
    policy = load(str(nano), {"mode": "fast"})
    assert isinstance(policy, NoraPolicy) and policy.config.mode == "fast"


def test_wrong_path_is_reported():
    with pytest.raises(PolicyError, match=r"checkpoint not found: \./nowhere"):
        load("./nowhere", {})


def test_options_that_decide_actions_are_in_the_fingerprint(started):
    options = ({}, {"num_inference_steps": 4}, {"on_invalid": "hold"}, {"mode": "fast"}, {"batch": 2})
    prints = [started(**given).fingerprint() for given in options]
    assert len({str(sorted(fingerprint.items())) for fingerprint in prints}) == 5
    assert len({fingerprint["weights_sha256"] for fingerprint in prints}) == 1


def test_records_keep_the_first_names_of_options(started):
    policy = started(n_action_steps=2, num_inference_steps=4, noise_scale=0.5, on_invalid="hold", max_new_tokens=9)
    recorded = policy.fingerprint()
    assert {name: recorded[name] for name in ("execute", "steps", "noise", "on_bad", "new_tokens")} == {
        "execute": 2,
        "steps": 4,
        "noise": 0.5,
        "on_bad": "hold",
        "new_tokens": 9,
    }


def test_policy_arguments_are_the_fields_of_the_configuration():
    assert list(parameters(NoraPolicy)) == [field.name for field in fields(NoraPolicyConfig)]


def test_unknown_argument_names_the_nearest(nano):
    with pytest.raises(PolicyRequestError, match="num_inference_steps"):
        load(str(nano), {"inference_steps": "4"})


OWN = {"q01": [-0.01] * 6 + [0.0], "q99": [0.01] * 6 + [1.0], "mask": [True] * 6 + [False]}


def with_statistics(checkpoint, folder, own, file="norm_stats.json"):
    """A copy of a checkpoint that has statistics of its own."""
    (shutil.copytree(checkpoint, folder) / file).write_text(json.dumps(own))
    return NoraPolicy(str(folder))


def test_own_statistics_scale_the_actions_and_are_recorded(nano, context, look, tmp_path):
    policy = with_statistics(
        nano, tmp_path / "own", {"libero_4_task_suites_no_noops": {"action": OWN}}, "dataset_statistics.json"
    )
    policy.setup(context)
    assert np.abs(policy.act([look(0)])[0].actions[:, :6]).max() <= 0.05
    recorded = policy.fingerprint()
    assert recorded["statistics"] == {"libero_object": "libero_4_task_suites_no_noops"}
    assert recorded["statistics_from"]["libero_object"]["source"] == "dataset_statistics.json"


def test_published_statistics_are_recorded_as_such(started):
    assert started().fingerprint()["statistics_from"]["libero_object"]["source"] == "published"


def test_own_statistics_that_do_not_fit_are_rejected_before_weights_load(nano, context, tmp_path):
    with pytest.raises(PolicyError, match=r"bridge_orig.*--policy-arg statistics=NAME"):
        with_statistics(nano, tmp_path / "own", {"bridge_orig": {"action": OWN}}).setup(context)


def test_statistics_of_another_action_size_are_rejected(nano, context, tmp_path):
    wide = {name: numbers + numbers for name, numbers in OWN.items()}
    with pytest.raises(PolicyError, match="14 numbers"):
        with_statistics(nano, tmp_path / "own", {"libero_object": {"action": wide}}).setup(context)
