import ctypes

import numpy as np
import pytest
from nora_bench.envs import protocols
from nora_bench.envs.base import EnvObservation, EpisodeSpec, ObservationSpec
from nora_bench.envs.errors import PolicyError
from nora_bench.envs.specs import ActionDim
from nora_bench.policies.base import ActionChunk, BasePolicy, Observation, PolicyContext
from nora_bench.policies.baselines import Random, Replay, Zero
from nora_bench.policies.checks import check_chunk, check_policy

from ..fakes import episode_line

CONTEXT = PolicyContext(protocol=protocols.get("libero/openvla"), suites=("libero_goal",), action_size=7)


def observation(task=0, seed=0, decision=0, step=0):
    spec = EpisodeSpec("libero_goal", task, 0, seed, "libero/openvla")
    return Observation(spec, decision, step, "do it", EnvObservation())


BATCH = [observation(0), observation(1), observation(0, seed=1)]


def started(policy):
    policy.setup(CONTEXT)
    return policy


@pytest.fixture
def run(tmp_path):
    """A run's folder with the actions of two episodes; the third ended before its first step."""
    (tmp_path / "actions").mkdir()
    lines = []
    for i, seen in enumerate(BATCH[:2]):
        np.save(tmp_path / "actions" / f"{i}.npy", np.full((4, 7), float(i)))
        lines.append(episode_line(seen.spec, actions=f"actions/{i}.npy"))
    lines.append(episode_line(BATCH[2].spec, actions=None))
    (tmp_path / "episodes.jsonl").write_text("".join(lines) + '{"key": "to')
    return tmp_path


@pytest.mark.parametrize("policy", [Zero, Random, lambda: Zero(chunk=3), lambda: Random(chunk=3)])
def test_baselines_keep_the_contract(policy):
    check_policy(policy, CONTEXT, BATCH)


def test_replay_keeps_the_contract(run):
    check_policy(lambda: Replay(run=run), CONTEXT, BATCH[:2])


def test_zero_commands_nothing():
    assert not started(Zero(chunk=2)).act([observation()])[0].actions.any()


def test_random_fills_the_range_and_stays_in_it():
    actions = started(Random(chunk=500)).act([observation()])[0].actions
    assert actions.min() < -0.99
    assert actions.max() > 0.99
    assert np.abs(actions).max() <= 1


@pytest.mark.parametrize("other", [{"seed": 1}, {"task": 1}, {"decision": 1}], ids=str)
def test_random_differs_between_seeds_tasks_and_decisions(other):
    policy = started(Random())
    first, second = policy.act([observation(), observation(**other)])
    assert not np.array_equal(first.actions, second.actions)


def test_replay_repeats_each_episodes_own_actions(run):
    first, second = started(Replay(run=run)).act(BATCH[:2])
    assert (first.actions == 0).all()
    assert (second.actions == 1).all()


def test_replay_continues_at_the_episodes_step(run):
    assert len(started(Replay(run=run)).act([observation(step=3)])[0].actions) == 1


def test_steps_beyond_the_recording_are_marked_as_cut(run):
    chunk = started(Replay(run=run)).act([observation(step=4)])[0]
    assert chunk.status == "cut"
    assert chunk.actions.tolist() == [[0.0] * 7]


def test_replay_of_one_file_serves_every_episode(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((2, 7)))
    chunks = started(Replay(file=tmp_path / "a.npy")).act(BATCH)
    assert all((chunk.actions == 1).all() for chunk in chunks)


def test_episode_without_recording_is_named(run):
    with pytest.raises(PolicyError, match="libero_goal/task0/init0/seed1@libero/openvla"):
        started(Replay(run=run)).act(BATCH)


def test_replay_requires_exactly_one_source(tmp_path):
    with pytest.raises(PolicyError, match="either run=FOLDER or file="):
        Replay()


