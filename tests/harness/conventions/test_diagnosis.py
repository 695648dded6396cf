import numpy as np
import pytest
from nora_bench.envs.base import EnvObservation
from nora_bench.harness.conventions import corrections as to
from nora_bench.harness.conventions.diagnosis import FOUND, MOST_PASSES, NOTHING, UNLIKE, screened
from nora_bench.harness.conventions.hypotheses import WORDS
from nora_bench.policies.base import ActionChunk, BasePolicy, ObservationSpec as Spec
from synthetic_moments import INSTRUCTION, Reader, diagnosis_of, moments


def found(policy, tmp_path):
    diagnosis = diagnosis_of(policy, tmp_path)
    return diagnosis.best.hypothesis.name if diagnosis.best else diagnosis.verdict


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (lambda image: image[::-1], "image-flip-vertical"),
        (lambda image: image[:, ::-1], "image-flip-horizontal"),
        (lambda image: image[::-1, ::-1], "image-rotation-180"),
        (lambda image: np.rot90(image, 3), "image-rotation-90"),
        (lambda image: np.rot90(image), "image-rotation-270"),
        (lambda image: image[..., ::-1], "image-channel-order"),
    ],
)
def test_fault_of_images_is_named(fault, name, tmp_path):
    assert found(Reader(observe=to.images(fault)), tmp_path) == name


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (to.columns(6, lambda g: -g), "gripper-sign"),
        (to.columns(6, lambda g: (1 - g) / 2), "gripper-0-1-opening"),
        (to.columns(6, lambda g: (1 + g) / 2), "gripper-0-1-closing"),
        (to.columns(1, lambda y: -y), "translation-sign-y"),
        (to.columns(slice(0, 3), lambda part: part / 20), "translation-scale-20"),
        (to.columns((0, 1), lambda part: part[:, ::-1]), "translation-swap-xy"),
        (to.columns(slice(3, 6), np.degrees), "rotation-degrees"),
        (to.columns(slice(3, 6), lambda part: part[:, ::-1]), "rotation-order"),
        (lambda actions, observation: actions[::-1], "chunk-reversed"),
        (lambda actions, observation: actions[1:], "chunk-first-dropped"),
        (lambda actions, observation: np.concatenate([actions[:1], actions[:-1]]), "chunk-late"),
    ],
)
def test_fault_of_actions_is_named(fault, name, tmp_path):
    assert found(Reader(act=fault), tmp_path) == name


def test_exchanged_cameras_are_named(tmp_path):
    assert found(Reader(camera="wrist", cameras=("primary", "wrist")), tmp_path) == "camera-swap"


@pytest.mark.parametrize(
    ("expected", "name"),
    [(INSTRUCTION.upper(), "instruction-upper-case"), (WORDS.format(INSTRUCTION), "instruction-template")],
)
def test_instruction_of_another_form_is_named(expected, name, tmp_path):
    assert found(Reader(instruction=expected), tmp_path) == name


def test_healthy_policy_gets_no_fault(tmp_path):
    diagnosis = diagnosis_of(Reader(), tmp_path)
    assert diagnosis.verdict == NOTHING
    assert diagnosis.best is None
    assert diagnosis.skill.mean > 0.95


def test_weak_but_healthy_policy_gets_no_fault(tmp_path):
    rng = np.random.default_rng(3)
    weak = Reader(act=lambda actions, observation: 0.6 * actions + rng.normal(0, 0.2, actions.shape))
    assert found(weak, tmp_path) == NOTHING


class Noise(BasePolicy):
    """Actions that have nothing to do with the observation."""

    observation_spec = Spec(cameras=("primary",))

    def __init__(self):
        self.rng = np.random.default_rng(2)

    def act_one(self, observation):
        return ActionChunk(self.rng.uniform(-1, 1, (4, 7)))


def test_random_policy_resembles_the_expert_under_no_hypothesis(tmp_path):
    assert diagnosis_of(Noise(), tmp_path).verdict == UNLIKE


def test_constant_policy_resembles_the_expert_under_no_hypothesis(tmp_path):
    constant = Reader(act=lambda actions, observation: np.zeros((4, 7)))
    assert diagnosis_of(constant, tmp_path).verdict == UNLIKE


def test_second_fault_is_named_beside_the_first(tmp_path):
    both = Reader(to.images(lambda image: image[::-1]), to.columns(6, lambda g: -g))
    diagnosis = diagnosis_of(both, tmp_path)
    named = {diagnosis.best.hypothesis.name, diagnosis.second.hypothesis.name}
    assert named == {"image-flip-vertical", "gripper-sign"}


def test_no_two_queries_share_an_episode_and_their_number_is_limited(tmp_path):
    policy = Reader()
    diagnosis = diagnosis_of(policy, tmp_path, moments(episodes=8, each=40))
    assert len(set(policy.keys)) == len(policy.keys) == diagnosis.passes <= MOST_PASSES


def test_policy_receives_only_what_it_asks_for(tmp_path):
    class Strict(Reader):
        def act_one(self, observation):
            assert observation.decision == 0
            assert not observation.proprio
            assert set(observation.images) == {"primary"}
            assert isinstance(observation.env_observation, EnvObservation)
            return super().act_one(observation)

    assert found(Strict(), tmp_path) == NOTHING


def test_screened_moments_are_of_every_episode():
    chosen = screened([*"aaaabbbbb", "c"], 2)
    assert len(chosen) == 5
    assert {"aaaabbbbbc"[number] for number in chosen} == {"a", "b", "c"}


def test_verdict_is_json(tmp_path):
    import json

    diagnosis = diagnosis_of(Reader(act=to.columns(6, lambda g: -g)), tmp_path)
    values = json.loads(json.dumps(diagnosis.to_json()))
    assert values["verdict"] == FOUND
    assert values["found"]["name"] == "gripper-sign"
    assert values["found"]["fix"].endswith("return -gripper")
