import fakes
import numpy as np
import pytest
from nora_bench.envs.base import EnvObservation, EpisodeSpec
from nora_bench.envs.errors import PolicyFailedError
from nora_bench.harness.execution.policy_host import LocalPolicyHost
from nora_bench.policies.base import ActionChunk, BasePolicy, EpisodeStateLost, Observation, PolicyContext

OBSERVATION = Observation(EpisodeSpec("toy", 0, 0, 0, "toy/plain"), 2, 6, "go home", EnvObservation())


class Answering(BasePolicy):
    """Returns, or raises, what it was built with."""

    def __init__(self, answer):
        self.answer = answer

    def act(self, observations):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def host_of(answer, folder):
    host = LocalPolicyHost(Answering(answer), folder / "policy.log")
    host.setup(PolicyContext(fakes.protocol(), ("toy",), 1))
    return host


@pytest.mark.parametrize(
    "actions",
    [np.zeros((1, 3)), np.zeros((0, 1)), np.zeros(1), np.full((1, 1), np.nan), np.zeros((1, 1), dtype=object)],
    ids=["another action size", "no step", "one dimension", "NaN", "objects"],
)
def test_invalid_chunk_is_rejected_with_decision_and_episode(actions, tmp_path):
    with pytest.raises(PolicyFailedError, match=f"at decision 2 of {OBSERVATION.key}"):
        host_of([ActionChunk(actions)], tmp_path).decide([OBSERVATION])


def test_missing_chunk_is_rejected(tmp_path):
    with pytest.raises(PolicyFailedError):
        host_of([], tmp_path).decide([OBSERVATION])


def test_chunk_is_a_copy_of_the_policys_array(tmp_path):
    actions = np.zeros((2, 1))
    (chunk,) = host_of([ActionChunk(actions)], tmp_path).decide([OBSERVATION])
    actions[:] = 1
    assert not chunk.actions.any()


def test_lost_episode_state_passes_unchanged(tmp_path):
    lost = EpisodeStateLost({OBSERVATION.key: "restarted"})
    with pytest.raises(EpisodeStateLost) as raised:
        host_of(lost, tmp_path).decide([OBSERVATION])
    assert raised.value.causes == {OBSERVATION.key: "restarted"}


def test_exception_of_the_policy_is_logged_with_its_traceback(tmp_path):
    with pytest.raises(PolicyFailedError, match="RuntimeError: out of ideas"):
        host_of(RuntimeError("out of ideas"), tmp_path).decide([OBSERVATION])
    assert "Traceback" in (tmp_path / "policy.log").read_text()