def test_replay_refuses_pickled_files(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(PolicyError, match="cannot be read"):
        Replay(file=tmp_path / "a.npy")


@pytest.mark.parametrize("bad", [np.ones(7), np.full((2, 7), np.nan), np.array([["a"]])], ids=["flat", "nan", "text"])
def test_file_without_actions_is_rejected(tmp_path, bad):
    np.save(tmp_path / "a.npy", bad)
    with pytest.raises(PolicyError, match=r"must hold finite numbers|not plain numbers"):
        Replay(file=tmp_path / "a.npy")


def test_actions_of_another_size_are_rejected(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((2, 8)))
    with pytest.raises(PolicyError, match="8 numbers per step, this environment takes 7"):
        started(Replay(file=tmp_path / "a.npy"))


def test_replay_reads_no_file_outside_the_run(run):
    (run / "episodes.jsonl").write_text(episode_line(BATCH[0].spec, actions="../secret.npy"))
    with pytest.raises(PolicyError, match="outside the run"):
        Replay(run=run)


def test_folder_that_is_no_run_is_rejected(tmp_path):
    with pytest.raises(PolicyError, match="not a run that can be replayed"):
        Replay(run=tmp_path / "none")


def test_replay_fingerprint_follows_the_actions(run):
    before = Replay(run=run).fingerprint()
    np.save(run / "actions" / "0.npy", np.zeros((5, 7)))
    assert Replay(run=run).fingerprint() != before


class Broken(BasePolicy):
    def act_one(self, observation):
        return ActionChunk(np.zeros((1, 7)))


class SeesItsNeighbours(Broken):
    def act(self, observations):
        return [ActionChunk(np.full((1, 7), float(len(observations)))) for _ in observations]


class OneForAll(Broken):
    def act(self, observations):
        return [self.act_one(observations[0])]


class Secretive(Broken):
    def fingerprint(self):
        return {"weights": object()}


class Unseeded(Broken):
    def __init__(self):
        self.value = np.random.default_rng().uniform()

    def act_one(self, observation):
        return ActionChunk(np.full((1, 7), self.value))


class Greedy(Broken):
    def act_one(self, observation):
        return ActionChunk(observation.env_observation.images["wrist"][:1, :7, 0].astype(float))


class Scribbling(Broken):
    observation_spec = ObservationSpec(cameras=("primary",))

    def act_one(self, observation):
        observation.env_observation.images["primary"][:] = 0
        return ActionChunk(np.zeros((1, 7)))


class Gambling(Broken):
    def act_one(self, observation):
        return ActionChunk(observation.rng().normal(size=(1, 7)))


class Periscope(Broken):
    observation_spec = ObservationSpec(cameras=("periscope",))


@pytest.mark.parametrize("policy", [Greedy, Scribbling, Gambling, Periscope])
def test_check_reports_use_of_undeclared_inputs(policy):
    broken = {Greedy: "KeyError: 'wrist'", Scribbling: "read-only", Gambling: "depends on the seed", Periscope: "periscope"}
    with pytest.raises(PolicyError, match=broken[policy]):
        check_policy(policy)


def test_check_without_observations_uses_noise_of_liberos_shapes():
    class Looking(Broken):
        observation_spec = ObservationSpec(cameras=("primary", "wrist"), image_size=32, proprio=True)

        def act_one(self, observation):
            pixel = observation.env_observation.images["wrist"][31, 31, 2] / 255
            return ActionChunk(np.full((2, 7), pixel * observation.env_observation.proprio["joint_pos"][6]))

    check_policy(Looking)


@pytest.mark.parametrize(
    ("policy", "broken"),
    [
        (SeesItsNeighbours, "depends on its neighbours"),
        (OneForAll, "1 chunks for 3 observations"),
        (Secretive, "fingerprint must be JSON-able"),
        (Unseeded, "built alike return different chunks"),
    ],
)
def test_check_names_the_broken_promise(policy, broken):
    with pytest.raises(PolicyError, match=broken):
        check_policy(policy, CONTEXT, BATCH)


@pytest.mark.parametrize(
    "actions",
    [np.zeros((0, 7)), np.zeros((1, 6)), np.zeros(7), np.full((1, 7), np.inf), np.zeros((1, 7), np.float32), [[0.0] * 7]],
)
def test_check_rejects_invalid_chunks(actions):
    with pytest.raises(PolicyError, match="actions must be"):
        check_chunk(ActionChunk(actions), 7)


class OneBuffer(Broken):
    """One output array for all answers, as compiled models have."""

    observation_spec = ObservationSpec(cameras=("primary",), image_size=32)

    def __init__(self):
        self.out = np.zeros((2, 7))

    def act_one(self, observation):
        self.out[:] = observation.env_observation.images["primary"].mean() / 255
        return ActionChunk(self.out)


class OneBufferForBatches(OneBuffer):
    def act(self, observations):
        return [self.act_one(one) for one in observations]


class OneQueue(OneBuffer):
    """One queue for all episodes, emptied at decision 0."""

    def __init__(self):
        self.queue = []

    def act_one(self, observation):
        if observation.decision == 0:
            self.queue = []
        if not self.queue:
            self.queue = [np.full((1, 7), observation.env_observation.images["primary"].mean() / 255)] * 5
        return ActionChunk(self.queue.pop(0))


class OwnQueues(OneQueue):
    """A queue for each episode."""

    def __init__(self):
        self.queues = {}

    def act_one(self, observation):
        if observation.decision == 0:
            self.queues[observation.key] = [
                np.full((1, 7), observation.env_observation.images["primary"].mean() / 255 * n) for n in range(5)
            ]
        return ActionChunk(self.queues[observation.key].pop(0))

    def end_episode(self, key):
        self.queues.pop(key, None)


class ForgetsAll(OwnQueues):
    def end_episode(self, key):
        self.queues.clear()


class NeverAnew(OwnQueues):
    def act_one(self, observation):
        if observation.key not in self.queues:
            self.queues[observation.key] = [np.full((1, 7), n / 9) for n in range(9)]
        return ActionChunk(self.queues[observation.key].pop(0))


class PaintsAnyway(OneBuffer):
    """Writes past the read-only flag, as `torch.from_numpy` does."""

    def act_one(self, observation):
        picture = observation.env_observation.images["primary"]
        ctypes.memset(picture.ctypes.data, 0, picture.nbytes)
        return ActionChunk(np.zeros((1, 7)))


class Echoes(Broken):
    """Its answer is what it was shown, not a copy."""

    observation_spec = ObservationSpec(proprio=True)

    def act_one(self, observation):
        return ActionChunk(observation.env_observation.proprio["joint_pos"][None])


@pytest.mark.parametrize("policy", [OneBuffer, OwnQueues, Echoes])
def test_policy_with_state_by_episode_passes_the_check(policy):
    check_policy(policy)


@pytest.mark.parametrize(
    ("policy", "broken"),
    [
        (OneBufferForBatches, "depends on its neighbours"),
        (OneQueue, "other episodes"),
        (ForgetsAll, "in turns"),
        (NeverAnew, "is not reset"),
        (PaintsAnyway, "writes into its observation"),
    ],
)
def test_check_finds_state_shared_between_episodes(policy, broken):
    with pytest.raises(PolicyError, match=broken):
        check_policy(policy)


class Structural:
    """A policy that does not subclass BasePolicy, with the required members alone."""

    observation_spec, stochastic, tags = BasePolicy.observation_spec, False, ()

    def setup(self, context):
        self.size = context.action_size

    def act(self, observations):
        return [ActionChunk(np.zeros((1, self.size))) for _ in observations]

    def end_episode(self, key):
        pass

    def fingerprint(self):
        return {}

    def close(self):
        pass


def test_policy_that_does_not_subclass_keeps_the_contract():
    check_policy(Structural)


class Miscounting(Broken):
    action_spec = (ActionDim("dx"), ActionDim("gripper"))


class Unfinished:
    observation_spec = BasePolicy.observation_spec


@pytest.mark.parametrize(
    ("policy", "broken"),
    [(Miscounting, "declares 2 numbers, actions have 7"), (Unfinished, "without setup, act, end_episode, fingerprint, close")],
)
def test_policy_with_wrong_or_missing_members_is_named(policy, broken):
    with pytest.raises(PolicyError, match=broken):
        check_policy(policy)
